#include "nexcage/registry/client/feed.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace nexcage::registry::client {

namespace {
constexpr std::uint64_t kWriteBack = 8u << 20;
/// How much of a large blob a power cut may cost.
constexpr std::uint64_t kDurableStep = 64u << 20;
}  // namespace

void Feed::advance(std::uint64_t end) {
  {
    const std::scoped_lock lock(mutex_);
    if (end <= end_) return;
    end_ = end;
  }
  changed_.notify_all();
}

void Feed::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

std::uint64_t Feed::wait(std::uint64_t at) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopped_ || end_ > at; });
  return stopped_ ? 0 : end_;
}

Result<std::size_t> FeedSource::read(std::span<std::byte> buffer) {
  if (at_ == feed_.size() || buffer.empty()) return 0;
  if (at_ == there_) {
    there_ = feed_.wait(at_);
    if (there_ == 0) return fail(Errc::InvalidState, "the transfer was given up");
    write_back();
  }
  const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(there_ - at_, buffer.size()));
  while (true) {
    const ssize_t n = ::pread(fd_, buffer.data(), want, static_cast<off_t>(at_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read a partial blob");
    if (n == 0) return fail(Errc::FileError, "a partial blob was cut by somebody else");
    at_ += static_cast<std::uint64_t>(n);
    return static_cast<std::size_t>(n);
  }
}

void FeedSource::write_back() {
  if (there_ - started_ < kWriteBack) return;
  // Advice: where it is not supported, fsync does all of it.
  (void)::sync_file_range(fd_, static_cast<off_t>(started_), static_cast<off_t>(there_ - started_),
                          SYNC_FILE_RANGE_WRITE);
  started_ = there_;
  if (started_ - synced_ < kDurableStep || started_ == feed_.size()) return;
  if (::fdatasync(fd_) == 0) feed_.set_durable(started_);
  synced_ = started_;
}

}  // namespace nexcage::registry::client
