#include "nexcage/registry/registries_d.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::registry {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Result<RegistriesD> parse(std::string_view text) {
  RegistriesD out;
  NX_CHECK(add_registries_d(text, "/d/a.yaml", out));
  return out;
}
bool uses(const RegistriesD& config, std::string_view name) {
  return use_attachments(config, oci::Reference::parse(name).value());
}

TEST(RegistriesD, the_most_specific_section_that_says_something_counts) {
  const auto config = parse(R"(---
# comment
default-docker:
  lookaside-staging: file:///var/lib/x # where

docker:
    h.example:          # a registry
        use-sigstore-attachments: true
    "h.example/no":
        use-sigstore-attachments: False
    'h.example:5000/yes':
        lookaside: https://z.example:8080/x
        use-sigstore-attachments: true
    h.example/no/silent:
        lookaside: https://z.example
)");
  ASSERT_OK(config);
  EXPECT_TRUE(uses(*config, "h.example/a"));
  EXPECT_FALSE(uses(*config, "h.example/no/a"));
  EXPECT_FALSE(uses(*config, "h.example/no/silent"));
  EXPECT_TRUE(uses(*config, "h.example:5000/yes:1"));
  EXPECT_FALSE(uses(*config, "h.example:5000/other"));
  EXPECT_FALSE(uses(*config, "other.example/a"));
}

TEST(RegistriesD, the_default_counts_last) {
  const auto config = parse("default-docker:\n  use-sigstore-attachments: true\n");
  ASSERT_OK(config);
  EXPECT_TRUE(uses(*config, "other.example/a"));
  EXPECT_FALSE(uses(parse("").value(), "other.example/a"));
}

TEST(RegistriesD, one_section_has_one_file) {
  RegistriesD config;
  ASSERT_OK(add_registries_d("docker:\n h.x:\n  lookaside: a\ndefault-docker:\n", "/d/a", config));
  EXPECT_ERROR(add_registries_d("docker:\n h.x:\n", "/d/b", config), Errc::ConfigError,
               HasSubstr("/d/b:2: \"h.x\" is at /d/a:2 too"));
  EXPECT_ERROR(add_registries_d("default-docker:\n", "/d/b", config), Errc::ConfigError,
               HasSubstr("/d/a:4"));
}

class RegistriesDRefuses : public ::testing::TestWithParam<const char*> {};
TEST_P(RegistriesDRefuses, what_it_does_not_understand) {
  EXPECT_ERROR(parse(GetParam()), Errc::ConfigError, StartsWith("/d/a.yaml:"));
}
INSTANTIATE_TEST_SUITE_P(
    Files, RegistriesDRefuses,
    ::testing::Values("word\n", "- a\n", "docker: {h.x: {}}\n", "docker: x\n", "podman:\n",
                      "docker:\n\th.x:\n", "docker:\n h.x:\n h.x:\n", "docker:\n  a.x:\n b.x:\n",
                      "docker:\n h.x: &anchor\n", "docker:\n h.x:\n  unknown: 1\n",
                      "docker:\n h.x:\n  use-sigstore-attachments: yes please\n",
                      "docker:\n h.x:\n  use-sigstore-attachments:\n",
                      "docker:\n h.x:\n  lookaside: a\n   b: c\n",
                      "docker:\n h.x:\n  lookaside: |\n", "docker:\n \"h\\x\":\n",
                      "docker:\n 'h''x':\n", "docker:\n \"h.x:\n", "docker:\n h.x: 'a' b\n",
                      "docker:\n h.x:\n  lookaside:\n   deep: 1\n"));

}  // namespace
}  // namespace nexcage::registry
