// Opening and making directories: the functions of fs.h that resolve names.
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ranges>
#include <vector>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/fs_resolve.h"

namespace nexcage::sys {
namespace {

/// Races that make the kernel give up are rare; an attacker who renames in a loop must not be able
/// to hold us for ever.
constexpr int kResolveTries = 128;

bool creates(int flags) { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

Result<UniqueFd> open_resolved(int dir, const std::string& path, int flags, mode_t mode,
                               std::uint64_t resolve) {
  UniqueFd fd(openat2_retry(dir, path.c_str(), flags, mode, resolve));
  if (fd) return fd;
  Error error = Error::from_errno("open " + path);
  if (error.sys_errno() == ENOSYS)
    return fail(std::move(error).as(Errc::Unsupported).hint("openat2 needs Linux 5.6 or later"));
  return fail(std::move(error));
}

/// The components that name something: without empty ones and ".".
std::vector<std::string> components(const std::string& path) {
  std::vector<std::string> out;
  for (std::string& part : split(path, '/'))
    if (!part.empty() && part != ".") out.push_back(std::move(part));
  return out;
}

/// Makes `name` in `dir` unless it is there, and opens it; a symlink in its place is refused.
Result<UniqueFd> enter_or_make(int dir, const std::string& name, mode_t mode) {
  if (::mkdirat(dir, name.c_str(), mode) != 0 && errno != EEXIST)
    return fail_errno("make directory " + name);
  return open_beneath(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

Result<> check_directory(const std::string& path) {
  NX_CHECK(open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY));
  return {};
}

}  // namespace

int openat2_retry(int dir, const char* path, int flags, mode_t mode, std::uint64_t resolve) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.mode = creates(flags) ? mode : 0;
  how.resolve = resolve;
  for (int tries = kResolveTries; tries > 0; --tries) {
    const long fd = ::syscall(SYS_openat2, dir, path, &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    if (errno != EAGAIN && errno != EINTR) return -1;
  }
  return -1;
}

std::pair<std::string, std::string> split_last(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {"", std::string(path)};
  std::string_view parent = path.substr(0, slash);
  while (parent.ends_with('/')) parent.remove_suffix(1);
  return {parent.empty() ? "/" : std::string(parent), std::string(path.substr(slash + 1))};
}

Result<UniqueFd> open_at(int dir, const std::string& path, int flags, mode_t mode) {
  int fd = -1;
  do fd = ::openat(dir, path.c_str(), flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return fail_errno("open " + path);
  return UniqueFd(fd);
}

Result<UniqueFd> open_in_root(int root, const std::string& path, int flags, mode_t mode) {
  return open_resolved(root, path.empty() ? "." : path, flags, mode,
                       RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

Result<UniqueFd> open_beneath(int dir, const std::string& path, int flags, mode_t mode) {
  return open_resolved(dir, path.empty() ? "." : path, flags, mode,
                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

Result<UniqueFd> mkdirs_in_root(int root, const std::string& path, mode_t mode) {
  const std::vector<std::string> parts = components(path);
  // The longest part of the path that exists, resolved from the root each time: an absolute symlink
  // in it must start at `root` again.
  std::size_t present = parts.size();
  UniqueFd dir;
  for (;; --present) {
    const std::string prefix = join(std::span(parts).first(present), "/");
    auto opened = open_in_root(root, prefix, O_PATH | O_DIRECTORY);
    if (opened) {
      dir = *std::move(opened);
      break;
    }
    if (present == 0 || opened.error().sys_errno() != ENOENT)
      return fail(std::move(opened).error().wrap("make directory " + path));
  }
  for (std::size_t i = present; i < parts.size(); ++i) {
    // Below a directory that is made now, ".." has no meaning an honest path would need.
    if (parts[i] == "..")
      return fail_errno(ENOENT, "make directory " + path + ": \"..\" below a missing directory");
    NX_TRY(dir, enter_or_make(dir.get(), parts[i], mode), "make directory " + path);
  }
  return dir;
}

Result<> mkdirs(const std::string& path, mode_t mode) {
  std::vector<std::string> missing;
  for (std::string at = path;;) {
    if (::mkdir(at.c_str(), mode) == 0 || errno == EEXIST) break;
    if (errno != ENOENT) return fail_errno("make directory " + at);
    const auto [parent, last] = split_last(at);
    if (parent.empty() || parent == at) return fail_errno(ENOENT, "make directory " + at);
    missing.push_back(std::move(at));
    at = parent;
  }
  for (const std::string& dir : missing | std::views::reverse)
    if (::mkdir(dir.c_str(), mode) != 0 && errno != EEXIST)
      return fail_errno("make directory " + dir);
  NX_CHECK(check_directory(path), "make directory " + path);
  return {};
}

Result<UniqueFd> reopen(int fd, int flags) {
  NX_TRY(UniqueFd table, open_at(AT_FDCWD, "/proc/self/fd", O_PATH | O_DIRECTORY));
  NX_TRY(const bool genuine, is_fs(table.get(), PROC_SUPER_MAGIC));
  if (!genuine)
    return fail(Error(Errc::FileError, "/proc is not a proc file system")
                    .hint("mount proc on /proc in this mount namespace"));
  NX_TRY(UniqueFd again, open_at(table.get(), std::to_string(fd), flags), "reopen a descriptor");
  // Something may be mounted over the entry in /proc: what was opened must be the same file.
  NX_TRY(const struct stat before, stat_fd(fd));
  NX_TRY(const struct stat after, stat_fd(again.get()));
  if (before.st_dev != after.st_dev || before.st_ino != after.st_ino)
    return fail(Errc::FileError, "reopen a descriptor: /proc/self/fd led to another file");
  return again;
}

std::string fd_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

}  // namespace nexcage::sys
