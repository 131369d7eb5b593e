// Memory for many small things that live and die together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace nexcage::layerfs::tree {

/// Bytes in chunks: nothing moves, nothing is given back before the end.
class Arena {
 public:
  Arena() = default;
  Arena(Arena&& other) noexcept
      : chunks_(std::move(other.chunks_)),
        left_(std::exchange(other.left_, {})),
        bytes_(std::exchange(other.bytes_, 0)) {}
  Arena& operator=(Arena&& other) noexcept {
    chunks_ = std::move(other.chunks_);
    left_ = std::exchange(other.left_, {});
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() = default;

  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* to = reinterpret_cast<char*>(take(text.size(), 1));
    std::memcpy(to, text.data(), text.size());
    return {to, text.size()};
  }
  /// Elements of a type without constructor or destructor of its own.
  template <class T>
  std::span<const T> copy(std::span<const T> values) {
    if (values.empty()) return {};
    T* to = reinterpret_cast<T*>(take(values.size_bytes(), alignof(T)));
    std::uninitialized_copy(values.begin(), values.end(), to);
    return {to, values.size()};
  }
  /// Keeps alive what another arena holds.
  void adopt(Arena&& other) {
    for (auto& chunk : other.chunks_) chunks_.push_back(std::move(chunk));
    bytes_ += std::exchange(other.bytes_, 0);
    other.chunks_.clear();
    other.left_ = {};
  }
  /// Bytes asked of the system.
  std::uint64_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kFirstChunk = 4096, kChunk = std::size_t{256} << 10;

  std::byte* take(std::size_t size, std::size_t alignment) {
    const auto address = reinterpret_cast<std::uintptr_t>(left_.data());
    const std::size_t skip = (alignment - address % alignment) % alignment;
    if (left_.data() == nullptr || left_.size() < size + skip) return take_new(size);
    std::byte* at = left_.data() + skip;
    left_ = left_.subspan(skip + size);
    return at;
  }
  std::byte* take_new(std::size_t size) {
    const std::size_t usual = std::min(kChunk, std::max<std::size_t>(kFirstChunk, bytes_));
    const bool is_large = size > usual / 4;
    chunks_.push_back(std::make_unique_for_overwrite<std::byte[]>(is_large ? size : usual));
    bytes_ += is_large ? size : usual;
    std::byte* at = chunks_.back().get();
    // A large thing has a chunk of its own; the one before is filled further.
    if (!is_large) left_ = std::span(at + size, usual - size);
    return at;
  }

  std::vector<std::unique_ptr<std::byte[]>> chunks_;
  std::span<std::byte> left_;
  std::uint64_t bytes_ = 0;
};

/// A vector in pages: growing moves nothing and wastes at most one page.
template <class T>
class Paged {
 public:
  T& operator[](std::size_t i) { return pages_[i / kPage][i % kPage]; }
  const T& operator[](std::size_t i) const { return pages_[i / kPage][i % kPage]; }
  std::size_t size() const { return size_; }
  void push_back(const T& value) {
    if (size_ % kPage == 0) pages_.push_back(std::make_unique_for_overwrite<T[]>(kPage));
    (*this)[size_++] = value;
  }
  std::uint64_t bytes() const { return pages_.size() * kPage * sizeof(T); }

 private:
  static constexpr std::size_t kPage = 256;
  std::vector<std::unique_ptr<T[]>> pages_;
  std::size_t size_ = 0;
};

}  // namespace nexcage::layerfs::tree
