#include "nexcage/vm/host/shares.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/pty.h"

namespace nexcage::vm::host {
namespace {

constexpr int kListenFd = 3;

Result<> own_mount_namespace() {
  if (::unshare(CLONE_NEWNS) != 0) return fail_errno("make a mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    return fail_errno("leave the host's mounts alone");
  return {};
}

/// The directory that the daemon is to serve: a mount of the source, or an empty directory with a
/// mount of the one file in it.
Result<std::string> mount_share(const std::string& base, const Share& share) {
  std::string directory = base + "/" + share.tag;
  NX_CHECK(sys::mkdirs(directory, 0700));
  std::string target = directory;
  if (share.file) {
    target += std::string("/") + kSharedFile;
    NX_TRY(UniqueFd made, sys::open_at(AT_FDCWD, target, O_WRONLY | O_CREAT | O_EXCL, 0600));
  }
  const auto recursive = share.recursive ? sys::Recursive::yes : sys::Recursive::no;
  NX_TRY(const sys::DetachedMount mount, sys::clone_mount(AT_FDCWD, share.source, recursive));
  // What the host mounts below the source later would come along, and without the attribute.
  NX_CHECK(sys::set_attributes(mount.get(), share.read_only ? MOUNT_ATTR_RDONLY : 0, 0, MS_PRIVATE,
                               sys::Recursive::yes));
  NX_CHECK(sys::attach(mount, target));
  return directory;
}

Result<ServedShare> serve(const Launch& launch, int state_dir, const std::string& base,
                          const Share& share) {
  NX_TRY(const std::string directory, mount_share(base, share));
  const std::string name = "share-" + share.tag + ".sock";
  NX_TRY(UniqueFd listener, sys::listen_unix(state_dir, name, SOCK_STREAM, 0600));
  NX_TRY(UniqueFd connection, sys::connect_unix(launch.state_dir + "/" + name, SOCK_STREAM));
  NX_CHECK(sys::remove_file(state_dir, name));
  sys::Command command;
  command.argv = virtiofsd_argv(launch, directory, kListenFd);
  command.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  command.cwd = "/";
  command.fds = {{listener.get(), kListenFd}};
  NX_TRY(UniqueFd null, sys::open_at(AT_FDCWD, "/dev/null", O_RDWR));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    command.fds.emplace_back(null.get(), fd);
  command.new_session = true;
  command.die_with_parent = true;
  NX_TRY(sys::Child daemon, sys::Child::spawn(command), "start " + launch.virtiofsd);
  return ServedShare{.source = share.source,
                     .tag = share.tag,
                     .connection = std::move(connection),
                     .daemon = std::move(daemon)};
}

}  // namespace

std::vector<std::string> virtiofsd_argv(const Launch& launch, const std::string& directory,
                                        int fd) {
  if (launch.dialect == Virtiofsd::c)
    return {launch.virtiofsd,
            "--fd=" + std::to_string(fd),
            "-o",
            "source=" + directory,
            "-o",
            "cache=auto",
            "-o",
            "xattr",
            "-o",
            "sandbox=namespace"};
  return {launch.virtiofsd, "--fd", std::to_string(fd), "--shared-dir", directory,
          "--cache",        "auto", "--xattr",          "--sandbox",    "namespace"};
}

Result<std::vector<ServedShare>> serve_shares(const Launch& launch) {
  std::vector<ServedShare> out;
  if (launch.shares.empty()) return out;
  NX_CHECK(own_mount_namespace());
  NX_TRY(UniqueFd state_dir, sys::open_at(AT_FDCWD, launch.state_dir, O_RDONLY | O_DIRECTORY));
  const std::string base = launch.state_dir + "/shares";
  NX_CHECK(sys::mkdirs(base, 0700));
  if (::mount("tmpfs", base.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "mode=0700,size=1m") != 0)
    return fail_errno("mount a tmpfs for the shares");
  for (const Share& share : launch.shares) {
    NX_TRY(ServedShare served, serve(launch, state_dir.get(), base, share),
           "share " + share.source + " with the guest");
    out.push_back(std::move(served));
  }
  return out;
}

}  // namespace nexcage::vm::host
