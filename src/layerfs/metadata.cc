#include "nexcage/layerfs/metadata.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs {
namespace {

/// Names the file for the path-based xattr calls, which have no *at form before Linux 6.13. The
/// last component is not followed by the l*xattr calls.
std::string path_at(int dir, const std::string& name) { return sys::fd_path(dir) + "/" + name; }

/// `set` is fsetxattr or lsetxattr, `file` what it takes.
template <class File>
Result<> set_xattrs(int (*set)(File, const char*, const void*, std::size_t, int), File file,
                    const Metadata& metadata) {
  for (const auto& [name, value] : metadata.xattrs)
    if (set(file, name.c_str(), value.data(), value.size(), 0) != 0)
      return fail_errno("set extended attribute " + quote(name));
  return {};
}

std::array<timespec, 2> times_of(const Metadata& metadata) {
  return {metadata.atime, metadata.mtime};
}

/// Calls `read(buffer, size)` with a growing buffer until the answer fits; -1 with errno as the
/// xattr calls have it.
template <class Read>
Result<std::string> read_growing(std::size_t limit, const std::string& what, Read read) {
  std::string buffer(1024, '\0');
  while (true) {
    const ssize_t got = read(buffer.data(), buffer.size());
    if (got >= 0) {
      buffer.resize(static_cast<std::size_t>(got));
      return buffer;
    }
    if (errno != ERANGE || buffer.size() > limit) return fail_errno(what);
    buffer.resize(buffer.size() * 4);
  }
}

Result<std::string> read_xattr(const std::string& path, const std::string& name) {
  return read_growing(XATTR_SIZE_MAX, "read extended attribute " + quote(name),
                      [&](char* data, std::size_t size) {
                        return lgetxattr(path.c_str(), name.c_str(), data, size);
                      });
}

/// Names, each ended by NUL.
Result<std::string> list_xattrs(const std::string& path) {
  auto names = read_growing(
      XATTR_LIST_MAX, "list extended attributes",
      [&](char* data, std::size_t size) { return llistxattr(path.c_str(), data, size); });
  if (!names && names.error().sys_errno() == EOPNOTSUPP) return std::string();
  return names;
}

}  // namespace

Result<Metadata> read_metadata(int dir, const std::string& name) {
  struct stat info{};
  if (fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("stat " + quote(name));
  Metadata metadata{.mode = info.st_mode & 07777,
                    .uid = info.st_uid,
                    .gid = info.st_gid,
                    .atime = info.st_atim,
                    .mtime = info.st_mtim,
                    .xattrs = {}};
  const std::string path = path_at(dir, name);
  NX_TRY(const std::string names, list_xattrs(path));
  for (std::string& attribute : split(names, '\0')) {
    if (attribute.empty() || attribute.starts_with(kOverlayAttributes)) continue;
    NX_TRY(std::string value, read_xattr(path, attribute));
    metadata.xattrs.emplace(std::move(attribute), std::move(value));
  }
  return metadata;
}

Result<> make_plain_directory(int fd) {
  if (fchown(fd, 0, 0) != 0) return fail_errno("set the directory's owner");
  if (fchmod(fd, 0700) != 0) return fail_errno("set the directory's mode");
  for (const char* acl : {"system.posix_acl_default", "system.posix_acl_access"})
    if (fremovexattr(fd, acl) != 0 && errno != ENODATA && errno != EOPNOTSUPP)
      return fail_errno("remove the directory's ACL");
  return {};
}

Result<> apply_metadata(int fd, const Metadata& metadata, ModeState mode_state) {
  // We are root: a new file is 0:0 already. No directory has its set-group-ID bit or default ACL
  // yet while files are made (Extractor sets these last), so nothing is inherited.
  const bool change_owner = metadata.uid != 0 || metadata.gid != 0;
  const bool loses_bits = change_owner && (metadata.mode & (S_ISUID | S_ISGID)) != 0;
  if (change_owner && fchown(fd, metadata.uid, metadata.gid) != 0) return fail_errno("set owner");
  if ((mode_state == ModeState::set_it || loses_bits) && fchmod(fd, metadata.mode) != 0)
    return fail_errno("set mode");
  NX_CHECK(set_xattrs(fsetxattr, fd, metadata));
  if (futimens(fd, times_of(metadata).data()) != 0) return fail_errno("set times");
  return {};
}

Result<> apply_metadata_at(int dir, const std::string& name, const Metadata& metadata,
                           mode_t file_type) {
  if (fchownat(dir, name.c_str(), metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("set owner");
  // fchmodat follows symlinks, but this name was made by us and is none.
  if (file_type != S_IFLNK && fchmodat(dir, name.c_str(), metadata.mode, 0) != 0)
    return fail_errno("set mode");
  if (!metadata.xattrs.empty())
    NX_CHECK(set_xattrs(lsetxattr, path_at(dir, name).c_str(), metadata));
  if (utimensat(dir, name.c_str(), times_of(metadata).data(), AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("set times");
  return {};
}

}  // namespace nexcage::layerfs
