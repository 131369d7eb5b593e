// From the thread that receives a blob to the thread that checks it: how much of the file is there.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>

#include "nexcage/image/content/stream.h"

namespace nexcage::registry::client {

/// The contiguous part of a blob that is on disk. The file itself is the buffer.
class Feed {
 public:
  explicit Feed(std::uint64_t size) : size_(size) {}
  /// Bytes [0, end) can be read.
  void advance(std::uint64_t end);
  /// No more will come: whoever waits gets an error.
  void stop();
  std::uint64_t size() const { return size_; }
  /// Waits until more than `at` is there; returns how much is. 0: stopped.
  std::uint64_t wait(std::uint64_t at);
  /// Bytes [0, end) are on the disk itself.
  void set_durable(std::uint64_t end) { durable_ = end; }
  std::uint64_t durable() const { return durable_; }

 private:
  const std::uint64_t size_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t end_ = 0;
  bool stopped_ = false;
  std::atomic<std::uint64_t> durable_ = 0;
};

/// Reads the file as it grows, and has the kernel write back what was read, so that the fsync at
/// the end has little left to do.
class FeedSource final : public image::content::ByteSource {
 public:
  /// Both borrowed.
  FeedSource(Feed& feed, int fd) : feed_(feed), fd_(fd) {}
  /// InvalidState when the feed was stopped.
  Result<std::size_t> read(std::span<std::byte> buffer) override;

 private:
  void write_back();
  Feed& feed_;
  int fd_;
  std::uint64_t at_ = 0;
  std::uint64_t there_ = 0;    // as of the last wait
  std::uint64_t started_ = 0;  // write-back was, of everything before
  std::uint64_t synced_ = 0;
};

}  // namespace nexcage::registry::client
