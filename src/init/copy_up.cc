// tmpcopyup: the tmpfs begins with what the image has at its place.
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nexcage/init/context.h"
#include "nexcage/sys/fs.h"

namespace nexcage::init {
namespace {

/// Deeper trees are not what tmpcopyup is for; the bound keeps the stack of the first process
/// small.
constexpr int kMaxDepth = 64;

Result<> copy_tree(int from, int to, int depth);

Result<> copy_file(int from, int to, const std::string& name, const struct stat& info) {
  NX_TRY(UniqueFd in, sys::open_at(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  NX_TRY(UniqueFd out, sys::open_at(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  for (;;) {
    ssize_t moved = ::sendfile(out.get(), in.get(), nullptr, 1 << 20);
    if (moved < 0) return fail_errno("copy " + name);
    if (moved == 0) break;
  }
  if (::fchown(out.get(), info.st_uid, info.st_gid) < 0) return fail_errno("owner of " + name);
  if (::fchmod(out.get(), info.st_mode & 07777) < 0) return fail_errno("mode of " + name);
  return {};
}

Result<> copy_dir(int from, int to, const std::string& name, const struct stat& info, int depth) {
  NX_TRY(UniqueFd in, sys::open_at(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (::mkdirat(to, name.c_str(), 0700) < 0) return fail_errno("make " + name);
  NX_TRY(UniqueFd out, sys::open_at(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  NX_CHECK(copy_tree(in.get(), out.get(), depth + 1));
  if (::fchown(out.get(), info.st_uid, info.st_gid) < 0) return fail_errno("owner of " + name);
  if (::fchmod(out.get(), info.st_mode & 07777) < 0) return fail_errno("mode of " + name);
  return {};
}

Result<> copy_entry(int from, int to, const std::string& name, int depth) {
  NX_TRY(auto info, sys::stat_at(from, name));
  if (!info) return {};
  if (S_ISDIR(info->st_mode)) return copy_dir(from, to, name, *info, depth);
  if (S_ISREG(info->st_mode)) return copy_file(from, to, name, *info);
  if (!S_ISLNK(info->st_mode)) return {};  // devices and sockets are not content
  NX_TRY(std::string target, sys::read_link(from, name));
  if (::symlinkat(target.c_str(), to, name.c_str()) < 0) return fail_errno("link " + name);
  if (::fchownat(to, name.c_str(), info->st_uid, info->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
    return fail_errno("owner of " + name);
  return {};
}

Result<> copy_tree(int from, int to, int depth) {
  if (depth > kMaxDepth) return fail(Errc::InvalidRootfs, "tmpcopyup: the directory is too deep");
  NX_TRY(std::vector<std::string> names, sys::list_dir(from));
  for (const std::string& name : names) NX_CHECK(copy_entry(from, to, name, depth));
  return {};
}

}  // namespace

Result<> copy_up(int from, int to) {
  NX_TRY(UniqueFd source, sys::open_at(from, ".", O_RDONLY | O_DIRECTORY));
  NX_TRY(UniqueFd target, sys::open_at(to, ".", O_RDONLY | O_DIRECTORY));
  NX_TRY(struct stat info, sys::stat_fd(source.get()));
  NX_CHECK(copy_tree(source.get(), target.get(), 0));
  if (::fchown(target.get(), info.st_uid, info.st_gid) < 0) return fail_errno("owner of the copy");
  if (::fchmod(target.get(), info.st_mode & 07777) < 0) return fail_errno("mode of the copy");
  return {};
}

}  // namespace nexcage::init
