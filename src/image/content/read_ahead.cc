#include "nexcage/image/content/read_ahead.h"

#include <algorithm>
#include <utility>

namespace nexcage::image::content {

ReadAhead::ReadAhead(ByteSource& from) : from_(from) {
  empty_.reserve(kBuffers);
  for (std::size_t i = 0; i < kBuffers; ++i) empty_.emplace_back(kBufferSize);
  thread_ = std::thread([this] { fill_all(); });
}

ReadAhead::~ReadAhead() {
  {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::optional<ReadAhead::Buffer> ReadAhead::take_empty() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopped_ || !empty_.empty(); });
  if (stopped_) return std::nullopt;
  Buffer buffer = std::move(empty_.back());
  empty_.pop_back();
  return buffer;
}

void ReadAhead::put_filled(Filled filled) {
  {
    const std::scoped_lock lock(mutex_);
    filled_.push_back(std::move(filled));
  }
  changed_.notify_all();
}

void ReadAhead::fill_all() {
  while (auto buffer = take_empty()) {
    // Whole buffers: a switch between threads costs more than the bytes of a short read.
    auto result = read_full(from_, *buffer);
    const bool last = !result || *result < buffer->size();
    const bool at_end = result && *result == 0;
    put_filled({.buffer = std::move(*buffer), .result = std::move(result)});
    if (!last) continue;
    if (!at_end) put_filled({.buffer = {}, .result = 0});
    return;
  }
}

void ReadAhead::next_buffer() {
  std::unique_lock lock(mutex_);
  if (current_) empty_.push_back(std::move(current_->buffer));
  changed_.notify_all();
  changed_.wait(lock, [&] { return !filled_.empty(); });
  current_ = std::move(filled_.front());
  filled_.pop_front();
}

Result<std::size_t> ReadAhead::read(std::span<std::byte> buffer) {
  if (buffer.empty()) return 0;
  if (left_.empty()) {
    const bool ended = current_ && (!current_->result || *current_->result == 0);
    if (!ended) next_buffer();
    if (!current_->result) return fail(current_->result.error());
    left_ = std::span<const std::byte>(current_->buffer).first(*current_->result);
  }
  const std::size_t n = std::min(buffer.size(), left_.size());
  std::copy_n(left_.begin(), n, buffer.begin());
  left_ = left_.subspan(n);
  return n;
}

}  // namespace nexcage::image::content
