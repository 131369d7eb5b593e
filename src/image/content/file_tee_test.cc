#include "nexcage/image/content/file_tee.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::image::content {
namespace {

using ::testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

TEST(FileTee, keeps_what_is_read_and_what_is_skipped) {
  std::string text(1'000'000, 'x');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i % 127);
  MemorySource source(bytes_of(text));
  const UniqueFd file(::memfd_create("copy", MFD_CLOEXEC));
  FileTee tee(source, file.get(), "copy");
  std::vector<std::byte> buffer(1000);
  EXPECT_EQ(*tee.read(buffer), 1000u);
  EXPECT_EQ(*tee.skip(700'000), 700'000u);
  EXPECT_EQ(*drain(tee), 299'000u);
  EXPECT_EQ(*tee.skip(1), 0u);
  EXPECT_EQ(tee.bytes(), text.size());
  ASSERT_EQ(::lseek(file.get(), 0, SEEK_SET), 0);
  EXPECT_EQ(sys::read_all(file.get()).value_or(""), text);
}

TEST(FileTee, full_disk_is_said) {
  const std::string text = "x";
  MemorySource source(bytes_of(text));
  const UniqueFd file(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  FileTee tee(source, file.get(), "the copy");
  EXPECT_ERROR(drain(tee), Errc::FileError, HasSubstr("the copy"));
}

}  // namespace
}  // namespace nexcage::image::content
