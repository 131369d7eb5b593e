#include "nexcage/runtime/id_maps.h"

#include <unistd.h>

namespace nexcage::runtime {
namespace {

std::uint32_t root_of(const std::vector<oci::IdMapping>& mappings, std::uint32_t own) {
  for (const oci::IdMapping& mapping : mappings)
    if (mapping.container_id == 0) return mapping.host_id;
  return own;
}

}  // namespace

bool has_id_maps(const oci::Spec& spec) {
  return spec.linux_ && !spec.linux_->uid_mappings.empty();
}

std::vector<sys::IdRange> ranges(const std::vector<oci::IdMapping>& mappings) {
  std::vector<sys::IdRange> ranges;
  ranges.reserve(mappings.size());
  for (const oci::IdMapping& mapping : mappings)
    ranges.push_back(
        {.inside = mapping.container_id, .outside = mapping.host_id, .count = mapping.size});
  return ranges;
}

RootIds root_ids(const oci::Spec& spec) {
  if (!spec.linux_) return {.uid = geteuid(), .gid = getegid()};
  return {.uid = root_of(spec.linux_->uid_mappings, geteuid()),
          .gid = root_of(spec.linux_->gid_mappings, getegid())};
}

Result<sys::FsIds> become_root(const oci::Spec& spec) {
  const RootIds root = root_ids(spec);
  return sys::FsIds::become(root.uid, root.gid);
}

}  // namespace nexcage::runtime
