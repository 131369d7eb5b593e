#include "nexcage/image/content/read_ahead.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "result_matchers.h"

namespace nexcage::image::content {
namespace {

using ::testing::HasSubstr;

/// Counts up, in uneven pieces; ends or fails at `size`.
class Counting final : public ByteSource {
 public:
  Counting(std::size_t size, bool fails) : size_(size), fails_(fails) {}
  Result<std::size_t> read(std::span<std::byte> buffer) override {
    ++reads;
    if (at_ == size_ && fails_) return fail(Errc::InvalidImage, "torn");
    const std::size_t n = std::min({buffer.size(), size_ - at_, std::size_t{70'001}});
    for (std::size_t i = 0; i < n; ++i) buffer[i] = static_cast<std::byte>((at_ + i) % 251);
    at_ += n;
    return n;
  }
  std::atomic<int> reads = 0;

 private:
  std::size_t size_, at_ = 0;
  bool fails_;
};

void expect_bytes(ReadAhead& ahead, std::size_t size) {
  std::vector<std::byte> buffer(100'003);
  std::size_t at = 0;
  while (at < size) {
    const auto n = ahead.read(buffer);
    ASSERT_OK(n);
    ASSERT_GT(*n, 0u);
    for (std::size_t i = 0; i < *n; ++i)
      ASSERT_EQ(buffer[i], static_cast<std::byte>((at + i) % 251));
    at += *n;
  }
  EXPECT_EQ(at, size);
}

TEST(ReadAhead, gives_all_bytes_and_the_end) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, ReadAhead::kBufferSize, ReadAhead::kBufferSize * 9 + 5}) {
    Counting source(size, false);
    ReadAhead ahead(source);
    expect_bytes(ahead, size);
    std::byte one{};
    for (int again = 0; again < 2; ++again) EXPECT_EQ(*ahead.read({&one, 1}), 0u);
  }
}

TEST(ReadAhead, an_error_comes) {
  Counting source(ReadAhead::kBufferSize * 3 + 5, true);
  ReadAhead ahead(source);
  EXPECT_ERROR(drain(ahead), Errc::InvalidImage, HasSubstr("torn"));
  std::byte one{};
  EXPECT_ERROR(ahead.read({&one, 1}), Errc::InvalidImage, HasSubstr("torn"));
}

TEST(ReadAhead, may_be_left_early) {
  Counting source(std::size_t{1} << 30, false);
  {
    ReadAhead ahead(source);
    std::byte one{};
    EXPECT_EQ(*ahead.read({&one, 1}), 1u);
  }
  // It never went further ahead than its buffers: four reads fill one.
  EXPECT_LE(source.reads, 4 * static_cast<int>(ReadAhead::kBuffers + 1));
}

}  // namespace
}  // namespace nexcage::image::content
