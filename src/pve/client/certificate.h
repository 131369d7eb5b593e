// The certificate of a server whose fingerprint is pinned.
#pragma once

#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::pve::client {

struct Fingerprints {
  std::string certificate;  // SHA-256 of the DER form: "AB:CD:...", as `GET /nodes` gives it
  std::string public_key;   // "sha256//BASE64" of the SubjectPublicKeyInfo, as libcurl pins it
};

/// ProxmoxError when the text is no certificate.
Result<Fingerprints> fingerprints_of(std::string_view pem);
/// True for the same fingerprint, whatever its case and colons.
bool same_fingerprint(std::string_view a, std::string_view b);

}  // namespace nexcage::pve::client
