#include "nexcage/cli/config.h"

#include <cstdlib>

#include "result_matchers.h"

namespace nexcage::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Configuration, file_replaces_defaults_and_remembers_the_line) {
  Configuration configuration;
  ASSERT_OK(
      configuration.read_text("[runtime]\n# a comment\nroot = \"/run//x/\"\n"
                              "[hooks]\ntimeout = 7\n",
                              "/etc/nexcage/config.toml"));
  EXPECT_EQ(configuration.settings().root, "/run/x");
  EXPECT_EQ(configuration.settings().hook_timeout, 7);
  EXPECT_EQ(configuration.origin("runtime.root"), "/etc/nexcage/config.toml:3");
  EXPECT_EQ(configuration.origin("storage.images"), "default");
  EXPECT_EQ(configuration.settings().images, "/var/lib/nexcage/images");
}

TEST(Configuration, unknown_key_is_refused_with_a_suggestion) {
  Configuration configuration;
  const auto result = configuration.read_text("[storage]\nimage = \"/x\"\n", "c.toml");
  EXPECT_ERROR(result, Errc::ConfigError, AllOf(HasSubstr("c.toml:2"), HasSubstr("storage.image")));
  EXPECT_THAT(result.error().hint(), HasSubstr("storage.images"));
}

TEST(Configuration, wrong_type_is_refused_with_the_line) {
  Configuration configuration;
  EXPECT_ERROR(configuration.read_text("[runtime]\nroot = 3\n", "c.toml"), Errc::ConfigError,
               AllOf(HasSubstr("c.toml:2"), HasSubstr("expected a string, found an integer")));
  EXPECT_ERROR(configuration.read_text("hooks = 3\n", "c.toml"), Errc::ConfigError,
               HasSubstr("unknown key"));
  EXPECT_ERROR(configuration.read_text("[hooks]\ntimeout = \"3\"\n", "c.toml"), Errc::ConfigError,
               HasSubstr("expected an integer, found a string"));
  EXPECT_ERROR(configuration.read_text("[hooks]\ntimeout = -1\n", "c.toml"), Errc::ConfigError,
               HasSubstr("0 or more"));
  EXPECT_ERROR(configuration.read_text("[runtime.root]\nx = 1\n", "c.toml"), Errc::ConfigError,
               HasSubstr("runtime.root.x"));
}

TEST(Configuration, syntax_errors_name_file_and_line) {
  Configuration configuration;
  EXPECT_ERROR(configuration.read_text("[runtime]\nroot = \n", "c.toml"), Errc::ConfigError,
               HasSubstr("c.toml:2"));
}

TEST(Configuration, values_are_checked) {
  Configuration configuration;
  EXPECT_ERROR(configuration.set("runtime.root", "run/x", "option --root"), Errc::ConfigError,
               AllOf(HasSubstr("option --root"), HasSubstr("absolute")));
  EXPECT_ERROR(configuration.set("runtime.default", "", "x"), Errc::ConfigError,
               HasSubstr("empty"));
  EXPECT_ERROR(configuration.set("storage.default", "a\nb", "x"), Errc::ConfigError,
               HasSubstr("control"));
  EXPECT_ERROR(configuration.set("network.cni_plugin_dir", "/a:b", "x"), Errc::ConfigError,
               HasSubstr("joined by"));
  EXPECT_OK(configuration.set("network.cni_plugin_dir", "/a:/b", "x"));
  EXPECT_EQ(configuration.settings().cni_plugin_dir, "/a:/b");
  EXPECT_ERROR(configuration.set("no.such", "a", "x"), Errc::ConfigError, HasSubstr("unknown key"));
}

TEST(Configuration, environment_beats_the_file) {
  Configuration configuration;
  ASSERT_OK(configuration.read_text("[storage]\nimages = \"/a\"\nlayers = \"/l\"\n", "c.toml"));
  setenv("NEXCAGE_IMAGES", "/b", 1);
  setenv("NEXCAGE_LAYERS", "", 1);  // empty counts as not set
  const auto result = configuration.read_environment();
  unsetenv("NEXCAGE_IMAGES");
  unsetenv("NEXCAGE_LAYERS");
  ASSERT_OK(result);
  EXPECT_EQ(configuration.settings().images, "/b");
  EXPECT_EQ(configuration.origin("storage.images"), "environment NEXCAGE_IMAGES");
  EXPECT_EQ(configuration.settings().layers, "/l");
}

TEST(Configuration, rules_keep_their_order_and_place) {
  Configuration configuration;
  ASSERT_OK(
      configuration.read_text("[[runtime.rule]]\nid = \"^web\"\nruntime = \"crun\"\n"
                              "[[runtime.rule]]\nruntime = \"runc\"\nimage = \"nginx\"\n",
                              "c.toml"));
  ASSERT_OK(configuration.read_text("[[runtime.rule]]\nid = \"x\"\nruntime = \"lxc\"\n", "d.toml"));
  const auto& rules = configuration.settings().rules;
  ASSERT_EQ(rules.size(), 3U);
  EXPECT_EQ(rules[0].id->text(), "^web");
  EXPECT_FALSE(rules[0].image);
  EXPECT_EQ(rules[1].backend, "runc");
  EXPECT_EQ(rules[1].image->text(), "nginx");
  EXPECT_EQ(rules[1].origin, "c.toml:5");
  EXPECT_EQ(rules[2].origin, "d.toml:2");
}

TEST(Configuration, a_bad_rule_is_named_with_its_line) {
  const auto why = [](const char* text) {
    Configuration configuration;
    auto read = configuration.read_text(text, "c.toml");
    return read ? std::string("accepted") : read.error().message();
  };
  Configuration configuration;
  EXPECT_ERROR(
      configuration.read_text("[[runtime.rule]]\nruntime = \"crun\"\nid = \"web[\"\n", "c.toml"),
      Errc::ConfigError, AllOf(HasSubstr("c.toml:3"), HasSubstr("\"web[\"")));
  EXPECT_THAT(why("[[runtime.rule]]\nid = \"x\"\nruntime = \"krun\"\n"),
              AllOf(HasSubstr("c.toml:3"), HasSubstr("unknown backend \"krun\"")));
  EXPECT_THAT(why("[[runtime.rule]]\nid = 3\n"), HasSubstr("c.toml:2"));
  EXPECT_THAT(why("[[runtime.rule]]\nid = \"x\"\n"), HasSubstr("names no runtime"));
  EXPECT_THAT(why("[[runtime.rule]]\nruntime = \"lxc\"\n"), HasSubstr("neither id nor image"));
  EXPECT_THAT(why("[[runtime.rule]]\nname = \"x\"\n"),
              AllOf(HasSubstr("c.toml:2"), HasSubstr("unknown key \"name\"")));
  EXPECT_THAT(why("[runtime]\nrule = 3\n"), HasSubstr("c.toml:2"));
  EXPECT_THAT(why("[runtime.rule]\nid = \"x\"\n"), HasSubstr("c.toml:2: runtime.rule"));
}

TEST(Configuration, a_given_file_must_exist) {
  Configuration configuration;
  EXPECT_ERROR(configuration.read_files("/nonexistent/c.toml"), Errc::ConfigError,
               HasSubstr("/nonexistent/c.toml"));
}

}  // namespace
}  // namespace nexcage::cli
