// Where in a kernel as distributions have it the kernel itself lies, compressed. Pure.
#pragma once

#include <cstddef>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::vm::boot {

/// The compressed kernel in a bzImage.
struct Payload {
  std::string_view program;  // that decompresses it with -dc: "lz4", "gzip", "zstd", "xz"
  std::string_view bytes;    // of the image that was looked at
};

/// InvalidImage for what is no bzImage of protocol 2.08 or later
/// (Documentation/arch/x86/boot.rst), Unsupported for another compression.
Result<Payload> find_payload(std::string_view bzimage);

}  // namespace nexcage::vm::boot
