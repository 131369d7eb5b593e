// Id-mapped mounts (config.md, "Mounts": uidMappings, gidMappings; options idmap and ridmap).
#include "nexcage/backends/lxc/plan.h"

namespace nexcage::backends::lxc {

Result<std::optional<IdMap>> plan_id_map(const oci::Spec& spec, const oci::Mount& mount,
                                         const sys::MountOptions& options) {
  const bool maps = !mount.uid_mappings.empty() || !mount.gid_mappings.empty();
  if (!maps && !options.idmap) return std::optional<IdMap>();
  const std::string field = "mount " + mount.destination;
  if (mount.uid_mappings.empty() != mount.gid_mappings.empty())
    return fail(Errc::InvalidConfig, field + ": uidMappings and gidMappings go together");
  IdMap out{.uids = mount.uid_mappings,
            .gids = mount.gid_mappings,
            .namespace_path = {},
            .recursive = options.idmap_recursive};
  if (maps) return out;
  // Without maps of its own: as the container's user namespace sees it.
  const oci::Namespace* user = spec.linux_->find(oci::NamespaceType::user);
  if (user == nullptr)
    return fail(Errc::InvalidConfig,
                field + ": idmap without mappings, and the container has no user namespace");
  out.uids = spec.linux_->uid_mappings;
  out.gids = spec.linux_->gid_mappings;
  out.namespace_path = user->path;
  return out;
}

}  // namespace nexcage::backends::lxc
