#include "nexcage/layerfs/unpack/copy_file.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "nexcage/base/text.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/layerfs/metadata.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::unpack {
namespace {

/// Copies [at, end) between files of any two file systems.
Result<> copy_range(int from, int to, off_t at, off_t end) {
  if (lseek(to, at, SEEK_SET) < 0) return fail_errno("seek");
  while (at < end) {
    // sendfile(2) takes a regular file as its target since Linux 2.6.33 and, unlike
    // copy_file_range(2), never answers EXDEV.
    const ssize_t done = sendfile(to, from, &at, static_cast<std::size_t>(end - at));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return fail_errno("copy data");
    if (done == 0) return fail(Errc::FileError, "the file ended while it was copied");
  }
  return {};
}

/// Copies what is data; holes stay holes (lseek(2), SEEK_DATA).
Result<std::uint64_t> copy_data(int from, int to, off_t size) {
  std::uint64_t bytes = 0;
  off_t at = 0;
  while (at < size) {
    const off_t data = lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // only a hole is left
    if (data < 0) return fail_errno("find data");
    const off_t end = lseek(from, data, SEEK_HOLE);
    if (end < 0) return fail_errno("find the end of data");
    NX_CHECK(copy_range(from, to, data, end));
    bytes += static_cast<std::uint64_t>(end - data);
    at = end;
  }
  if (ftruncate(to, size) != 0) return fail_errno("set the size");
  return bytes;
}

Result<std::uint64_t> copy_regular(int from_dir, const std::string& from_name, int to_dir,
                                   const std::string& to_name, const Metadata& metadata) {
  NX_TRY(const UniqueFd from, sys::open_at(from_dir, from_name, O_RDONLY | O_NOFOLLOW));
  NX_TRY(const UniqueFd to,
         sys::open_at(to_dir, to_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  NX_TRY(const struct stat info, sys::stat_fd(from.get()));
  NX_TRY(const std::uint64_t bytes, copy_data(from.get(), to.get(), info.st_size));
  NX_CHECK(apply_metadata(to.get(), metadata, ModeState::set_it));
  return bytes;
}

}  // namespace

Result<std::uint64_t> copy_file(int from_dir, const std::string& from_name, int to_dir,
                                const std::string& to_name) {
  struct stat info{};
  if (fstatat(from_dir, from_name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return fail_errno("stat " + quote(from_name));
  NX_TRY(const Metadata metadata, read_metadata(from_dir, from_name));
  if (S_ISREG(info.st_mode)) return copy_regular(from_dir, from_name, to_dir, to_name, metadata);
  if (S_ISLNK(info.st_mode)) {
    NX_TRY(const std::string target, sys::read_link(from_dir, from_name));
    if (symlinkat(target.c_str(), to_dir, to_name.c_str()) != 0) return fail_errno("make symlink");
  } else if (mknodat(to_dir, to_name.c_str(), info.st_mode, info.st_rdev) != 0) {
    return fail_errno("make device or FIFO");
  }
  NX_CHECK(apply_metadata_at(to_dir, to_name, metadata, info.st_mode & S_IFMT));
  return std::uint64_t{0};
}

}  // namespace nexcage::layerfs::unpack
