#include "nexcage/vm/host/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "nexcage/sys/fs.h"

namespace nexcage::vm::host {
namespace {

/// What a pipe that poll(2) calls writable takes without waiting (pipe(7), PIPE_BUF).
constexpr std::size_t kSafeWrite = 4096;

bool is_socket(int fd) {
  struct stat info{};
  return ::fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

bool ready(int fd, short events) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  return ::poll(&entry, 1, 0) > 0;
}

}  // namespace

UniqueFd without_waiting(UniqueFd fd, int access) {
  struct stat info{};
  if (!fd || ::fstat(fd.get(), &info) != 0) return fd;
  if (!S_ISFIFO(info.st_mode) && !S_ISCHR(info.st_mode)) return fd;
  UniqueFd again(
      ::open(sys::fd_path(fd.get()).c_str(), access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  return again ? std::move(again) : std::move(fd);
}

Outlet::Outlet(UniqueFd fd)
    : fd_(without_waiting(std::move(fd), O_WRONLY)), socket_(fd_ && is_socket(fd_.get())) {}

void Outlet::append(std::string_view bytes) { buffer_ += bytes; }

void Outlet::finish() {
  finished_ = true;
  if (buffer_.empty()) fd_.reset();
}

std::size_t Outlet::close() {
  fd_.reset();
  return std::exchange(buffer_, {}).size();
}

std::size_t Outlet::write() {
  std::size_t taken = 0;
  while (taken < buffer_.size()) {
    if (!fd_) {
      taken = buffer_.size();
      break;
    }
    const char* data = buffer_.data() + taken;
    const std::size_t size = buffer_.size() - taken;
    const bool patient = (::fcntl(fd_.get(), F_GETFL) & O_NONBLOCK) == 0 && !socket_;
    if (patient && !ready(fd_.get(), POLLOUT)) break;
    const ssize_t n = socket_
                          ? ::send(fd_.get(), data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
                          : ::write(fd_.get(), data, patient ? std::min(size, kSafeWrite) : size);
    if (n >= 0) {
      taken += static_cast<std::size_t>(n);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) break;
    fd_.reset();  // nobody reads it any more: what comes is thrown away
  }
  buffer_.erase(0, taken);
  if (finished_ && buffer_.empty()) fd_.reset();
  return taken;
}

Inlet::Inlet(UniqueFd fd) : fd_(without_waiting(std::move(fd), O_RDONLY)) {}

std::string Inlet::read(std::size_t most) {
  std::string out(most, '\0');
  while (fd_) {
    if ((::fcntl(fd_.get(), F_GETFL) & O_NONBLOCK) == 0 && !ready(fd_.get(), POLLIN)) break;
    const ssize_t n = ::read(fd_.get(), out.data(), out.size());
    if (n > 0) {
      out.resize(static_cast<std::size_t>(n));
      return out;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    at_end_ = true;  // also EIO: a terminal whose other side is gone
    fd_.reset();
  }
  return {};
}

}  // namespace nexcage::vm::host
