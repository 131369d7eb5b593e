#include "nexcage/cli/criu_args.h"

#include "result_matchers.h"

namespace nexcage::cli {
namespace {

using testing::ElementsAre;

TEST(CriuArgs, what_was_given_is_handed_on_in_runcs_words) {
  CriuArgs args;
  Options options;
  args.declare_checkpoint(options);
  const std::vector<std::string> line = {"--leave-running",
                                         "--image-path",
                                         "/i",
                                         "--parent-path",
                                         "../first",
                                         "--page-server=1.2.3.4:5",
                                         "c1"};
  auto rest = parse_options(options, Order::anywhere, line);
  ASSERT_OK(rest);
  EXPECT_THAT(*rest, ElementsAre("c1"));
  auto words = args.words();
  ASSERT_OK(words);
  EXPECT_THAT(*words, ElementsAre("--image-path", "/i", "--leave-running", "--parent-path",
                                  "../first", "--page-server", "1.2.3.4:5"));
  EXPECT_TRUE(args.given("--leave-running"));
  EXPECT_FALSE(args.given("--pre-dump"));
}

TEST(CriuArgs, nothing_given_is_nothing_said) {
  CriuArgs args;
  Options options;
  args.declare_restore(options);
  ASSERT_OK(parse_options(options, Order::anywhere, {}));
  EXPECT_TRUE(args.words()->empty());
}

TEST(CriuArgs, relative_paths_become_absolute) {
  CriuArgs args;
  Options options;
  args.declare_restore(options);
  const std::vector<std::string> line = {"--work-path", "work"};
  ASSERT_OK(parse_options(options, Order::anywhere, line));
  auto words = args.words();
  ASSERT_OK(words);
  EXPECT_TRUE(words->at(1).starts_with('/') && words->at(1).ends_with("/work")) << words->at(1);
}

}  // namespace
}  // namespace nexcage::cli
