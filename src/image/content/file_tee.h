// A copy of a stream in a file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nexcage/image/content/stream.h"

namespace nexcage::image::content {

/// Passes the bytes of `from` on and writes them to a file, from where the descriptor stands. What
/// is skipped is written too. The kernel begins to write back early, so that the fsync at the end
/// has little left to do. Owns neither.
class FileTee final : public ByteSource {
 public:
  /// `what` names the file in errors.
  FileTee(ByteSource& from, int file, std::string what)
      : from_(from), file_(file), what_(std::move(what)) {}
  Result<std::size_t> read(std::span<std::byte> buffer) override;
  Result<std::uint64_t> skip(std::uint64_t length) override;
  std::uint64_t bytes() const { return bytes_; }

 private:
  void write_back();
  ByteSource& from_;
  int file_;
  std::string what_;
  std::uint64_t bytes_ = 0, started_ = 0;
  std::vector<std::byte> skipped_;
};

}  // namespace nexcage::image::content
