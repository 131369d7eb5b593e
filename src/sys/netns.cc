#include "nexcage/sys/netns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::sys {
namespace {

constexpr const char* kOwnNamespace = "/proc/thread-self/ns/net";

/// The kernel gives the interface its addresses when it comes up.
Result<> bring_loopback_up() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("open a socket");
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", sizeof "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return fail_errno("bring lo up");
  return {};
}

}  // namespace

Result<> make_network_namespace(const std::string& path) {
  const std::string what = "network namespace " + path;
  NX_TRY(UniqueFd file, open_at(AT_FDCWD, path, O_RDONLY | O_CREAT | O_EXCL, 0444), what);
  NX_TRY(const NetworkVisit inside, NetworkVisit::make(), what);
  NX_CHECK(bring_loopback_up(), what);
  // The file stands in our mount namespace: only the network is another one.
  if (::mount(kOwnNamespace, path.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return fail_errno("mount " + what);
  return {};
}

Result<> remove_network_namespace(const std::string& path) {
  NX_CHECK(unmount(path));
  return remove_file(AT_FDCWD, path);
}

Result<NetworkId> network_id(int network_namespace) {
  NX_TRY(const struct stat info, stat_fd(network_namespace));
  return NetworkId{.device = info.st_dev, .inode = info.st_ino};
}

Result<NetworkId> own_network_id() {
  NX_TRY(const UniqueFd own, open_at(AT_FDCWD, kOwnNamespace, O_RDONLY));
  return network_id(own.get());
}

Result<NetworkVisit> NetworkVisit::enter(int network_namespace) {
  NX_TRY(UniqueFd home, open_at(AT_FDCWD, kOwnNamespace, O_RDONLY));
  if (::setns(network_namespace, CLONE_NEWNET) != 0) return fail_errno("enter a network namespace");
  return NetworkVisit(std::move(home));
}

Result<NetworkVisit> NetworkVisit::make() {
  NX_TRY(UniqueFd home, open_at(AT_FDCWD, kOwnNamespace, O_RDONLY));
  if (::unshare(CLONE_NEWNET) != 0) return fail_errno("make a network namespace");
  return NetworkVisit(std::move(home));
}

NetworkVisit::~NetworkVisit() {
  if (!home_ || ::setns(home_.get(), CLONE_NEWNET) == 0) return;
  // Everything that this process did next would be done in the container's network.
  log::error(Error::from_errno("return to the host's network namespace"));
  std::abort();
}

Result<bool> is_network_namespace(const std::string& path) {
  NX_TRY(const UniqueFd fd, open_at(AT_FDCWD, path, O_RDONLY | O_NOCTTY | O_NONBLOCK));
  return ::ioctl(fd.get(), NS_GET_NSTYPE) == CLONE_NEWNET;
}

}  // namespace nexcage::sys
