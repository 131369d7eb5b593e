#include "nexcage/layerfs/erofs/output.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace nexcage::layerfs::erofs {
namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 20;
/// Below this a copy through the buffer costs less than one more call of the kernel.
constexpr std::uint64_t kLargeCopy = std::uint64_t{128} << 10;
constexpr std::uint64_t kLargeHole = std::uint64_t{64} << 10;
constexpr std::size_t kMaxCopyStep = std::size_t{1} << 30;

}  // namespace

// Most images are smaller than the buffer: no page of it is touched in vain.
Output::Output(int fd) : fd_(fd), buffer_(std::make_unique_for_overwrite<std::byte[]>(kBuffer)) {}

void Output::fail_with(Error error) {
  if (!error_) error_ = std::move(error);
}

void Output::write_at(std::uint64_t position, std::span<const std::byte> bytes) {
  while (!bytes.empty() && !error_) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_with(Error::from_errno("write EROFS image"));
    position += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void Output::flush() {
  if (flushed_ < head_.size())
    std::memcpy(head_.data() + flushed_, buffer_.get(),
                std::min(used_, head_.size() - static_cast<std::size_t>(flushed_)));
  write_at(flushed_, std::span(buffer_.get(), used_));
  flushed_ += used_;
  used_ = 0;
}

void Output::put(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    if (used_ == kBuffer) flush();
    const std::size_t part = std::min(bytes.size(), kBuffer - used_);
    std::memcpy(buffer_.get() + used_, bytes.data(), part);
    used_ += part;
    bytes = bytes.subspan(part);
  }
}

void Output::zeros_to(std::uint64_t position) {
  if (position - this->position() >= kLargeHole) {
    flush();
    flushed_ = position;
    return;
  }
  while (this->position() < position) {
    if (used_ == kBuffer) flush();
    const std::size_t part = static_cast<std::size_t>(
        std::min<std::uint64_t>(position - this->position(), kBuffer - used_));
    std::memset(buffer_.get() + used_, 0, part);
    used_ += part;
  }
}

void Output::copy(int from, std::uint64_t offset, std::uint64_t length) {
  if (length >= kLargeCopy && can_copy_in_kernel_) return copy_large(from, offset, length);
  while (length > 0 && !error_) {
    if (used_ == kBuffer) flush();
    const std::size_t part =
        static_cast<std::size_t>(std::min<std::uint64_t>(length, kBuffer - used_));
    const ssize_t got = ::pread(from, buffer_.get() + used_, part, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_with(Error::from_errno("read layer"));
    if (got == 0)
      return fail_with(Error(Errc::InvalidImage,
                             "the layer's archive ends before byte " + std::to_string(offset)));
    used_ += static_cast<std::size_t>(got);
    offset += static_cast<std::uint64_t>(got);
    length -= static_cast<std::uint64_t>(got);
  }
}

/// copy_file_range(2): shares blocks where the file system can, and else spares two copies.
void Output::copy_large(int from, std::uint64_t offset, std::uint64_t length) {
  flush();
  while (length > 0 && !error_) {
    auto in = static_cast<off_t>(offset), out = static_cast<off_t>(flushed_);
    const ssize_t got = ::copy_file_range(
        from, &in, fd_, &out,
        static_cast<std::size_t>(std::min<std::uint64_t>(length, kMaxCopyStep)), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {  // another file system, a file in memory, an old kernel: by hand
      can_copy_in_kernel_ = false;
      return copy(from, offset, length);
    }
    flushed_ += static_cast<std::uint64_t>(got);
    offset += static_cast<std::uint64_t>(got);
    length -= static_cast<std::uint64_t>(got);
  }
}

std::span<const std::byte> Output::head() {
  flush();
  return head_;
}

Result<> Output::finish(std::uint64_t patch_offset, std::span<const std::byte> patch) {
  flush();
  const std::uint64_t size = flushed_;
  write_at(patch_offset, patch);
  // The image may end with a hole.
  if (!error_ && ::ftruncate(fd_, static_cast<off_t>(size)) != 0)
    fail_with(Error::from_errno("set the size of the EROFS image"));
  if (error_) return fail(*std::move(error_));
  return {};
}

}  // namespace nexcage::layerfs::erofs
