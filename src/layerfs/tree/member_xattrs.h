// Extended attributes that a tar member asks for.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/image/content/tar_reader.h"
#include "nexcage/layerfs/metadata.h"

namespace nexcage::layerfs::tree {

/// Puts the member's attributes into `metadata`; an access control list may change its mode, as the
/// kernel does.
///
/// Left out is what Linux has no place for, as containerd and Docker do: names outside of its
/// namespaces (macOS' tar writes such), user.* and access control lists where xattr(7) and acl(5)
/// know none; and labels of the host's own policy (security.selinux, security.ima, security.evm),
/// which mean nothing on this host.
///
/// InvalidImage for attributes of the trusted.overlay namespace: those would make the kernel's
/// overlay do things; for names above 255 and values above 65535 bytes; for capabilities and lists
/// that are none.
Result<> set_xattrs(const image::content::TarEntry& entry, Metadata& metadata);

}  // namespace nexcage::layerfs::tree
