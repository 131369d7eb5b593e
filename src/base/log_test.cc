#include "nexcage/base/log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "result_matchers.h"

namespace nexcage::log {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/nexcage-log-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
  }
  void TearDown() override {
    EXPECT_OK(open({}));
    ::unlink(file().c_str());
    ::unlink((dir_ + "/stderr").c_str());
    ::rmdir(dir_.c_str());
  }
  std::string file() const { return dir_ + "/log"; }

  static std::string content(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  /// What `write` sends to standard error.
  template <class F>
  std::string stderr_of(F write) {
    const std::string path = dir_ + "/stderr";
    const int saved = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    const int to = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ::dup2(to, STDERR_FILENO);
    write();
    ::dup2(saved, STDERR_FILENO);
    ::close(saved);
    ::close(to);
    return content(path);
  }

  std::string dir_;
};

Error sample() {
  return Error::from_errno(ENOENT, "open \"x\"")
      .wrap("create web1")
      .hint("make it")
      .also(Error(Errc::Timeout, "unmount"));
}

TEST_F(LogTest, json_record_has_the_names_that_runc_uses) {
  ASSERT_OK(open({.file = file(), .format = Format::json, .minimum = Level::info}));
  info("line one\nline two");
  const std::string text = content(file());
  EXPECT_THAT(text, testing::MatchesRegex(
                        R"(\{"level":"info","msg":"line one\\nline two","time":"[-0-9T:]+Z"\}.)"));
  EXPECT_EQ(text.back(), '\n');
}

TEST_F(LogTest, json_error_carries_all_of_the_error) {
  ASSERT_OK(open({.file = file(), .format = Format::json}));
  const std::string shown = stderr_of([] { error(sample()); });
  EXPECT_EQ(shown, "nexcage: error: create web1: open \"x\": no such file or directory\n");
  EXPECT_THAT(content(file()),
              AllOf(HasSubstr(R"("level":"error")"),
                    HasSubstr(R"("msg":"create web1: open \"x\": no such file or directory")"),
                    HasSubstr(R"("code":"FileError")"), HasSubstr(R"("errno":2)"),
                    HasSubstr(R"({"text":"open \"x\"","file":")"), HasSubstr(R"("hint":"make it")"),
                    HasSubstr(R"("also":[{"msg":"unmount","code":"Timeout")")));
}

TEST_F(LogTest, text_record_is_what_logrus_writes) {
  ASSERT_OK(open({.file = file(), .format = Format::text, .minimum = Level::debug}));
  debug("he said \"hi\"");
  EXPECT_THAT(
      content(file()),
      testing::MatchesRegex("time=\"[-0-9T:]+Z\" level=debug msg=\"he said \\\\\"hi\\\\\"\"."));
}

TEST_F(LogTest, records_are_appended_to_what_is_there) {
  std::ofstream(file()) << "before\n";
  ASSERT_OK(open({.file = file(), .format = Format::json}));
  warning("x");
  EXPECT_THAT(content(file()), testing::StartsWith("before\n{\"level\":\"warning\""));
}

TEST_F(LogTest, a_new_file_is_private_and_closed_on_exec) {
  const mode_t before = ::umask(0);
  ASSERT_OK(open({.file = file()}));
  ::umask(before);
  struct stat info{};
  ASSERT_EQ(::stat(file().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(LogTest, levels_below_the_minimum_are_dropped) {
  ASSERT_OK(open({.file = file(), .format = Format::json, .minimum = Level::warning}));
  debug("no");
  info("no");
  EXPECT_EQ(content(file()), "");
  EXPECT_FALSE(enabled(Level::info));
  EXPECT_TRUE(enabled(Level::warning));
}

TEST_F(LogTest, without_a_file_people_get_message_clean_up_and_hint) {
  ASSERT_OK(open({}));
  EXPECT_EQ(stderr_of([] { error(sample()); }),
            "nexcage: error: create web1: open \"x\": no such file or directory\n"
            "nexcage: also: unmount\n"
            "nexcage: hint: make it\n");
  EXPECT_EQ(stderr_of([] { warning("careful"); }), "nexcage: warning: careful\n");
}

TEST_F(LogTest, a_reason_that_another_program_has_shown_is_not_shown_again) {
  ASSERT_OK(open({}));
  already_shown(sample().frames().front().text);
  EXPECT_EQ(stderr_of([] { error(sample()); }), "nexcage: also: unmount\nnexcage: hint: make it\n");
  EXPECT_EQ(stderr_of([] { error(Error(Errc::FileError, "else")); }), "nexcage: error: else\n");
  ASSERT_OK(open({.file = file(), .format = Format::json}));
  EXPECT_EQ(stderr_of([] { error(sample()); }), "");
  EXPECT_THAT(content(file()), HasSubstr("create web1"));
  already_shown("");
  EXPECT_NE(stderr_of([] { error(sample()); }), "");
}

TEST_F(LogTest, debug_shows_where_an_error_comes_from) {
  ASSERT_OK(open({.file = {}, .minimum = Level::debug}));
  EXPECT_THAT(stderr_of([] { error(sample()); }), HasSubstr("log_test.cc:"));
}

TEST_F(LogTest, bytes_of_others_cannot_steer_the_terminal) {
  ASSERT_OK(open({}));
  const std::string shown =
      stderr_of([] { warning("id \x1b[31m\nnexcage: error: fake \xc2\x9b \xff"); });
  EXPECT_THAT(shown, AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\xc2\x9b")),
                           HasSubstr(R"(\u001b[31m\nnexcage)")));
  EXPECT_EQ(shown.find('\n'), shown.size() - 1);
}

TEST_F(LogTest, a_file_that_cannot_be_opened_is_an_error_and_changes_nothing) {
  ASSERT_OK(open({.file = file(), .format = Format::json}));
  EXPECT_ERROR(open({.file = dir_ + "/no/log"}), Errc::FileError, HasSubstr("open log file"));
  warning("still here");
  EXPECT_THAT(content(file()), HasSubstr("still here"));
}

TEST(JsonEscape, every_byte_comes_out_valid) {
  EXPECT_EQ(json_escape("a\"\\/\b\x1f"), R"(a\"\\/\u0008\u001f)");
  EXPECT_EQ(json_escape(std::string_view("\0", 1)), R"(\u0000)");
  EXPECT_EQ(json_escape("\xc3\xa4 \xff\xc3"), "\xc3\xa4 \xef\xbf\xbd\xef\xbf\xbd");
}

}  // namespace
}  // namespace nexcage::log
