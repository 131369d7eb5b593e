#include "nexcage/image/content/tar_writer.h"

#include <unistd.h>

#include "nexcage/image/content/tar_reader.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage::image::content {
namespace {

using ::testing::HasSubstr;

std::string written(int fd) {
  (void)::lseek(fd, 0, SEEK_SET);
  return sys::read_all(fd).value();
}

TEST(TarWriter, WhatItWritesIsReadBack) {
  UniqueFd file = sys::memory_file("tar").value();
  TarWriter tar(file.get());
  const std::string large(100'000, 'x');
  MemorySource source(std::as_bytes(std::span(large)));
  ASSERT_OK(tar.add_directory("blobs"));
  ASSERT_OK(tar.add_text("blobs/small", "text"));
  ASSERT_OK(tar.add_file("blobs/large", large.size(), source));
  ASSERT_OK(tar.finish());
  const std::string bytes = written(file.get());
  EXPECT_EQ(bytes.size() % 10240, 0u);
  EXPECT_EQ(bytes.size(), tar.bytes());

  MemorySource again(std::as_bytes(std::span(bytes)));
  TarReader reader(again);
  auto entry = reader.next();
  ASSERT_OK(entry);
  EXPECT_EQ((*entry)->type, TarType::directory);
  entry = reader.next();
  ASSERT_OK(entry);
  EXPECT_EQ((*entry)->name, "blobs/small");
  EXPECT_EQ((*entry)->mode, 0644u);
  EXPECT_EQ(bytes.substr((*entry)->data_offset, 4), "text");
  entry = reader.next();
  ASSERT_OK(entry);
  EXPECT_EQ((*entry)->size, large.size());
  EXPECT_EQ(bytes.substr((*entry)->data_offset, large.size()), large);
  entry = reader.next();
  ASSERT_OK(entry);
  EXPECT_FALSE(entry->has_value());
}

TEST(TarWriter, LongNamesAndLargeMembers) {
  const std::string name = "blobs/sha512/" + std::string(128, 'a');
  const std::uint64_t size = (std::uint64_t{1} << 33) + 5;
  const std::string header = tar_member_header(name, '0', size);
  MemorySource source(std::as_bytes(std::span(header)));
  TarReader reader(source);
  auto entry = reader.next();
  ASSERT_OK(entry);
  EXPECT_EQ((*entry)->name, name);
  EXPECT_EQ((*entry)->size, size);
}

TEST(TarWriter, ASourceOfAnotherSizeIsRefused) {
  const std::string data = "four";
  for (std::uint64_t promised : {3u, 5u}) {
    UniqueFd file = sys::memory_file("tar").value();
    TarWriter tar(file.get());
    MemorySource source(std::as_bytes(std::span(data)));
    EXPECT_ERROR(tar.add_file("x", promised, source), Errc::InvalidImage, HasSubstr("bytes"));
  }
}

}  // namespace
}  // namespace nexcage::image::content
