// The id maps of a container's user namespace, as the host needs them.
#pragma once

#include <cstdint>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/oci/spec.h"
#include "nexcage/sys/fs_ids.h"
#include "nexcage/sys/id_map.h"

namespace nexcage::runtime {

std::vector<sys::IdRange> ranges(const std::vector<oci::IdMapping>& mappings);

/// The container has a user namespace with maps of its own.
bool has_id_maps(const oci::Spec& spec);

/// The container's root on the host; ourselves where it has no user namespace.
struct RootIds {
  std::uint32_t uid = 0, gid = 0;
};
RootIds root_ids(const oci::Spec& spec);

/// As long as it lives, what we make in the container's tree belongs to its root.
Result<sys::FsIds> become_root(const oci::Spec& spec);

}  // namespace nexcage::runtime
