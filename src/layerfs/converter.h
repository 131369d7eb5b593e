// The Converter that real use has: libexec/nexcage/image does the work.
#pragma once

#include <string>

#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs {

/// Runs `{libexec_dir}/image convert` for each stack (image/helper.h): what strangers made is
/// parsed in that confined process only. Its errors come back as they were.
Converter helper_converter(std::string libexec_dir);

}  // namespace nexcage::layerfs
