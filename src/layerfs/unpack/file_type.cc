#include "nexcage/layerfs/unpack/file_type.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

#include "nexcage/base/text.h"

namespace nexcage::layerfs::unpack {

Result<FileType> file_type(int dir, const std::string& name) {
  struct stat info{};
  if (fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return FileType::missing;
    return fail_errno("stat " + quote(name));
  }
  if (S_ISDIR(info.st_mode)) return FileType::directory;
  if (S_ISLNK(info.st_mode)) return FileType::symlink;
  if (S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0)) return FileType::whiteout;
  return FileType::other;
}

}  // namespace nexcage::layerfs::unpack
