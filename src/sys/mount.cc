#include "nexcage/sys/mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::sys {
namespace {

/// fsconfig(2) takes strings of up to 255 bytes.
constexpr std::size_t kMaxParam = 255;

unsigned recursive_flag(Recursive recursive) {
  return recursive == Recursive::yes ? static_cast<unsigned>(AT_RECURSIVE) : 0;
}

/// The kernel's words about what went wrong: one message per read(2), each "e ...", "w ..." or
/// "i ...".
std::string kernel_messages(int context) {
  std::string out;
  std::array<char, 1024> buffer;
  for (ssize_t n; (n = ::read(context, buffer.data(), buffer.size())) > 0;) {
    std::string_view line = trim({buffer.data(), static_cast<std::size_t>(n)});
    if (line.size() > 2 && line[1] == ' ') line.remove_prefix(2);
    out += ": ";
    out += line;
  }
  return out;
}

/// An error of errno `err` with what the kernel says about it.
std::unexpected<Error> context_error(int err, int context, std::string what) {
  return fail_errno(err, std::move(what) + kernel_messages(context));
}

std::string describe(const FsParam& param) {
  if (param.is_flag) return param.key;
  if (param.fd >= 0) return param.key + " (descriptor)";
  return param.key + "=" + param.value;
}

int set_param(int context, const FsParam& param) {
  const char* key = param.key.c_str();
  if (param.is_flag) return ::fsconfig(context, FSCONFIG_SET_FLAG, key, nullptr, 0);
  if (param.fd >= 0) return ::fsconfig(context, FSCONFIG_SET_FD, key, nullptr, param.fd);
  return ::fsconfig(context, FSCONFIG_SET_STRING, key, param.value.c_str(), 0);
}

}  // namespace

Result<DetachedMount> new_mount(const std::string& fstype, const std::vector<FsParam>& params,
                                std::uint64_t attributes) {
  const std::string what = "mount " + fstype;
  UniqueFd context(::fsopen(fstype.c_str(), FSOPEN_CLOEXEC));
  if (!context && errno == ENODEV)
    return fail(Error::from_errno(Errc::Unsupported, ENODEV, what)
                    .hint("this kernel has no file system \"" + fstype + "\""));
  if (!context) return fail_errno(what);
  for (const FsParam& param : params) {
    if (param.value.size() > kMaxParam)
      return fail_errno(E2BIG, what + ": option " + quote(describe(param)));
    if (set_param(context.get(), param) != 0)
      return context_error(errno, context.get(), what + ": option " + quote(describe(param)));
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return context_error(errno, context.get(), what);
  UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes)));
  if (!mount) return context_error(errno, context.get(), what);
  return mount;
}

Result<DetachedMount> clone_mount(int dir, const std::string& path, Recursive recursive) {
  const unsigned empty = path.empty() ? static_cast<unsigned>(AT_EMPTY_PATH) : 0;
  UniqueFd mount(::open_tree(dir, path.c_str(),
                             OPEN_TREE_CLONE | static_cast<unsigned>(OPEN_TREE_CLOEXEC) | empty |
                                 recursive_flag(recursive)));
  if (!mount) return fail_errno("clone the mount at " + (path.empty() ? "a descriptor" : path));
  return mount;
}

Result<> attach(const DetachedMount& mount, int target) {
  constexpr unsigned kFlags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  if (::move_mount(mount.get(), "", target, "", kFlags) != 0) return fail_errno("attach a mount");
  return {};
}

Result<> attach(const DetachedMount& mount, const std::string& path) {
  // Without MOVE_MOUNT_T_SYMLINKS: a link in place of the target is not followed.
  if (::move_mount(mount.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return fail_errno("attach a mount to " + path);
  return {};
}

Result<> set_attributes(int fd, std::uint64_t set, std::uint64_t clear, std::uint64_t propagation,
                        Recursive recursive) {
  if (set == 0 && clear == 0 && propagation == 0) return {};
  mount_attr attributes{};
  attributes.attr_set = set;
  // mount_setattr(2): the access time setting is a number, not a bit; it is always cleared whole.
  attributes.attr_clr =
      clear | (((set | clear) & MOUNT_ATTR__ATIME) != 0 ? std::uint64_t{MOUNT_ATTR__ATIME} : 0);
  attributes.propagation = propagation;
  const unsigned flags = static_cast<unsigned>(AT_EMPTY_PATH) | recursive_flag(recursive);
  if (::mount_setattr(fd, "", static_cast<int>(flags), &attributes, sizeof attributes) != 0)
    return fail_errno("change the attributes of a mount");
  return {};
}

Result<> unmount(const std::string& path) {
  if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return {};
  if (errno == EINVAL || errno == ENOENT) return {};
  return fail_errno("unmount " + path);
}

}  // namespace nexcage::sys
