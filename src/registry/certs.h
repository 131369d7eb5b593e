// certs.d/HOST[:PORT]/ (containers-certs.d(5)): the certificates of one registry.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/registry/endpoint.h"

namespace nexcage::registry {

/// A directory of certificates as it was listed.
struct CertsDirectory {
  std::string host;  // "host[:port]"; empty: for every host (--cert-dir)
  std::string path;
  std::vector<std::string> files;  // names
};

/// *.crt are certificates to trust, NAME.cert and NAME.key are shown to the registry. The first
/// directory of the host counts; without one the value is empty. ConfigError for a certificate
/// without key and a key without certificate, Unsupported for more than one pair.
Result<Tls> find_tls(std::span<const CertsDirectory> directories, const std::string& host);

}  // namespace nexcage::registry
