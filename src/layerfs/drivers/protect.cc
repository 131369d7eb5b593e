#include "nexcage/layerfs/drivers/protect.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs {
namespace {

constexpr std::uint32_t kVerityBlock = 4096;
constexpr std::size_t kSha256 = 32;

bool is_missing(int err) { return err == EOPNOTSUPP || err == ENOTTY || err == EINVAL; }

/// False where the file system has no fs-verity.
Result<bool> enable_verity(int fd) {
  fsverity_enable_arg argument{};
  argument.version = 1;
  argument.hash_algorithm = FS_VERITY_HASH_ALG_SHA256;
  argument.block_size = kVerityBlock;
  if (ioctl(fd, FS_IOC_ENABLE_VERITY, &argument) == 0 || errno == EEXIST) return true;
  if (is_missing(errno)) return false;
  return fail_errno("enable fs-verity");
}

/// The flags of inode(7) as ioctl_iflags(2) has them; false where the file system has none.
Result<bool> set_immutable(int fd, bool immutable) {
  int flags = 0;
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) {
    if (is_missing(errno)) return false;
    return fail_errno("read the file's flags");
  }
  const int wanted = immutable ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
  if (wanted == flags) return true;
  if (ioctl(fd, FS_IOC_SETFLAGS, &wanted) == 0) return true;
  // EPERM: no CAP_LINUX_IMMUTABLE. The flag is a second line; without it nothing is wrong.
  if (is_missing(errno) || (immutable && errno == EPERM)) return false;
  return fail_errno(immutable ? "make the file immutable" : "clear the file's immutable flag");
}

}  // namespace

Result<std::string> measure_verity(int fd) {
  // A head and the bytes behind it.
  alignas(fsverity_digest) std::array<unsigned char, sizeof(fsverity_digest) + kSha256> digest{};
  fsverity_digest head{};
  head.digest_size = kSha256;
  std::memcpy(digest.data(), &head, sizeof head);
  if (ioctl(fd, FS_IOC_MEASURE_VERITY, digest.data()) != 0) {
    if (is_missing(errno) || errno == ENODATA) return std::string();
    return fail_errno("read the fs-verity digest");
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text = "sha256:";
  for (std::size_t i = sizeof head; i < digest.size(); ++i) {
    text += kDigits[digest.at(i) >> 4];
    text += kDigits[digest.at(i) & 15];
  }
  return text;
}

Result<std::string> protect_file(int dir, const std::string& name) {
  NX_TRY(const UniqueFd fd, sys::open_beneath(dir, name, O_RDONLY | O_NOFOLLOW));
  NX_TRY(const bool verity, enable_verity(fd.get()), name);
  if (verity) return measure_verity(fd.get());
  NX_CHECK(set_immutable(fd.get(), true), name);
  return std::string();
}

Result<> unprotect_files(int dir) {
  NX_TRY(const std::vector<std::string> names, sys::list_dir(dir));
  for (const std::string& name : names) {
    NX_TRY(const auto info, sys::stat_at(dir, name));
    if (!info || !S_ISREG(info->st_mode)) continue;
    NX_TRY(const UniqueFd fd, sys::open_beneath(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    NX_CHECK(set_immutable(fd.get(), false), name);
  }
  return {};
}

}  // namespace nexcage::layerfs
