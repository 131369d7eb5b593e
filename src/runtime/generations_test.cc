#include "nexcage/runtime/generations.h"

#include <fcntl.h>
#include <gmock/gmock.h>

#include <fstream>

#include "nexcage/runtime/undo.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::runtime {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Generation generation(unsigned number) {
  Generation one;
  one.number = number;
  one.replaced = "2026-11-29T12:00:00Z";
  one.image = "app:" + std::to_string(number);
  one.digest = "sha256:" + std::string(64, 'a');
  one.volume.base = "/c/web/generations/" + std::to_string(number);
  one.config = "{\"hostname\": \"" + std::to_string(number) + "\"}\n";
  one.request = "request";
  one.info = "info";
  return one;
}

std::vector<unsigned> numbers(const std::vector<Generation>& all) {
  std::vector<unsigned> out;
  for (const Generation& one : all) out.push_back(one.number);
  return out;
}

TEST(Generations, a_newer_one_pushes_out_those_that_are_not_kept) {
  Generations all;
  for (unsigned number = 2; number <= 4; ++number)
    all = without_surplus(with_newer(std::move(all), generation(number - 1), number), 2);
  EXPECT_EQ(all.current, 4U);
  EXPECT_EQ(all.last, 4U);
  EXPECT_THAT(numbers(all.earlier), ElementsAre(3U, 2U));
  EXPECT_THAT(numbers(all.discarded), ElementsAre(1U));
  all = with_newer(std::move(all), generation(4), 5);
  EXPECT_THAT(numbers(all.earlier), ElementsAre(4U, 3U, 2U)) << "until the new one runs";
  all = without_surplus(std::move(all), 0);
  EXPECT_TRUE(all.earlier.empty());
  EXPECT_THAT(numbers(all.discarded), testing::UnorderedElementsAre(1U, 2U, 3U, 4U));
}

TEST(Generations, going_back_discards_the_one_that_is_left_and_reuses_no_number) {
  Generations all = with_newer({}, generation(1), 2);
  all = with_newer(std::move(all), generation(2), 3);
  all = with_earlier(std::move(all), generation(3));
  EXPECT_EQ(all.current, 2U);
  EXPECT_EQ(all.last, 3U);
  EXPECT_THAT(numbers(all.earlier), ElementsAre(3U, 1U)) << "until the other one runs";
  all = without(std::move(all), 3);
  EXPECT_THAT(numbers(all.earlier), ElementsAre(1U));
  EXPECT_THAT(numbers(all.discarded), ElementsAre(3U));
}

TEST(Generations, an_update_that_is_taken_back_leaves_those_before_it) {
  const Generations before = with_newer({}, generation(1), 2);
  const Generations back = taken_back(before, generation(3));
  EXPECT_EQ(back.current, 2U);
  EXPECT_EQ(back.last, 3U);
  EXPECT_THAT(numbers(back.earlier), ElementsAre(1U));
  EXPECT_THAT(numbers(back.discarded), ElementsAre(3U));
}

class GenerationsOnDisk : public testing::Test {
 protected:
  void SetUp() override {
    auto dir = sys::TempDir::create("/tmp", "generations-test");
    ASSERT_OK(dir);
    dir_.emplace(std::move(*dir));
    ASSERT_OK(sys::mkdirs(path("logs"), 0700));
  }
  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  /// Two earlier ones, with directories; the older one is to go.
  void prepare() const {
    Generations all = with_newer({}, generation(1), 2);
    all = without_surplus(with_newer(std::move(all), generation(2), 3), 1);
    for (Generation* one : {&all.earlier.front(), &all.discarded.front()}) {
      one->volume.base = path("generations/" + std::to_string(one->number) + "/upper");
      if (one->number == 1) one->volume.base = path("upper");
      ASSERT_OK(sys::mkdirs(one->volume.base, 0700));
    }
    put("generations.json", generations_text(all));
  }
  bool exists(const std::string& name) const { return *sys::exists(AT_FDCWD, path(name)); }

  std::optional<sys::TempDir> dir_;
};

TEST_F(GenerationsOnDisk, come_back_as_they_were) {
  Generations all = with_newer({}, generation(1), 2);
  all = without_surplus(with_newer(std::move(all), generation(2), 3), 1);
  put("generations.json", generations_text(all));
  const auto back = load_generations(dir_->path());
  ASSERT_OK(back);
  EXPECT_EQ(generations_text(*back), generations_text(all));
  EXPECT_EQ(back->earlier.front().config, "{\"hostname\": \"2\"}\n");
}

TEST_F(GenerationsOnDisk, none_are_those_of_a_container_that_was_never_updated) {
  const auto none = load_generations(dir_->path());
  ASSERT_OK(none);
  EXPECT_EQ(none->current, 1U);
  EXPECT_TRUE(none->earlier.empty());
  EXPECT_OK(remove_discarded(dir_->path()));
}

TEST_F(GenerationsOnDisk, what_is_damaged_is_named) {
  for (const char* text :
       {"{", "{}", R"({"current": 0, "last": 1, "earlier": [], "discarded": []})",
        R"({"current": 1, "last": 1, "earlier": [{"number": 1}], "discarded": []})"}) {
    put("generations.json", text);
    EXPECT_ERROR(load_generations(dir_->path()), Errc::InvalidJson, HasSubstr("generations.json"));
  }
}

TEST_F(GenerationsOnDisk, the_discarded_go_and_the_others_stay) {
  prepare();
  ASSERT_OK(remove_discarded(dir_->path()));
  EXPECT_FALSE(exists("upper"));
  EXPECT_TRUE(exists("generations/2/upper"));
  const auto left = load_generations(dir_->path());
  ASSERT_OK(left);
  EXPECT_TRUE(left->discarded.empty());
  EXPECT_THAT(numbers(left->earlier), ElementsAre(2U));
}

TEST_F(GenerationsOnDisk, they_stay_while_somebody_holds_the_container) {
  prepare();
  auto container = FileUndoLog::create(path("logs"), "web");
  ASSERT_OK(container);
  auto update = FileUndoLog::create(path("logs"), "web@update");
  ASSERT_OK(update);
  ASSERT_OK(update->will_discard("web", dir_->path()));
  EXPECT_ERROR(update->roll_back(), Errc::ContainerExists, HasSubstr("web"));
  EXPECT_TRUE(exists("upper"));
  ASSERT_OK(container->commit());
  // The next command.
  recover(path("logs"));
  EXPECT_FALSE(exists("upper"));
  EXPECT_TRUE(sys::list_dir(sys::open_at(AT_FDCWD, path("logs"), O_RDONLY)->get())->empty());
}

}  // namespace
}  // namespace nexcage::runtime
