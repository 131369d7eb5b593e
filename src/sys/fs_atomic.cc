// Files that exist whole or not at all.
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/fs_resolve.h"

namespace nexcage::sys {
namespace {

/// A file under a temporary name, unlinked unless it was renamed into place.
class TempFile {
 public:
  static Result<TempFile> create(int dir) {
    for (;;) {
      NX_TRY(std::string suffix, random_hex(8));
      std::string name = ".tmp-" + suffix;
      UniqueFd fd(
          ::openat(dir, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
      if (fd) return TempFile(dir, std::move(name), std::move(fd));
      if (errno != EEXIST && errno != EINTR) return fail_errno("create a temporary file");
    }
  }
  TempFile(TempFile&& other) noexcept
      : dir_(other.dir_), name_(std::exchange(other.name_, {})), fd_(std::move(other.fd_)) {}
  TempFile& operator=(TempFile&&) = delete;
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile() {
    if (!name_.empty()) (void)::unlinkat(dir_, name_.c_str(), 0);
  }

  int fd() const { return fd_.get(); }

  Result<> rename_to(const std::string& name) {
    if (::renameat(dir_, name_.c_str(), dir_, name.c_str()) != 0)
      return fail_errno("rename into place");
    name_.clear();
    return {};
  }

 private:
  TempFile(int dir, std::string name, UniqueFd fd)
      : dir_(dir), name_(std::move(name)), fd_(std::move(fd)) {}

  int dir_;
  std::string name_;
  UniqueFd fd_;
};

Result<> fsync_directory(int dir) {
  // The caller's descriptor may be O_PATH, which fsync does not take.
  NX_TRY(UniqueFd fd, open_at(dir, ".", O_RDONLY | O_DIRECTORY));
  return fsync_fd(fd.get(), "directory");
}

Result<> write_in(int dir, const std::string& name, std::string_view data, mode_t mode,
                  Durable durable) {
  NX_TRY(TempFile file, TempFile::create(dir));
  // Not left to open(2): the umask must not decide about modes of our files.
  if (::fchmod(file.fd(), mode) != 0) return fail_errno("set mode");
  NX_CHECK(write_all(file.fd(), data));
  if (durable == Durable::yes) NX_CHECK(fsync_fd(file.fd(), "content"));
  NX_CHECK(file.rename_to(name));
  if (durable == Durable::yes) NX_CHECK(fsync_directory(dir));
  return {};
}

}  // namespace

Result<std::string> random_hex(std::size_t bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, 32> raw{};
  if (bytes > raw.size()) return fail_errno(EINVAL, "get random bytes");
  // getrandom(2): requests of up to 256 bytes are never cut short once the pool is ready.
  while (::getrandom(raw.data(), bytes, 0) < 0)
    if (errno != EINTR) return fail_errno("get random bytes");
  std::string out;
  for (std::size_t i = 0; i < bytes; ++i) (out += kDigits[raw[i] >> 4]) += kDigits[raw[i] & 0xf];
  return out;
}

Result<> fsync_fd(int fd, std::string_view what) {
  while (::fsync(fd) != 0)
    if (errno != EINTR) return fail_errno("fsync " + std::string(what));
  return {};
}

Result<> write_file_atomic(int dir, const std::string& name, std::string_view data, mode_t mode,
                           Durable durable) {
  const auto [parent, last] = split_last(name);
  if (parent.empty()) {
    NX_CHECK(write_in(dir, last, data, mode, durable), "write " + name);
    return {};
  }
  NX_TRY(UniqueFd fd, open_at(dir, parent, O_PATH | O_DIRECTORY), "write " + name);
  NX_CHECK(write_in(fd.get(), last, data, mode, durable), "write " + name);
  return {};
}

Result<> write_file_atomic(const std::string& path, std::string_view data, mode_t mode,
                           Durable durable) {
  return write_file_atomic(AT_FDCWD, path, data, mode, durable);
}

}  // namespace nexcage::sys
