// The metadata that a tar member asks for, as far as an image may ask.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/image/content/tar_reader.h"
#include "nexcage/layerfs/metadata.h"

namespace nexcage::layerfs::tree {

/// What a tar member asks for. InvalidImage for ids that are no ids (2^32-1 and above), times that
/// are no times, and extended attributes as set_xattrs() has it.
Result<Metadata> metadata_of(const image::content::TarEntry& entry);

/// InvalidImage for a symlink whose target is empty or longer than 4095 bytes: the kernel has no
/// such links. Ok for all other members.
Result<> check_target(const image::content::TarEntry& entry);

/// InvalidImage for a device number that the kernel has no room for, and for the character device
/// 0:0. Ok for all other members.
Result<> check_device(const image::content::TarEntry& entry);

}  // namespace nexcage::layerfs::tree
