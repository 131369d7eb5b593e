// Images as templates of a node: one archive for each digest and storage, and, where the storage
// can clone, one template guest that all others are linked clones of.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/proxmox/cluster.h"
#include "nexcage/pve/launch.h"

namespace nexcage::backends::proxmox {

/// An archive on a storage.
struct Template {
  std::string volume;  // "local:vztmpl/nexcage-0123456789abcdef.tar.gz"
  std::uint64_t archive_bytes = 0;
};

/// What the template of an image runs, unless its guest says otherwise.
Result<pve::Launch> launch_of_image(const GuestImage& image);

struct FoundTemplate {
  std::string volume;      // of an archive; of a template guest, its tag
  std::uint64_t vmid = 0;  // of a template guest
  std::uint64_t bytes = 0;
  std::string mark{};    // of a template guest: its file (template_marks.h)
  bool is_used = false;  // a guest of this cluster has its digest, or an earlier root of it
};
/// Templates that a command has brought to the cluster, in this order: those of one that fails go
/// again (remove_new).
using NewTemplates = std::vector<FoundTemplate>;

/// The image's archive on the storage for templates: found there, or made and brought there.
Result<Template> ensure_template(const Cluster& cluster, const GuestImage& image,
                                 const std::string& libexec, NewTemplates& made);

/// The template guest of the image on this storage: one that this machine has made and that still
/// has the token in its notes, or a new one. Nothing is left of one that could not be made.
Result<std::uint64_t> ensure_template_guest(const Cluster& cluster, const GuestImage& image,
                                            const StorageInfo& storage, const std::string& libexec,
                                            NewTemplates& made);

/// The image's root file system as a disk to import: found on the storage for imports, or made and
/// brought there. Its volume.
Result<std::string> ensure_root_disk(const Cluster& cluster, const GuestImage& image,
                                     NewTemplates& made);

/// A linked clone of it; waits while another command clones it.
Result<> clone_template(const Cluster& cluster, std::uint64_t base, const pve::Params& params);

/// "SIZE" in GiB of a root volume that the archive fits into, with room to write.
std::string root_size(std::uint64_t archive_bytes);

/// Removes what the command has made, and forgets it. Another command that has found it meanwhile
/// makes it again, or has a clone of it: then it stays.
Result<> remove_new(const Cluster& cluster, NewTemplates& made);

/// The archives on the node's storages and the template guests that this machine has made.
Result<std::vector<FoundTemplate>> list_templates(const Cluster& cluster);
Result<> remove_template(const Cluster& cluster, const FoundTemplate& found);

}  // namespace nexcage::backends::proxmox
