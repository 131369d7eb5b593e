// Files and directories being written, in {root}/.tmp. Each is locked (flock) by its writer for as
// long as it lives, so that what a dead writer left can be told from what is still being written.
#pragma once

#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::image {

/// Owns one entry of the temporary directory; removed when it goes, unless it was published.
class Temp {
 public:
  enum class Kind : std::uint8_t { file, directory };
  /// Makes PREFIX-RANDOM in `tmp_dir` (borrowed; must outlive this), locked. Files are opened
  /// read-write with mode 0644 whatever the umask, directories get 0755.
  static Result<Temp> create(int tmp_dir, std::string_view prefix, Kind kind);
  Temp(Temp&& other) noexcept;
  Temp& operator=(Temp&& other) noexcept;
  Temp(const Temp&) = delete;
  Temp& operator=(const Temp&) = delete;
  ~Temp();

  int fd() const { return fd_.get(); }
  const std::string& name() const { return name_; }
  /// Renames it to `name` in `dir`, replacing a file there. The lock goes, too. The caller has made
  /// the content durable and fsyncs `dir` afterwards.
  Result<> publish(int dir, const std::string& name);
  /// Somebody else has moved or removed it.
  void forget() { name_.clear(); }

 private:
  Temp(int tmp_dir, std::string name, UniqueFd fd)
      : tmp_dir_(tmp_dir), name_(std::move(name)), fd_(std::move(fd)) {}
  void remove();
  int tmp_dir_ = -1;
  std::string name_;
  UniqueFd fd_;
};

/// Removes every entry of `tmp_dir` whose writer is gone, except those that begin with `spare`.
Result<> remove_dead(int tmp_dir, std::string_view spare);
/// The lock of an entry made by Temp, if its writer is gone; empty when it lives or vanished.
UniqueFd lock_dead(int tmp_dir, const std::string& name);

}  // namespace nexcage::image
