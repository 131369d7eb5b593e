#include "nexcage/image/content/stream.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace nexcage::image::content {

namespace {
/// Enough for a whole filesystem readahead window, small enough for the L2 cache.
constexpr std::size_t kDrainBuffer = 128u << 10;
}  // namespace

Result<std::uint64_t> ByteSource::skip(std::uint64_t length) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(length, kDrainBuffer));
  std::uint64_t done = 0;
  while (done < length) {
    std::size_t want =
        static_cast<std::size_t>(std::min<std::uint64_t>(length - done, buffer.size()));
    NX_TRY(std::size_t n, read(std::span(buffer).first(want)));
    if (n == 0) break;
    done += n;
  }
  return done;
}

Result<std::size_t> read_full(ByteSource& source, std::span<std::byte> buffer) {
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    NX_TRY(std::size_t n, source.read(buffer.subspan(filled)));
    if (n == 0) break;
    filled += n;
  }
  return filled;
}

Result<std::uint64_t> drain(ByteSource& source) {
  std::vector<std::byte> buffer(kDrainBuffer);
  std::uint64_t total = 0;
  while (true) {
    NX_TRY(std::size_t n, source.read(buffer));
    if (n == 0) return total;
    total += n;
  }
}

FdSource::FdSource(int fd, std::string what) : fd_(fd), what_(std::move(what)) {
  // Advice only: pipes and odd file systems refuse it.
  (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
}

Result<std::size_t> FdSource::read(std::span<std::byte> buffer) {
  while (true) {
    ssize_t n = ::read(fd_, buffer.data(), buffer.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR) return fail_errno("read " + what_);
  }
}

Result<std::size_t> SliceSource::read(std::span<std::byte> buffer) {
  auto want = static_cast<std::size_t>(std::min<std::uint64_t>(left_, buffer.size()));
  while (want > 0) {
    ssize_t n = ::pread(fd_, buffer.data(), want, static_cast<off_t>(at_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read " + what_);
    if (n == 0) return fail(Errc::InvalidImage, what_ + ": the file ends too early");
    at_ += static_cast<std::uint64_t>(n);
    left_ -= static_cast<std::uint64_t>(n);
    return static_cast<std::size_t>(n);
  }
  return 0;
}

Result<std::uint64_t> SliceSource::skip(std::uint64_t length) {
  std::uint64_t n = std::min(length, left_);
  at_ += n;
  left_ -= n;
  return n;
}

Result<std::size_t> MemorySource::read(std::span<std::byte> buffer) {
  std::size_t n = std::min(buffer.size(), left_.size());
  std::copy_n(left_.begin(), n, buffer.begin());
  left_ = left_.subspan(n);
  return n;
}

VerifiedSource::VerifiedSource(ByteSource& from, Hasher hasher, oci::Digest digest,
                               std::optional<std::uint64_t> size, std::string what)
    : from_(from),
      hasher_(std::move(hasher)),
      digest_(std::move(digest)),
      size_(size),
      what_(std::move(what)) {}

Result<std::unique_ptr<VerifiedSource>> VerifiedSource::create(ByteSource& from, oci::Digest digest,
                                                               std::optional<std::uint64_t> size,
                                                               std::string what) {
  NX_TRY(Hasher hasher, Hasher::create(digest.algorithm()), what);
  return std::unique_ptr<VerifiedSource>(
      new VerifiedSource(from, std::move(hasher), std::move(digest), size, std::move(what)));
}

Result<std::size_t> VerifiedSource::read(std::span<std::byte> buffer) {
  if (ended_ || buffer.empty()) return 0;
  NX_TRY(std::size_t n, from_.read(buffer));
  if (n == 0) {
    NX_CHECK(check_end());
    ended_ = true;
    return 0;
  }
  hasher_.update(buffer.first(n));
  bytes_ += n;
  if (size_ && bytes_ > *size_)
    return fail(Errc::InvalidImage,
                what_ + " is longer than the promised " + std::to_string(*size_) + " bytes");
  return n;
}

Result<> VerifiedSource::check_end() {
  if (size_ && bytes_ != *size_)
    return fail(Errc::InvalidImage,
                what_ + " has " + std::to_string(bytes_) + " bytes, not " + std::to_string(*size_));
  oci::Digest actual = hasher_.finish();
  if (actual != digest_)
    return fail(Errc::InvalidImage,
                what_ + " has digest " + actual.str() + ", not " + digest_.str());
  return {};
}

}  // namespace nexcage::image::content
