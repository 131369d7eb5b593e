// Freezing a mounted file system.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "nexcage/storage/raw/image.h"
#include "nexcage/sys/fs.h"

namespace nexcage::storage::raw {
namespace {

/// What the guard does: waits for a byte, and thaws when there will be none. Only system calls:
/// another thread of the parent may have held any lock.
[[noreturn]] void be_guard(int directory, int told) {
  // Nothing else stays open: not our end of the sockets, no lock, no pipe of somebody who waits
  // for its end.
  const int kept_directory = ::fcntl(directory, F_DUPFD, 2);
  const int kept_told = ::fcntl(told, F_DUPFD, 2);
  (void)::dup2(kept_directory, 0);
  (void)::dup2(kept_told, 1);
  (void)::syscall(SYS_close_range, 2, ~0U, 0);
  char byte = 0;
  ssize_t n = -1;
  while ((n = ::read(1, &byte, 1)) < 0 && errno == EINTR) {
  }
  if (n != 1) (void)::ioctl(0, FITHAW, 0);
  ::_exit(0);
}

/// Forks the guard with every signal blocked: what ends this process must not end it too.
pid_t start_guard(int directory, int told) {
  sigset_t all, before;
  (void)::sigfillset(&all);
  (void)::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) be_guard(directory, told);
  const int error = errno;
  (void)::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return pid;
}

}  // namespace

Frozen::Frozen(UniqueFd directory, UniqueFd told, pid_t guard)
    : directory_(std::move(directory)), told_(std::move(told)), guard_(guard) {}

Frozen::Frozen(Frozen&& other) noexcept
    : directory_(std::move(other.directory_)),
      told_(std::move(other.told_)),
      guard_(std::exchange(other.guard_, 0)) {}

Frozen::~Frozen() { (void)thaw(); }

Result<Frozen> Frozen::freeze(int directory) {
  NX_TRY(UniqueFd top, sys::open_at(directory, ".", O_RDONLY | O_DIRECTORY), "freeze");
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail_errno("freeze: make a pair of sockets");
  const UniqueFd guards_end(ends[0]);
  UniqueFd told(ends[1]);
  const pid_t guard = start_guard(top.get(), guards_end.get());
  if (guard < 0) return fail_errno("freeze: start its guard");
  const int fd = top.get();
  Frozen frozen(UniqueFd(), std::move(told), guard);
  if (::ioctl(fd, FIFREEZE, 0) == 0) {
    frozen.directory_ = std::move(top);
    return frozen;
  }
  Error error = Error::from_errno("freeze a file system");
  if (error.sys_errno() != EBUSY) return fail(std::move(error));
  return fail(std::move(error)
                  .as(Errc::InvalidState)
                  .hint("it is frozen already; \"fsfreeze --unfreeze\" ends that"));
}

Result<> Frozen::thaw() {
  if (guard_ == 0) return {};
  Result<> done;
  if (directory_ && ::ioctl(directory_.get(), FITHAW, 0) != 0)
    done = fail_errno("thaw a file system");
  directory_.reset();
  // Without the byte it tries as well.
  if (done) (void)::send(told_.get(), "", 1, MSG_NOSIGNAL);
  told_.reset();
  while (::waitpid(guard_, nullptr, 0) < 0 && errno == EINTR) {
  }
  guard_ = 0;
  return done;
}

}  // namespace nexcage::storage::raw
