#include "nexcage/runtime/exchange.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>

#include "nexcage/runtime/undo.h"
#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::runtime {
namespace {

using testing::HasSubstr;

class ExchangeTest : public testing::Test {
 protected:
  void SetUp() override {
    auto dir = sys::TempDir::create("/tmp", "exchange-test");
    ASSERT_OK(dir);
    dir_.emplace(std::move(*dir));
    for (const char* name : {"bundle", "state", "logs"}) ASSERT_OK(sys::mkdirs(path(name), 0700));
    put("bundle/config.json", "old \"config\"\n");
    put("state/state.json", "old state");
  }
  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
  }
  std::string get(const std::string& name) const {
    const auto text = sys::read_file(AT_FDCWD, path(name));
    return text ? *text : "(none)";
  }

  /// A file that changes, one that is new, and a volume.
  Exchange exchange() const {
    storage::Volume volume;
    volume.base = storage::generation_dir(path("bundle"), 2);
    return {
        .before = {{.path = path("bundle/config.json"), .mode = 0644, .text = "old \"config\"\n"},
                   {.path = path("bundle/generations.json"), .mode = 0600, .text = {}},
                   {.path = path("state/state.json"), .mode = 0600, .text = "old state"}},
        .volume = volume,
        .generation = 2};
  }
  std::vector<FileText> after() const {
    return {{.path = path("bundle/config.json"), .mode = 0644, .text = "new config"},
            {.path = path("bundle/generations.json"), .mode = 0600, .text = "{}"},
            {.path = path("state/state.json"), .mode = 0600, .text = "new state"}};
  }
  void begin() const {
    ASSERT_OK(begin_exchange(path("bundle"), exchange()));
    ASSERT_OK(sys::mkdirs(path("bundle/generations/2/upper"), 0700));
  }
  void expect_old() const {
    EXPECT_EQ(get("bundle/config.json"), "old \"config\"\n");
    EXPECT_EQ(get("bundle/generations.json"), "(none)");
    EXPECT_EQ(get("state/state.json"), "old state");
    EXPECT_FALSE(*sys::exists(AT_FDCWD, path("bundle/generations/2")));
    EXPECT_FALSE(*sys::exists(AT_FDCWD, path("bundle/exchange.json")));
  }

  std::optional<sys::TempDir> dir_;
};

TEST_F(ExchangeTest, undone_after_any_number_of_files_everything_is_as_it_was) {
  for (std::size_t written = 0; written <= after().size(); ++written) {
    begin();
    const std::vector<FileText> all = after();
    ASSERT_OK(write_file_texts({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(written)}));
    ASSERT_OK(undo_exchange(path("bundle")));
    expect_old();
  }
}

TEST_F(ExchangeTest, committed_it_stays) {
  begin();
  ASSERT_OK(write_file_texts(after()));
  ASSERT_OK(commit_exchange(path("bundle")));
  ASSERT_OK(undo_exchange(path("bundle")));
  EXPECT_EQ(get("bundle/config.json"), "new config");
  EXPECT_EQ(get("state/state.json"), "new state");
  EXPECT_TRUE(*sys::exists(AT_FDCWD, path("bundle/generations/2/upper")));
  struct stat info{};
  ASSERT_EQ(::stat(path("bundle/config.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0644U);
}

TEST_F(ExchangeTest, a_state_directory_that_went_with_the_boot_is_not_missed) {
  begin();
  ASSERT_OK(write_file_texts(after()));
  ASSERT_OK(sys::remove_tree(path("state")));
  ASSERT_OK(undo_exchange(path("bundle")));
  EXPECT_EQ(get("bundle/config.json"), "old \"config\"\n");
  EXPECT_FALSE(*sys::exists(AT_FDCWD, path("state")));
}

TEST_F(ExchangeTest, a_damaged_journal_is_kept_and_touches_nothing) {
  begin();
  for (const char* text : {"{", "{}", R"({"before": [{"path": "relative"}]})"}) {
    put("bundle/exchange.json", text);
    EXPECT_ERROR(undo_exchange(path("bundle")), Errc::InvalidJson, HasSubstr("exchange.json"));
    EXPECT_EQ(get("bundle/exchange.json"), text);
  }
  EXPECT_TRUE(*sys::exists(AT_FDCWD, path("bundle/generations/2")));
}

TEST_F(ExchangeTest, the_undo_log_takes_it_back_and_forgets_what_the_journal_has) {
  begin();
  auto log = FileUndoLog::create(path("logs"), "c1");
  ASSERT_OK(log);
  ASSERT_OK(log->will_exchange(path("bundle")));
  auto position = log->position();
  ASSERT_OK(position);
  put("kept", "x");
  ASSERT_OK(log->will_create_file(path("kept")));
  ASSERT_OK(log->forget_since(*position));
  ASSERT_OK(write_file_texts(after()));
  ASSERT_OK(log->roll_back());
  expect_old();
  EXPECT_EQ(get("kept"), "x");
}

TEST_F(ExchangeTest, one_that_was_committed_is_not_taken_back_by_the_log) {
  begin();
  auto log = FileUndoLog::create(path("logs"), "c1");
  ASSERT_OK(log);
  ASSERT_OK(log->will_exchange(path("bundle")));
  ASSERT_OK(write_file_texts(after()));
  ASSERT_OK(commit_exchange(path("bundle")));
  ASSERT_OK(log->roll_back());
  EXPECT_EQ(get("bundle/config.json"), "new config");
}

}  // namespace
}  // namespace nexcage::runtime
