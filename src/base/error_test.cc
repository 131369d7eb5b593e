#include "nexcage/base/error.h"

#include <cerrno>
#include <memory>
#include <set>

#include "result_matchers.h"

namespace nexcage {
namespace {

using testing::HasSubstr;

TEST(Error, every_code_has_a_name_of_its_own_that_leads_back) {
  std::set<std::string_view> names;
  for (int i = 0; i < kErrcCount; ++i) {
    const auto code = static_cast<Errc>(i);
    EXPECT_FALSE(errc_name(code).empty()) << i;
    names.insert(errc_name(code));
    EXPECT_EQ(
        errc_from_name(errc_name(code), code == Errc::Timeout ? Errc::FileError : Errc::Timeout),
        code);
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kErrcCount));
  EXPECT_EQ(errc_from_name("nonsense", Errc::HookError), Errc::HookError);
}

TEST(Error, errno_decides_the_code_only_where_it_says_something) {
  EXPECT_EQ(Error::from_errno(EPERM, "x").code(), Errc::PermissionDenied);
  EXPECT_EQ(Error::from_errno(EACCES, "x").code(), Errc::PermissionDenied);
  EXPECT_EQ(Error::from_errno(ENOMEM, "x").code(), Errc::OutOfMemory);
  EXPECT_EQ(Error::from_errno(ENOENT, "x").code(), Errc::FileError);
  EXPECT_EQ(Error::from_errno(Errc::LXCError, EPERM, "x").code(), Errc::LXCError);
}

TEST(Error, message_runs_from_the_outermost_context_to_the_reason) {
  const Error error =
      Error::from_errno(ENOENT, "open config.json").wrap("read bundle /b").wrap("create web1");
  EXPECT_EQ(error.message(),
            "create web1: read bundle /b: open config.json: no such file or directory");
  EXPECT_EQ(error.sys_errno(), ENOENT);
}

TEST(Error, debug_message_names_code_source_and_clean_up_errors) {
  const Error error = Error(Errc::LayerError, "unpack layer")
                          .wrap("import image")
                          .also(Error::from_errno(EBUSY, "unmount /m"));
  const std::string text = error.debug_message();
  EXPECT_THAT(text, HasSubstr("LayerError"));
  EXPECT_THAT(text, HasSubstr("error_test.cc:"));
  EXPECT_THAT(text, HasSubstr("also: FileError (device or resource busy)"));
}

TEST(Error, the_innermost_hint_wins) {
  EXPECT_EQ(Error(Errc::FileError, "x").hint("inner").hint("outer").hint(), "inner");
}

TEST(Error, may_be_assigned_to_itself_with_more_said) {
  Error error(Errc::FileError, "read");
  error = std::move(error).wrap("open").hint("look").as(Errc::Timeout);
  EXPECT_EQ(error.message(), "open: read");
  EXPECT_EQ(error.hint(), "look");
}

TEST(Error, a_caller_may_know_the_kind_better) {
  const Error error = Error::from_errno(ENOENT, "open x").as(Errc::ImageNotFound);
  EXPECT_EQ(error.code(), Errc::ImageNotFound);
  EXPECT_EQ(error.sys_errno(), ENOENT);
}

Result<std::unique_ptr<int>> give(bool good) {
  if (!good) return fail(Errc::Timeout, "give");
  return std::make_unique<int>(7);
}

Result<int> take(bool good) {
  NX_TRY(auto value, give(good), "take");
  NX_CHECK(give(good), "take again");
  return *value;
}

TEST(Error, try_unwraps_move_only_values_or_returns_with_context) {
  EXPECT_EQ(*take(true), 7);
  EXPECT_ERROR(take(false), Errc::Timeout, testing::Eq("take: give"));
}

}  // namespace
}  // namespace nexcage
