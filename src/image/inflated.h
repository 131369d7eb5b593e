// Layers that somebody had to inflate anyway, left in a directory for who needs them next.
#pragma once

#include <string>

#include "nexcage/oci/digest.h"

namespace nexcage::image {

/// The file in such a directory that is the tar with this diff ID: whole, verified and durable.
inline std::string inflated_name(const oci::Digest& diff_id) {
  return std::string(diff_id.algorithm()) + '-' + std::string(diff_id.hex()) + ".tar";
}

}  // namespace nexcage::image
