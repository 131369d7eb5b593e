#include "nexcage/registry/client/staging.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "nexcage/image/content/stream.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::registry::client {
namespace {

using testing::UnorderedElementsAre;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(PartialMap, text_and_back) {
  const PartialMap map{.size = 100,
                       .boot = "b-1",
                       .written = *Intervals::parse("0-10 20-100", 100),
                       .durable = *Intervals::parse("0-5", 100)};
  const std::string text = to_text(map);
  const auto back = parse_partial_map(text);
  ASSERT_TRUE(back);
  EXPECT_EQ(to_text(*back), text);
  EXPECT_EQ(usable(*back, 100, "b-1"), map.written);
  EXPECT_EQ(usable(*back, 100, "b-2"), map.durable);
  EXPECT_EQ(usable(*back, 99, "b-1"), Intervals());
}

TEST(PartialMap, an_older_longer_text_behind_it_does_not_matter) {
  PartialMap map{
      .size = 100, .boot = "b", .written = *Intervals::parse("0-1 3-5", 100), .durable = {}};
  std::string disk = to_text(map);
  map.written = *Intervals::parse("0-5", 100);
  const std::string shorter = to_text(map);
  disk.replace(0, shorter.size(), shorter);
  ASSERT_TRUE(parse_partial_map(disk));
  EXPECT_EQ(parse_partial_map(disk)->written, map.written);
}

TEST(PartialMap, every_cut_and_every_changed_byte_shows) {
  const PartialMap map{
      .size = 100, .boot = "b", .written = *Intervals::parse("0-10", 100), .durable = {}};
  const std::string text = to_text(map);
  for (std::size_t i = 0; i < text.size(); ++i) {
    EXPECT_FALSE(parse_partial_map(text.substr(0, i))) << i;
    std::string other = text;
    other[i] = static_cast<char>(other[i] ^ 1);
    EXPECT_FALSE(parse_partial_map(other)) << i;
  }
}

class StagingTest : public testing::Test {
 protected:
  void SetUp() override {
    auto dir = sys::TempDir::create(testing::TempDir(), "staging");
    ASSERT_OK(dir);
    dir_.emplace(*std::move(dir));
    ASSERT_OK(sys::mkdirs(dir_->path() + "/blobs/sha256", 0755));
    auto staging = Staging::open(dir_->path());
    ASSERT_OK(staging);
    staging_.emplace(*std::move(staging));
  }
  std::string file(const oci::Digest& digest, std::string_view suffix) const {
    return dir_->path() + "/.partial/sha256-" + std::string(digest.hex()) + std::string(suffix);
  }
  std::vector<std::string> names() const {
    const auto fd = sys::open_at(dir_->fd(), ".partial", O_RDONLY | O_DIRECTORY);
    return sys::list_dir(fd->get()).value();
  }
  std::optional<sys::TempDir> dir_;
  std::optional<Staging> staging_;
  const std::string text_ = "0123456789";
  const oci::Digest digest_ = image::content::sha256_of(text_);
};

TEST_F(StagingTest, a_blob_is_gone_on_from_where_it_was_left) {
  {
    auto partial = staging_->try_begin(digest_, 10);
    ASSERT_OK(partial);
    ASSERT_TRUE(*partial);
    EXPECT_TRUE((*partial)->have().empty());
    ASSERT_OK((*partial)->write(0, bytes("0123")));
    ASSERT_OK((*partial)->write(8, bytes("89")));
  }
  auto again = staging_->try_begin(digest_, 10);
  ASSERT_OK(again);
  EXPECT_EQ((*again)->have().str(), "0-4 8-10");
  ASSERT_OK((*again)->write(4, bytes("4567")));
  EXPECT_EQ(*staging_->find(digest_, 10), Staging::Found::nowhere);
  ASSERT_OK((*again)->publish());
  EXPECT_EQ(*staging_->find(digest_, 10), Staging::Found::staged);
  EXPECT_EQ(*staging_->find(digest_, 11), Staging::Found::nowhere);
  EXPECT_THAT(names(), UnorderedElementsAre("sha256-" + std::string(digest_.hex()) + ".done"));
  EXPECT_EQ(*sys::read_file(AT_FDCWD, file(digest_, ".done")), text_);
  EXPECT_EQ(staging_->read(digest_, 10).value(), text_);
  EXPECT_EQ(staging_->read(digest_, 11).value(), std::nullopt);
}

TEST_F(StagingTest, one_process_at_a_time_has_a_blob) {
  auto first = staging_->try_begin(digest_, 10);
  ASSERT_OK(first);
  auto second = staging_->try_begin(digest_, 10);
  ASSERT_OK(second);
  EXPECT_FALSE(*second);
  first->reset();
  EXPECT_TRUE(staging_->try_begin(digest_, 10).value());
}

TEST_F(StagingTest, what_is_discarded_leaves_nothing) {
  auto partial = staging_->try_begin(digest_, 10);
  ASSERT_OK(partial);
  ASSERT_OK((*partial)->write(0, bytes("0123")));
  ASSERT_OK((*partial)->discard());
  EXPECT_THAT(names(), testing::IsEmpty());
}

TEST_F(StagingTest, another_size_begins_anew) {
  ASSERT_OK((*staging_->try_begin(digest_, 10))->write(0, bytes("0123")));
  auto other = staging_->try_begin(digest_, 11);
  ASSERT_OK(other);
  EXPECT_TRUE((*other)->have().empty());
  EXPECT_EQ(sys::stat_fd((*other)->data_fd())->st_size, 0);
}

TEST_F(StagingTest, what_the_map_claims_behind_the_end_of_the_file_is_not_there) {
  ASSERT_OK((*staging_->try_begin(digest_, 10))->write(0, bytes("012345")));
  ASSERT_EQ(::truncate(file(digest_, "").c_str(), 3), 0);
  EXPECT_EQ((*staging_->try_begin(digest_, 10))->have().str(), "0-3");
}

TEST_F(StagingTest, without_a_readable_map_nothing_counts) {
  ASSERT_OK((*staging_->try_begin(digest_, 10))->write(0, bytes("012345")));
  std::ofstream(file(digest_, ".map")) << "nonsense";
  EXPECT_TRUE((*staging_->try_begin(digest_, 10))->have().empty());
}

TEST_F(StagingTest, a_document_takes_up_what_a_killed_process_left) {
  std::ofstream(file(digest_, ".new")) << text_ << "and more than that";
  ASSERT_OK(staging_->add_document(digest_, text_));
  EXPECT_THAT(names(), UnorderedElementsAre("sha256-" + std::string(digest_.hex()) + ".done"));
  EXPECT_EQ(staging_->read(digest_, 10).value(), text_);
}

TEST_F(StagingTest, documents_are_there_at_once_and_readable_by_all) {
  ASSERT_OK(staging_->add_document(digest_, text_));
  ASSERT_OK(staging_->add_document(digest_, text_));
  EXPECT_EQ(*staging_->find(digest_, 10), Staging::Found::staged);
  struct stat found{};
  ASSERT_EQ(::stat(file(digest_, ".done").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777U, 0644U);
  std::ofstream(dir_->path() + "/" + digest_.blob_path()) << text_;
  EXPECT_EQ(*staging_->find(digest_, 10), Staging::Found::stored);
}

}  // namespace
}  // namespace nexcage::registry::client
