// libexec/nexcage/lxc: has liblxc make a container's namespaces, id maps and network, then stays
// until it is killed: the runtime ends it (SIGKILL) when init is there, and init goes on under the
// caller's subreaper (docs/adr/0001). Usage:
//
//   lxc NAME CONFIG_FD CHANNEL_FD INIT_FD
//
// NAME: liblxc's name for it; its "path" is "/." ("/" would be cut to nothing), where liblxc looks
// for nothing that could be there, and which a user namespace may enter. CONFIG_FD: lines
// "key=value". CHANNEL_FD: the socket that init inherits; failures are told there. INIT_FD: the
// sealed copy of init, executed by descriptor.
#include <errno.h>  // NOLINT(modernize-deprecated-headers): lxccontainer.h needs the macros first
#include <fcntl.h>
#include <lxc/lxccontainer.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/plan_message.h"
#include "nexcage/sys/pty.h"

namespace {

/// Set once by main and configure, read in the child that liblxc clones.
int g_init_fd = -1;
bool g_new_cgroup_namespace = false;

using nexcage::Errc;
using nexcage::Result;

void report(int channel, const std::string& text) {
  nexcage::sys::plan::Failure failure{.code = static_cast<std::uint32_t>(Errc::LXCError),
                                      .error = 0,
                                      .operation = -1,
                                      .text = text};
  std::string message(1, static_cast<char>(nexcage::sys::plan::MessageKind::failed));
  // When even this fails, the runtime sees the socket close and reads liblxc's log.
  (void)nexcage::sys::send_message(channel, message + nexcage::sys::plan::encode(failure));
}

Result<> configure(lxc_container* container, std::string_view config) {
  for (const std::string& line : nexcage::split(config, '\n')) {
    std::size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string key = line.substr(0, equals);
    const std::string value = line.substr(equals + 1);
    if (key == "lxc.namespace.clone")
      g_new_cgroup_namespace = value.find("cgroup") != std::string::npos;
    if (!container->set_config_item(container, key.c_str(), value.c_str()))
      return nexcage::fail(Errc::LXCError, "liblxc refuses " + key + " = " + nexcage::quote(value));
  }
  return {};
}

/// The runtime makes the container's cgroups while this process loads, and tells the files by which
/// to get into them; what is cloned after that is born there.
Result<> enter_cgroups(int channel) {
  NX_TRY(nexcage::sys::Message message, nexcage::sys::receive_message(channel));
  if (message.data.empty()) ::_exit(1);  // the runtime is gone
  for (const std::string& file : nexcage::split(message.data.substr(1), '\n')) {
    if (file.empty()) continue;
    NX_TRY(nexcage::UniqueFd fd, nexcage::sys::open_at(AT_FDCWD, file, O_WRONLY));
    NX_CHECK(nexcage::sys::write_all(fd.get(), "0"), "enter the cgroup of " + file);
  }
  return {};
}

/// Returns only when no container was made, or it has ended before the runtime took it over.
Result<> run(const char* name_of_container, int config_fd, int channel) {
  NX_TRY(std::string config, nexcage::sys::read_all(config_fd), "read the LXC configuration");
  lxc_container* container = lxc_container_new(name_of_container, "/.");
  if (container == nullptr)
    return nexcage::fail(Errc::LXCError, "liblxc makes no container object");
  container->clear_config(container);
  NX_CHECK(configure(container, config));
  NX_CHECK(enter_cgroups(channel));
  container->want_daemonize(container, false);
  container->want_close_all_fds(container, false);
  std::string channel_number = std::to_string(channel);
  std::string name = "nexcage-init";
  std::array<char*, 3> argv = {name.data(), channel_number.data(), nullptr};
  (void)container->start(container, 0, argv.data());
  return nexcage::fail(Errc::LXCError, "liblxc did not start the container");
}

}  // namespace

/// Takes the place of libc's for liblxc, whose only use of it is to execute the container's init:
/// liblxc leaves the new mount namespace without /proc, so there is no path to a sealed memfd, only
/// its descriptor.
extern "C" int execvp(const char*, char* const argv[]) noexcept {
  return ::execveat(g_init_fd, "", argv, environ, AT_EMPTY_PATH);
}

/// In the place of libc's, too. liblxc makes cgroups for itself and for the container in every
/// hierarchy that it finds writable, and for no other purpose asks whether something is. The
/// runtime makes the container's cgroups (docs/adr/0008); liblxc is told that it may not write, and
/// then does without, as for a user without privileges.
extern "C" int faccessat(int dir, const char* path, int mode, int flags) noexcept {
  if (mode == W_OK) {
    errno = EACCES;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_faccessat2, dir, path, mode, flags));
}

/// And here: with any namespace given by path liblxc makes a new cgroup namespace unasked, and by
/// no other call than this one.
extern "C" int unshare(int flags) noexcept {
  if (!g_new_cgroup_namespace) flags &= ~CLONE_NEWCGROUP;
  return static_cast<int>(::syscall(SYS_unshare, flags));
}

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  auto number = [&](int index) {
    return static_cast<int>(nexcage::parse_u64(argv[index]).value_or(UINT16_MAX));
  };
  const int config_fd = number(2);
  const int channel = number(3);
  g_init_fd = number(4);
  (void)::fcntl(config_fd, F_SETFD, FD_CLOEXEC);
  (void)::fcntl(g_init_fd, F_SETFD, FD_CLOEXEC);
  auto done = run(argv[1], config_fd, channel);
  if (!done) report(channel, done.error().message());
  return 1;
}
