// An image as it is written: forwards only, through one buffer, holes where nothing is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "nexcage/base/error.h"

namespace nexcage::layerfs::erofs {

/// Errors stick: after the first nothing more is written, and finish() returns it.
class Output {
 public:
  /// `fd`: an empty regular file, which the caller keeps.
  explicit Output(int fd);

  std::uint64_t position() const { return flushed_ + used_; }
  void put(std::span<const std::byte> bytes);
  template <class T>
  void put_object(const T& object) {
    put(std::as_bytes(std::span(&object, 1)));
  }
  /// Zeros up to this position; many of them as a hole. It must not lie before the present one.
  void zeros_to(std::uint64_t position);
  /// Bytes of another file. InvalidImage when it is too short.
  void copy(int from, std::uint64_t offset, std::uint64_t length);

  /// The image's first bytes, as put so far, zeros behind.
  std::span<const std::byte> head();
  /// Writes what is left, then `patch` at `patch_offset` over what is there.
  Result<> finish(std::uint64_t patch_offset, std::span<const std::byte> patch);

 private:
  void flush();
  void fail_with(Error error);
  void write_at(std::uint64_t position, std::span<const std::byte> bytes);
  void copy_large(int from, std::uint64_t offset, std::uint64_t length);

  int fd_;
  std::uint64_t flushed_ = 0;
  std::size_t used_ = 0;
  std::unique_ptr<std::byte[]> buffer_;
  std::array<std::byte, 4096> head_{};
  std::optional<Error> error_;
  bool can_copy_in_kernel_ = true;
};

}  // namespace nexcage::layerfs::erofs
