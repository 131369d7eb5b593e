#include "nexcage/image/temp.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "nexcage/sys/fs.h"

namespace nexcage::image {

namespace {

/// The new entry, opened; empty when the name is taken.
Result<UniqueFd> make(int dir, const std::string& name, Temp::Kind kind) {
  int flags = O_RDONLY | O_DIRECTORY;
  if (kind == Temp::Kind::file) {
    flags = O_RDWR | O_CREAT | O_EXCL;
  } else if (::mkdirat(dir, name.c_str(), 0755) != 0) {
    if (errno == EEXIST) return UniqueFd();
    return fail_errno("create " + name);
  }
  UniqueFd fd(::openat(dir, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, 0644));
  // ENOENT: a sweeper took the directory before it could be locked.
  if (!fd && (errno == EEXIST || (errno == ENOENT && kind == Temp::Kind::directory)))
    return UniqueFd();
  if (!fd) return fail_errno("create " + name);
  if (::fchmod(fd.get(), kind == Temp::Kind::file ? 0644 : 0755) != 0)
    return fail_errno("set the mode of " + name);
  return fd;
}

/// Locks it and says whether it still has its name: a sweeper may have come between.
Result<bool> claim(int fd) {
  while (::flock(fd, LOCK_EX) != 0)
    if (errno != EINTR) return fail_errno("lock a temporary file");
  NX_TRY(struct stat found, sys::stat_fd(fd));
  return found.st_nlink > 0;
}

}  // namespace

Result<Temp> Temp::create(int tmp_dir, std::string_view prefix, Kind kind) {
  while (true) {
    NX_TRY(std::string suffix, sys::random_hex(8));
    std::string name = std::string(prefix) + "-" + suffix;
    NX_TRY(UniqueFd fd, make(tmp_dir, name, kind));
    if (!fd) continue;
    Temp made(tmp_dir, name, std::move(fd));
    NX_TRY(bool ours, claim(made.fd()));
    if (ours) return made;
    made.forget();
  }
}

Temp::Temp(Temp&& other) noexcept
    : tmp_dir_(other.tmp_dir_), name_(std::exchange(other.name_, {})), fd_(std::move(other.fd_)) {}

Temp& Temp::operator=(Temp&& other) noexcept {
  if (this == &other) return *this;
  remove();
  tmp_dir_ = other.tmp_dir_;
  name_ = std::exchange(other.name_, {});
  fd_ = std::move(other.fd_);
  return *this;
}

Temp::~Temp() { remove(); }

void Temp::remove() {
  // What cannot be removed now is removed by the next writer, once the lock is gone.
  if (!name_.empty()) (void)sys::remove_tree(tmp_dir_, std::exchange(name_, {}));
}

Result<> Temp::publish(int dir, const std::string& name) {
  if (::renameat(tmp_dir_, name_.c_str(), dir, name.c_str()) != 0)
    return fail_errno("rename into place as " + name);
  name_.clear();
  fd_.reset();
  return {};
}

UniqueFd lock_dead(int tmp_dir, const std::string& name) {
  UniqueFd fd(::openat(tmp_dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return {};
  auto found = sys::stat_fd(fd.get());
  if (!found || found->st_nlink == 0) return {};
  return fd;
}

Result<> remove_dead(int tmp_dir, std::string_view spare) {
  NX_TRY(auto names, sys::list_dir(tmp_dir));
  for (const std::string& name : names) {
    if (!spare.empty() && name.starts_with(spare)) continue;
    UniqueFd lock = lock_dead(tmp_dir, name);
    if (lock) NX_CHECK(sys::remove_tree(tmp_dir, name), "remove what a dead writer left");
  }
  return {};
}

}  // namespace nexcage::image
