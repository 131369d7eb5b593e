// Files opened in-root by descriptor (openat2), and files written so that they exist whole or not
// at all. Paths that come from images or guests go through the functions that take a root.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::sys {

/// open(2) relative to `dir` (AT_FDCWD for a path of the caller's own), O_CLOEXEC added.
Result<UniqueFd> open_at(int dir, const std::string& path, int flags, mode_t mode = 0);

/// openat2 with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: `path` is resolved as if `root` were "/",
/// absolute symlinks and ".." included. For paths an image or a guest can have shaped.
Result<UniqueFd> open_in_root(int root, const std::string& path, int flags, mode_t mode = 0);
/// openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS: refuses to leave `dir` or follow any
/// symlink.
Result<UniqueFd> open_beneath(int dir, const std::string& path, int flags, mode_t mode = 0);

/// mkdir -p inside `root`, existing symlinks resolved in-root; returns an O_PATH descriptor of the
/// last directory. Components that exist and are no directory: FileError (ENOTDIR).
Result<UniqueFd> mkdirs_in_root(int root, const std::string& path, mode_t mode);
/// mkdir -p for paths of our own (state, store). Existing directories keep their mode.
Result<> mkdirs(const std::string& path, mode_t mode);

/// A new descriptor with other flags for what `fd` (O_PATH) refers to, through /proc/self/fd of a
/// checked procfs.
Result<UniqueFd> reopen(int fd, int flags);
/// "/proc/self/fd/N": a path that names what the descriptor refers to.
std::string fd_path(int fd);

/// The whole file, refused above `max_bytes` (FileError). For files of our own, config files,
/// /proc.
Result<std::string> read_file(int dir, const std::string& path, std::size_t max_bytes = 16u << 20);
Result<std::string> read_all(int fd, std::size_t max_bytes = 16u << 20);
Result<> write_all(int fd, std::string_view data);

enum class Durable : std::uint8_t { no, yes };
/// Writes `name` in `dir` atomically: temporary name, data, (fsync), rename, (fsync of directory).
Result<> write_file_atomic(int dir, const std::string& name, std::string_view data, mode_t mode,
                           Durable durable);
/// The same for a path of our own.
Result<> write_file_atomic(const std::string& path, std::string_view data, mode_t mode,
                           Durable durable);
Result<> fsync_fd(int fd, std::string_view what);

/// Removes `name` below `dir` with everything in it, never following a symlink nor crossing into
/// another mount (openat2 NO_XDEV; EXDEV is an error). Missing is success. Subvolumes of btrfs in
/// it go too, read-only ones as well.
Result<> remove_tree(int dir, const std::string& name);
Result<> remove_tree(const std::string& path);
/// unlinkat; missing is success.
Result<> remove_file(int dir, const std::string& name);

/// Names in a directory without "." and "..", unsorted.
Result<std::vector<std::string>> list_dir(int dir);

/// Follows symlinks; false when missing or dangling.
Result<bool> exists(int dir, const std::string& path);
Result<struct stat> stat_fd(int fd);
/// stat of a name, symlink not followed; nullopt when missing.
Result<std::optional<struct stat>> stat_at(int dir, const std::string& name);
Result<std::string> read_link(int dir, const std::string& name);

/// True for a file system whose magic (statfs f_type) is this.
Result<bool> is_fs(int fd, std::uint64_t magic);

/// Lower-case hexadecimal digits of so many random bytes (at most 32) from getrandom(2): for names
/// that nobody else has.
Result<std::string> random_hex(std::size_t bytes);

/// Purely textual: joins and cleans ("/a//b/../c" -> "/a/c"), never touches the disk.
std::string clean_path(std::string_view path);

/// A directory made by us, removed with its content unless kept.
class TempDir {
 public:
  /// Creates PARENT/.PREFIX-XXXXXX, mode 0700.
  static Result<TempDir> create(const std::string& parent, std::string_view prefix);
  TempDir(TempDir&&) noexcept;
  TempDir& operator=(TempDir&&) noexcept;
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();
  const std::string& path() const { return path_; }
  int fd() const { return fd_.get(); }
  /// The directory stays; the caller owns it.
  [[nodiscard]] std::string keep();

 private:
  TempDir(std::string path, UniqueFd fd);
  std::string path_;
  UniqueFd fd_;
};

/// A lock on a file or directory (flock, exclusive or shared), released when it goes or the process
/// dies. Its holder may remove the name: who waits then locks what has the name next.
class FileLock {
 public:
  enum class Kind : std::uint8_t { shared, exclusive };
  enum class On : std::uint8_t {
    file,       // created (0600) when missing
    directory,  // FileError (ENOENT) when missing
  };
  /// Opens and waits at most `timeout_ms`; Timeout naming the file otherwise.
  static Result<FileLock> acquire(int dir, const std::string& name, Kind kind, int timeout_ms,
                                  On what = On::file);
  /// nullopt when somebody else holds it.
  static Result<std::optional<FileLock>> try_acquire(int dir, const std::string& name, Kind kind,
                                                     On what = On::file);
  int fd() const { return fd_.get(); }

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace nexcage::sys
