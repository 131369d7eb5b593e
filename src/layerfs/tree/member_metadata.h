// The metadata that a tar member asks for, as far as an image may ask.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/image/content/tar_reader.h"
#include "nexcage/layerfs/metadata.h"

namespace nexcage::layerfs::tree {

/// What a tar member asks for. InvalidImage for ids that are no ids (2^32-1 and above), times that
/// are no times, and attributes of the trusted.overlay namespace: those would make the kernel's
/// overlay do things. Labels of the host's own policy (security.selinux, security.ima,
/// security.evm) and NFS ACLs are left out, as umoci does: they mean nothing on this host.
Result<Metadata> metadata_of(const image::content::TarEntry& entry);

}  // namespace nexcage::layerfs::tree
