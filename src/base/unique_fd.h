// Owner of a file descriptor.
#pragma once

#include <unistd.h>

#include <utility>

namespace nexcage {

/// Owns one descriptor; closes it when it goes. Empty is -1. Every descriptor of this program is
/// opened O_CLOEXEC; whoever hands one to a child says so explicitly.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  /// Gives the descriptor up; the caller owns it from here.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  /// Closes what is held and takes `fd`.
  void reset(int fd = -1) {
    int old = std::exchange(fd_, fd);
    // close(2): on Linux the descriptor is gone whatever it returns.
    if (old >= 0 && old != fd) (void)::close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace nexcage
