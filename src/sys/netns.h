// Network namespaces that a file keeps alive (network_namespaces(7), ip-netns(8)).
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::sys {

/// Makes a network namespace with its loopback interface up and mounts it on the file `path`, which
/// is created (0444) and must not exist; it stays when the mount fails. The calling thread is back
/// in its own namespace afterwards; a process that cannot go back aborts.
Result<> make_network_namespace(const std::string& path);

/// Takes the mount and the file of `make_network_namespace` away. Missing is success.
Result<> remove_network_namespace(const std::string& path);

/// True for a file that is a network namespace (ioctl_ns(2)).
Result<bool> is_network_namespace(const std::string& path);

/// Which network namespace it is, as the kernel tells them apart.
struct NetworkId {
  std::uint64_t device = 0, inode = 0;
  bool operator==(const NetworkId&) const = default;
};
Result<NetworkId> network_id(int network_namespace);
/// That of the calling thread.
Result<NetworkId> own_network_id();

/// The calling thread is in another network namespace for as long as this lives, and so are the
/// children that it makes meanwhile. A process that cannot go back aborts.
class NetworkVisit {
 public:
  static Result<NetworkVisit> enter(int network_namespace);
  /// Into a new one, whose interfaces are all down.
  static Result<NetworkVisit> make();
  NetworkVisit(NetworkVisit&&) noexcept = default;
  NetworkVisit& operator=(NetworkVisit&&) = delete;
  NetworkVisit(const NetworkVisit&) = delete;
  NetworkVisit& operator=(const NetworkVisit&) = delete;
  ~NetworkVisit();

 private:
  explicit NetworkVisit(UniqueFd home) : home_(std::move(home)) {}
  UniqueFd home_;
};

}  // namespace nexcage::sys
