// What is asked of a cluster again and again.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/backends/proxmox/api.h"
#include "nexcage/pve/version.h"

namespace nexcage::backends::proxmox {

struct StorageInfo {
  std::string name, type;
  std::vector<std::string> content;  // "rootdir", "vztmpl" ...
  bool shared = false;
  std::uint64_t available = 0;  // bytes
  bool holds(std::string_view kind) const;
  /// Guests on it can be linked clones of a template guest.
  bool can_clone() const;
  /// Containers' volumes are datasets, not images.
  bool has_subvolumes() const { return type == "zfspool"; }
  /// Volumes are files with names that end in their format.
  bool is_file_based() const;
};

/// What Proxmox VE has: containers and virtual machines.
enum class GuestKind : std::uint8_t { lxc, qemu };

/// One node of a cluster, and its guests of one kind.
class Cluster {
 public:
  /// Unsupported for a release before 8.4; ProxmoxError when no node is online.
  static Result<Cluster> open(std::shared_ptr<Api> api, const ProxmoxSetup& setup,
                              GuestKind kind = GuestKind::lxc);

  Api& api() const { return *api_; }
  const ProxmoxSetup& setup() const { return *setup_; }
  const pve::Version& version() const { return version_; }
  const std::string& node() const { return node_; }
  /// The same cluster, another node of it.
  Cluster on(std::string node) const;

  std::string node_path() const { return "/nodes/" + node_; }
  GuestKind kind() const { return kind_; }
  std::string guest_path() const {
    return node_path() + (kind_ == GuestKind::lxc ? "/lxc" : "/qemu");
  }
  std::string guest_path(std::uint64_t vmid) const {
    return guest_path() + "/" + std::to_string(vmid);
  }

  /// The storages of the node that are on, in the cluster's order.
  Result<std::vector<StorageInfo>> storages() const;
  /// The one of this name, or, when it is empty, the best that holds this kind of content: one that
  /// can clone first, then the one with most room. ConfigError when there is none.
  Result<StorageInfo> storage_for(std::string_view kind, const std::string& name) const;
  /// A VMID that is free now; another client may take it before us.
  Result<std::uint64_t> free_vmid() const;

  /// A guest's settings; nullopt when it is not there.
  Result<std::optional<pve::Params>> config(std::uint64_t vmid) const;
  /// The node that has the guest now; nullopt when no node has it.
  Result<std::optional<std::string>> node_of(std::uint64_t vmid) const;
  /// POST lxc or qemu, to the end of the task. PermissionDenied names the privilege.
  Result<> make(const pve::Params& params) const;
  /// PUT config: all at once or not at all.
  Result<> set(std::uint64_t vmid, const pve::Params& changes) const;

 private:
  Cluster(std::shared_ptr<Api> api, const ProxmoxSetup& setup, GuestKind kind)
      : api_(std::move(api)), setup_(&setup), kind_(kind) {}
  std::shared_ptr<Api> api_;
  const ProxmoxSetup* setup_;
  GuestKind kind_;
  pve::Version version_;
  std::string node_;
};

}  // namespace nexcage::backends::proxmox
