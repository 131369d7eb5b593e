#include "nexcage/cli/options.h"

#include "result_matchers.h"

namespace nexcage::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Sample {
  bool rm = false;
  bool tty = false;
  bool interactive = false;
  std::string name;
  std::optional<std::string> entrypoint;
  std::vector<std::string> env;
  Options options;

  Sample() {
    options.flag("--rm", rm, "");
    options.flag("-t,--tty", tty, "");
    options.flag("-i,--interactive", interactive, "");
    options.text("-n,--name", "NAME", name, "");
    options.text("--entrypoint", "ARGV", entrypoint, "");
    options.list("-e,--env", "NAME=VALUE", env, "");
  }
  Result<std::vector<std::string>> parse(std::vector<std::string> words,
                                         Order order = Order::options_first) {
    return parse_options(options, order, words);
  }
};

TEST(ParseOptions, a_switch_can_be_on_off_or_not_given) {
  const auto parsed = [](std::vector<std::string> words) -> Result<std::optional<bool>> {
    std::optional<bool> value;
    Options options;
    options.flag("--verify", value, "");
    NX_CHECK(parse_options(options, Order::anywhere, words));
    return value;
  };
  EXPECT_EQ(parsed({}).value(), std::nullopt);
  EXPECT_EQ(parsed({"--verify"}).value(), true);
  EXPECT_EQ(parsed({"--verify=true"}).value(), true);
  EXPECT_EQ(parsed({"--verify=false"}).value(), false);
  EXPECT_EQ(parsed({"--verify", "--verify=false"}).value(), false);
  EXPECT_ERROR(parsed({"--verify=maybe"}), Errc::InvalidSpec, HasSubstr("--verify = maybe"));
}

TEST(ParseOptions, reads_every_form_of_an_option) {
  Sample s;
  auto words = s.parse({"--rm", "-it", "--name=a", "-e", "A=1", "-eB=2", "--env=C=3", "image"});
  ASSERT_OK(words);
  EXPECT_THAT(*words, ElementsAre("image"));
  EXPECT_TRUE(s.rm && s.tty && s.interactive);
  EXPECT_EQ(s.name, "a");
  EXPECT_THAT(s.env, ElementsAre("A=1", "B=2", "C=3"));
  EXPECT_EQ(s.entrypoint, std::nullopt);
}

TEST(ParseOptions, leaves_the_command_untouched_after_the_first_word) {
  Sample s;
  auto words = s.parse({"--rm", "image", "--rm", "-e", "--name=", "--", "-x", ""});
  ASSERT_OK(words);
  EXPECT_THAT(*words, ElementsAre("image", "--rm", "-e", "--name=", "--", "-x", ""));
  EXPECT_THAT(s.env, IsEmpty());
}

TEST(ParseOptions, double_dash_ends_the_options) {
  Sample s;
  auto words = s.parse({"--rm", "--", "--name", "x"});
  ASSERT_OK(words);
  EXPECT_THAT(*words, ElementsAre("--name", "x"));
}

TEST(ParseOptions, accepts_options_between_words_where_the_verb_says_so) {
  Sample s;
  auto words = s.parse({"id", "--rm", "TERM", "--", "--tty"}, Order::anywhere);
  ASSERT_OK(words);
  EXPECT_THAT(*words, ElementsAre("id", "TERM", "--tty"));
  EXPECT_TRUE(s.rm);
  EXPECT_FALSE(s.tty);
}

TEST(ParseOptions, keeps_empty_bracketed_and_dashed_values) {
  Sample s;
  auto words =
      s.parse({"--entrypoint=", "-e", "L=[a,b]", "-e", "[a,b]", "-e", "-x", "--name", "", "image"});
  ASSERT_OK(words);
  EXPECT_EQ(s.entrypoint, "");
  EXPECT_THAT(s.env, ElementsAre("L=[a,b]", "[a,b]", "-x"));
  EXPECT_EQ(s.name, "");
  EXPECT_THAT(*words, ElementsAre("image"));
}

TEST(ParseOptions, last_value_counts) {
  Sample s;
  ASSERT_OK(s.parse({"--name", "a", "--name", "b", "--rm", "--rm=false"}));
  EXPECT_EQ(s.name, "b");
  EXPECT_FALSE(s.rm);
}

TEST(ParseOptions, suggests_a_name_for_an_unknown_option) {
  Sample s;
  auto words = s.parse({"--nmae=x", "image"});
  EXPECT_ERROR(words, Errc::InvalidSpec, HasSubstr("unknown option --nmae"));
  EXPECT_THAT(words.error().hint(), HasSubstr("--name"));
  EXPECT_ERROR(s.parse({"-z", "image"}), Errc::InvalidSpec, HasSubstr("unknown option -z"));
}

TEST(ParseOptions, refuses_a_missing_value_and_a_switch_that_is_no_boolean) {
  Sample s;
  EXPECT_ERROR(s.parse({"--name"}), Errc::InvalidSpec, HasSubstr("option --name needs a value"));
  EXPECT_ERROR(s.parse({"--rm=maybe"}), Errc::InvalidSpec, HasSubstr("rm"));
}

}  // namespace
}  // namespace nexcage::cli
