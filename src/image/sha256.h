// SHA-256 (FIPS 180-4) for short texts: chain IDs and the JSON documents of images. The front
// binary links no crypto library because it must start in a few milliseconds; layers are hashed
// with OpenSSL in the helper (content/stream.h).
#pragma once

#include <string_view>

#include "nexcage/oci/digest.h"

namespace nexcage::image {

oci::Digest sha256_digest(std::string_view text);

}  // namespace nexcage::image
