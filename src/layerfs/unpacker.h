// The Unpacker that real use has: libexec/nexcage/image does the work.
#pragma once

#include <string>

#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs {

/// Runs `{libexec_dir}/image unpack` for each layer (image/helper.h): what strangers made is parsed
/// in that confined process only. Its errors come back as they were.
Unpacker helper_unpacker(std::string libexec_dir);

}  // namespace nexcage::layerfs
