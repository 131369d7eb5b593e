#include "nexcage/registry/registries_conf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<RegistriesConf> parse(std::string_view text) { return parse_registries_conf(text, "f"); }

TEST(RegistriesConf, reads_every_key_of_version_2) {
  const auto conf = parse(R"(
unqualified-search-registries = ["registry.example/", "host:5000"]
short-name-mode = "enforcing"
credential-helpers = ["containers-auth.json", "pass"]
future-key = 1

[[registry]]
prefix = "example.com/foo/"
location = "internal.example/bar"
insecure = true
[[registry.mirror]]
location = "one.example"
[[registry.mirror]]
location = "two.example/x"
insecure = true
pull-from-mirror = "tag-only"

[[registry]]
location = "bad.example"
blocked = true

[aliases]
"alpine" = "docker.io/alpine"
"my/app" = "quay.example/team/app"
"gone" = ""
)");
  ASSERT_OK(conf);
  ASSERT_EQ(conf->rules.size(), 2U);
  const RegistryRule& rule = conf->rules[0];
  EXPECT_EQ(rule.prefix, "example.com/foo");
  EXPECT_EQ(rule.location, "internal.example/bar");
  EXPECT_EQ(rule.origin, "f:7");
  EXPECT_TRUE(rule.insecure);
  ASSERT_EQ(rule.mirrors.size(), 2U);
  EXPECT_EQ(rule.mirrors[0].location, "one.example");
  EXPECT_EQ(rule.mirrors[0].serves, Endpoint::Serves::all);
  EXPECT_TRUE(rule.mirrors[1].insecure);
  EXPECT_EQ(rule.mirrors[1].serves, Endpoint::Serves::tag);
  EXPECT_EQ(conf->rules[1].prefix, "bad.example");
  EXPECT_TRUE(conf->rules[1].blocked);
  EXPECT_THAT(*conf->search, ElementsAre("registry.example", "host:5000"));
  EXPECT_EQ(conf->search_origin, "f");
  EXPECT_THAT(*conf->credential_helpers, ElementsAre("containers-auth.json", "pass"));
  EXPECT_EQ(conf->short_name_mode, ShortNameMode::enforcing);
  EXPECT_EQ(conf->aliases.at("alpine").name, "docker.io/library/alpine");
  EXPECT_EQ(conf->aliases.at("my/app").name, "quay.example/team/app");
  EXPECT_EQ(conf->aliases.at("gone").name, "");
  EXPECT_THAT(conf->unknown, ElementsAre("f:5: \"future-key\""));
}

TEST(RegistriesConf, mirror_by_digest_only_holds_for_all_mirrors) {
  const auto conf = parse(
      "[[registry]]\nlocation='a.b'\nmirror-by-digest-only=true\n"
      "[[registry.mirror]]\nlocation='c.d'\n");
  ASSERT_OK(conf);
  EXPECT_EQ(conf->rules[0].mirrors[0].serves, Endpoint::Serves::digest);
}

TEST(RegistriesConf, of_two_rules_with_one_prefix_the_first_counts) {
  const auto conf = parse(
      "[[registry]]\nprefix='a.b'\nlocation='x.y'\n[[registry]]\nprefix='a.b'\nlocation='z.z'\n");
  ASSERT_OK(conf);
  ASSERT_EQ(conf->rules.size(), 1U);
  EXPECT_EQ(conf->rules[0].location, "x.y");
}

TEST(RegistriesConf, version_1_is_converted) {
  constexpr std::string_view kText =
      "[registries.search]\nregistries=['a.b']\n[registries.insecure]\nregistries=['c.d','e.f']\n"
      "[registries.block]\nregistries=['c.d']\n";
  const auto conf = parse(kText);
  ASSERT_OK(conf);
  EXPECT_THAT(*conf->search, ElementsAre("a.b"));
  ASSERT_EQ(conf->rules.size(), 2U);
  EXPECT_TRUE(conf->rules[0].blocked && conf->rules[0].insecure);
  EXPECT_TRUE(!conf->rules[1].blocked && conf->rules[1].insecure);
  EXPECT_ERROR(parse_registries_conf(kText, "f", Version::only_2), Errc::ConfigError,
               HasSubstr("version 2"));
  EXPECT_ERROR(parse(std::string("short-name-mode='disabled'\n") + std::string(kText)),
               Errc::ConfigError, HasSubstr("mixed"));
}

struct Refused {
  const char* text;
  const char* why;
};
class RegistriesConfRefuses : public ::testing::TestWithParam<Refused> {};
TEST_P(RegistriesConfRefuses, with_file_and_line) {
  const auto conf = parse(GetParam().text);
  EXPECT_ERROR(conf, Errc::ConfigError, HasSubstr(GetParam().why));
  EXPECT_THAT(conf.error().message(), testing::MatchesRegex("f:[0-9]+: .*"));
}
INSTANTIATE_TEST_SUITE_P(
    Files, RegistriesConfRefuses,
    ::testing::Values(
        Refused{"[[registry]]\n", "needs a location or a prefix"},
        Refused{"[[registry]]\nprefix='a.b'\n", "needs no location"},
        Refused{"[[registry]]\nlocation='https://a.b'\n", "URI schemes"},
        Refused{"[[registry]]\nlocation='a b'\n", "is none"},
        Refused{"[[registry]]\nprefix='*.a.b/c'\n", "wildcard"},
        Refused{"[[registry]]\nprefix='*.a.b:5'\n", "wildcard"},
        Refused{"[[registry]]\nprefix='a.*.b'\nlocation='c.d'\n", "wildcard"},
        Refused{"[[registry]]\nlocation='a.b'\ninsecure=1\n", "expected true or false"},
        Refused{"[[registry]]\nlocation=1\n", "expected a string, found an integer"},
        Refused{"[[registry]]\nlocation='a.b'\npull-from-mirror='all'\n", "is for mirrors"},
        Refused{"[[registry]]\nlocation='a.b'\n[[registry.mirror]]\n", "a mirror needs"},
        Refused{"[[registry]]\nlocation='a.b'\n[[registry.mirror]]\nlocation='c'\n"
                "pull-from-mirror='never'\n",
                "is none of all"},
        Refused{"[[registry]]\nlocation='a.b'\nmirror-by-digest-only=true\n"
                "[[registry.mirror]]\nlocation='c'\npull-from-mirror='all'\n",
                "exclude each other"},
        Refused{"[[registry]]\nlocation='a.b'\n[[registry]]\nprefix='c.d'\nlocation='a.b'\n"
                "insecure=true\n",
                "has another 'insecure' at f:1"},
        Refused{"[[registry]]\nlocation='a.b'\n[[registry]]\nprefix='c.d'\nlocation='a.b'\n"
                "blocked=true\n",
                "has another 'blocked'"},
        Refused{"registry='a.b'\n", "an array of tables"},
        Refused{"unqualified-search-registries=['docker']\n", "is no host name"},
        Refused{"unqualified-search-registries=['']\n", "is no host name"},
        Refused{"unqualified-search-registries=['a.b/c']\n", "is no host name"},
        Refused{"unqualified-search-registries='a.b'\n", "an array of strings"},
        Refused{"short-name-mode='maybe'\n", "is none of enforcing"},
        Refused{"[aliases]\n'a:1'='b.c/d'\n", "a short name has"},
        Refused{"[aliases]\n'b.c/d'='b.c/d'\n", "a short name has"},
        Refused{"[aliases]\n'a'='b/d'\n", "is no REGISTRY/REPOSITORY"},
        Refused{"[aliases]\n'a'='b.c/d:1'\n", "is no REGISTRY/REPOSITORY"},
        Refused{"[aliases]\n'a'=1\n", "expected a string"},
        Refused{"registries='x'\n", "expected a table"}));

TEST(RegistriesConf, later_files_replace_what_they_set) {
  RegistriesConf conf = parse(
                            "unqualified-search-registries=['a.b']\nshort-name-mode='disabled'\n"
                            "[[registry]]\nlocation='a.b'\n[aliases]\nx='a.b/x'\ny='a.b/y'\n")
                            .value();
  conf.merge(
      parse_registries_conf("unqualified-search-registries=[]\n[[registry]]\nprefix='a.b'\n"
                            "location='c.d'\n[[registry]]\nlocation='e.f'\n[aliases]\nx=''\n",
                            "g")
          .value());
  EXPECT_TRUE(conf.search->empty());
  EXPECT_EQ(conf.search_origin, "g");
  EXPECT_EQ(conf.short_name_mode, ShortNameMode::disabled);
  ASSERT_EQ(conf.rules.size(), 2U);
  EXPECT_EQ(conf.rules[0].location, "c.d");
  EXPECT_EQ(conf.aliases.at("x").name, "");
  EXPECT_EQ(conf.aliases.at("y").name, "a.b/y");
}

TEST(RegistriesConf, prefixes_end_at_components) {
  const auto length = [](const char* reference, const char* prefix) {
    const auto matched = match_prefix(reference, prefix);
    return matched ? static_cast<int>(*matched) : -1;
  };
  EXPECT_EQ(length("a.b/c/d:1", "a.b/c"), 5);
  EXPECT_EQ(length("a.b/cc/d:1", "a.b/c"), -1);
  EXPECT_EQ(length("a.b/c:1", "a.b/c"), 5);
  EXPECT_EQ(length("a.b/c@sha256:0", "a.b/c"), 5);
  EXPECT_EQ(length("a.b/c:1", "a.b/c:1"), 7);
  EXPECT_EQ(length("a.bc/c", "a.b"), -1);
  EXPECT_EQ(length("x.a.b/c", "*.a.b"), 5);
  EXPECT_EQ(length("x.y.a.b:5000/c", "*.a.b"), 7);
  EXPECT_EQ(length("a.b/c", "*.a.b"), -1);
  EXPECT_EQ(length("xa.b/c", "*.a.b"), -1);
  EXPECT_EQ(length("q.r/x.a.b", "*.a.b"), -1);
}

TEST(RegistriesConf, the_longest_prefix_decides) {
  const auto conf = parse(
      "[[registry]]\nlocation='a.b'\n[[registry]]\nprefix='a.b/c'\nlocation='x.y'\n"
      "[[registry]]\nprefix='*.b'\n");
  ASSERT_OK(conf);
  EXPECT_EQ(find_rule(*conf, "a.b/c/d")->prefix, "a.b/c");
  EXPECT_EQ(find_rule(*conf, "a.b/d")->prefix, "*.b");
  EXPECT_EQ(find_rule(*conf, "z.z/d"), nullptr);
}

}  // namespace
}  // namespace nexcage::registry
