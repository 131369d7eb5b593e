// Device nodes, symbolic links and the terminal.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "nexcage/init/channel.h"
#include "nexcage/init/context.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/pty.h"

namespace nexcage::init {
namespace {

bool same_device(const struct stat& info, const sys::plan::MakeDevice& operation) {
  if ((info.st_mode & S_IFMT) != (operation.mode & S_IFMT)) return false;
  return S_ISFIFO(info.st_mode) || info.st_rdev == makedev(operation.major, operation.minor);
}

/// True when the name is free afterwards; false when the very device is there already.
Result<bool> clear_name(const Place& place, const sys::plan::MakeDevice& operation) {
  NX_TRY(auto info, sys::stat_at(place.parent.get(), place.name));
  if (!info) return true;
  if (same_device(*info, operation)) return false;
  if (::unlinkat(place.parent.get(), place.name.c_str(), 0) < 0)
    return fail_errno("replace what is there");
  return true;
}

}  // namespace

Result<> apply(const sys::plan::MakeDevice& operation, Context& context) {
  const std::string what = "device " + operation.target;
  NX_TRY(Place place, place_in_root(context, operation.target), what);
  NX_TRY(bool is_free, clear_name(place, operation), what);
  if (!is_free) return {};
  const int dir = place.parent.get();
  const char* name = place.name.c_str();
  if (::mknodat(dir, name, operation.mode, makedev(operation.major, operation.minor)) < 0)
    return fail_errno(what);
  if (::fchownat(dir, name, operation.uid, operation.gid, AT_SYMLINK_NOFOLLOW) < 0)
    return fail_errno(what);
  // After chown, which clears the set-id bits; umask is 0, so mknod gave the rest already.
  if ((operation.mode & (S_ISUID | S_ISGID)) != 0 &&
      ::fchmodat(dir, name, operation.mode & 07777, 0) < 0)
    return fail_errno(what);
  return {};
}

Result<> apply(const sys::plan::MakeSymlink& operation, Context& context) {
  const std::string what = "symbolic link " + operation.target;
  NX_TRY(Place place, place_in_root(context, operation.target), what);
  if (::symlinkat(operation.content.c_str(), place.parent.get(), place.name.c_str()) < 0 &&
      errno != EEXIST)
    return fail_errno(what);
  return {};
}

namespace {

struct Terminal {
  UniqueFd master, slave;
};

/// A pty of the container's devpts. The slave is opened from the master (TIOCGPTPEER), not by its
/// name, which something in the container could have replaced (CVE-2025-52565).
Result<Terminal> open_terminal(const Context& context) {
  Terminal terminal;
  NX_TRY(terminal.master, sys::open_in_root(context.root.get(), "/dev/pts/ptmx", O_RDWR | O_NOCTTY),
         "open the container's /dev/pts/ptmx");
  NX_TRY(bool is_devpts, sys::is_fs(terminal.master.get(), DEVPTS_SUPER_MAGIC));
  if (!is_devpts)
    return fail(Errc::InvalidSpec, "/dev/pts of the container is no devpts file system");
  int unlock = 0;
  if (::ioctl(terminal.master.get(), TIOCSPTLCK, &unlock) < 0)
    return fail_errno("unlock the terminal");
  terminal.slave.reset(::ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave) return fail_errno("open the terminal's slave");
  return terminal;
}

Result<> bind_console(const Context& context, int slave) {
  NX_TRY(Place place, place_in_root(context, "/dev/console"));
  UniqueFd target(::openat(place.parent.get(), "console", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!target && errno == ENOENT) {
    NX_TRY(target, sys::open_at(place.parent.get(), "console",
                                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  }
  if (!target) return fail_errno("open /dev/console");
  NX_TRY(struct stat info, sys::stat_fd(target.get()));
  if (S_ISLNK(info.st_mode))
    return fail(Errc::InvalidRootfs, "/dev/console of the image is a symbolic link");
  NX_TRY(UniqueFd clone, clone_of(slave, false, "the terminal"));
  return sys::attach(clone, target.get());
}

}  // namespace

Result<> apply(const sys::plan::OpenTerminal& operation, Context& context) {
  NX_TRY(Terminal terminal, open_terminal(context));
  if (operation.rows != 0 || operation.columns != 0)
    NX_CHECK(sys::set_window_size(terminal.slave.get(),
                                  {.rows = static_cast<std::uint16_t>(operation.rows),
                                   .columns = static_cast<std::uint16_t>(operation.columns)}),
             "window size");
  if (operation.bind_console) NX_CHECK(bind_console(context, terminal.slave.get()), "/dev/console");
  NX_CHECK(
      send(context.channel.get(), sys::plan::MessageKind::terminal, {}, terminal.master.get()));
  // Now, not when the process starts: containerd's shim reads what the runtime prints until nobody
  // holds the pipe any more, and asks for `start` only then.
  for (int fd : {0, 1, 2})
    if (::dup2(terminal.slave.get(), fd) < 0) return fail_errno("connect the terminal");
  context.terminal = std::move(terminal.slave);
  return {};
}

}  // namespace nexcage::init
