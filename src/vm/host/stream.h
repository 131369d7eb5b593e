// The two ends of a byte stream that the helper passes on between a descriptor of the host and the
// guest. Neither ever waits.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::vm::host {

/// The same file once more, so that not waiting is a property of ours alone: others hold the
/// original too. Where it cannot be opened again (a socket, a file whose position is shared) it is
/// the original.
UniqueFd without_waiting(UniqueFd fd, int access);

/// Writes what comes from the guest.
class Outlet {
 public:
  Outlet() = default;
  explicit Outlet(UniqueFd fd);

  void append(std::string_view bytes);
  /// Nothing more comes: closes when all is written.
  void finish();
  /// Writes what goes. Returns how many bytes were taken off; what nobody reads any more counts.
  std::size_t write();
  bool waiting() const { return fd_ && !buffer_.empty(); }
  int fd() const { return fd_.get(); }
  /// Closes it now. Returns how many bytes were not written.
  std::size_t close();

 private:
  UniqueFd fd_;
  std::string buffer_;
  bool socket_ = false;
  bool finished_ = false;
};

/// Reads what goes to the guest.
class Inlet {
 public:
  Inlet() = default;
  explicit Inlet(UniqueFd fd);

  /// At most so many bytes of what is there; empty when nothing is, or at the end (at_end()).
  std::string read(std::size_t most);
  bool at_end() const { return at_end_; }
  bool open() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
  bool at_end_ = false;
};

}  // namespace nexcage::vm::host
