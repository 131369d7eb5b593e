// A stage of a stream in a thread of its own.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "nexcage/image/content/stream.h"

namespace nexcage::image::content {

/// Reads `from` ahead, some buffers far, so that what is above it (hashing, writing) and what is
/// below it (inflating) use two cores. Read by one thread; `from` is read by the stage's own
/// thread only, and is free again when this has gone. Memory: kBuffers * kBufferSize.
class ReadAhead final : public ByteSource {
 public:
  static constexpr std::size_t kBuffers = 4;
  static constexpr std::size_t kBufferSize = 256u << 10;

  /// Does not own `from`.
  explicit ReadAhead(ByteSource& from);
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;
  /// Waits for the read that is under way.
  ~ReadAhead() override;
  /// The bytes, the end and the error of `from`, in their order.
  Result<std::size_t> read(std::span<std::byte> buffer) override;

 private:
  using Buffer = std::vector<std::byte>;
  struct Filled {
    Buffer buffer;
    Result<std::size_t> result;  // 0: the end
  };
  void fill_all();
  std::optional<Buffer> take_empty();
  void put_filled(Filled filled);
  void next_buffer();

  ByteSource& from_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Filled> filled_;
  std::vector<Buffer> empty_;
  bool stopped_ = false;
  std::optional<Filled> current_;
  std::span<const std::byte> left_;  // of current_
  std::thread thread_;
};

}  // namespace nexcage::image::content
