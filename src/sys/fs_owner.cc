// Owners: temporary directories and locks.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/poll_until.h"

namespace nexcage::sys {
namespace {

using Clock = std::chrono::steady_clock;

/// Opens the lock file; a reader needs no write permission on one that exists.
Result<UniqueFd> open_lock(int dir, const std::string& name, FileLock::Kind kind,
                           FileLock::On what) {
  if (what == FileLock::On::directory)
    return open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  const int access = kind == FileLock::Kind::exclusive ? O_RDWR : O_RDONLY;
  return open_at(dir, name, access | O_CREAT | O_NOFOLLOW | O_NOCTTY, 0600);
}

/// The name still leads to the locked file: its last holder may have removed it, and a lock on a
/// file without a name excludes nobody.
Result<bool> is_current(int fd, int dir, const std::string& name) {
  NX_TRY(const struct stat held, stat_fd(fd));
  NX_TRY(const std::optional<struct stat> named, stat_at(dir, name));
  return named && named->st_dev == held.st_dev && named->st_ino == held.st_ino;
}

/// One flock(2): true when held, false when LOCK_NB was asked for and somebody else holds it.
Result<bool> lock_once(int fd, int operation) {
  while (::flock(fd, operation) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) return fail_errno("lock");
  }
  return true;
}

int lock_operation(FileLock::Kind kind) {
  return kind == FileLock::Kind::exclusive ? LOCK_EX : LOCK_SH;
}

}  // namespace

TempDir::TempDir(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

TempDir::TempDir(TempDir&& other) noexcept
    : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)) {}

TempDir& TempDir::operator=(TempDir&& other) noexcept {
  if (this == &other) return *this;
  if (!path_.empty()) (void)remove_tree(path_);
  path_ = std::exchange(other.path_, {});
  fd_ = std::move(other.fd_);
  return *this;
}

TempDir::~TempDir() {
  if (!path_.empty()) (void)remove_tree(path_);
}

Result<TempDir> TempDir::create(const std::string& parent, std::string_view prefix) {
  std::string path = parent + "/." + std::string(prefix) + "-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr)
    return fail_errno("make a temporary directory in " + parent);
  auto fd = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!fd) (void)::rmdir(path.c_str());
  if (!fd) return fail(std::move(fd).error());
  return TempDir(std::move(path), *std::move(fd));
}

std::string TempDir::keep() { return std::exchange(path_, {}); }

Result<std::optional<FileLock>> FileLock::try_acquire(int dir, const std::string& name, Kind kind,
                                                      On what) {
  for (;;) {
    NX_TRY(UniqueFd fd, open_lock(dir, name, kind, what));
    NX_TRY(const bool held, lock_once(fd.get(), lock_operation(kind) | LOCK_NB), name);
    if (!held) return std::nullopt;
    NX_TRY(const bool current, is_current(fd.get(), dir, name), name);
    if (current) return std::optional<FileLock>(FileLock(std::move(fd)));
  }
}

Result<FileLock> FileLock::acquire(int dir, const std::string& name, Kind kind, int timeout_ms,
                                   On what) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  // flock(2) has no time limit, so the wait is a poll that starts short: locks here are held for
  // milliseconds.
  for (std::chrono::milliseconds pause(1);; pause = std::min(pause * 2, decltype(pause)(25))) {
    NX_TRY(std::optional<FileLock> lock, try_acquire(dir, name, kind, what));
    if (lock) return *std::move(lock);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0)
      return fail(Error(Errc::Timeout, "wait for the lock " + name)
                      .hint("another command is using it; try again when it has ended"));
    sleep_for(std::min(pause, left));
  }
}

}  // namespace nexcage::sys
