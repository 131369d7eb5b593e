#include "nexcage/registry/short_name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::registry {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kDigest =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

RegistriesConf conf(std::string_view text) { return parse_registries_conf(text, "/rc").value(); }

std::vector<std::string> names(const std::vector<oci::Reference>& references) {
  std::vector<std::string> out;
  out.reserve(references.size());
  for (const oci::Reference& reference : references) out.push_back(reference.str());
  return out;
}

TEST(ShortName, full_names_stay_as_they_are) {
  const auto found = pull_candidates(conf(""), "h.x/a", "/rc");
  ASSERT_OK(found);
  EXPECT_THAT(names(found->references), ElementsAre("h.x/a:latest"));
  EXPECT_EQ(found->why, "");
  EXPECT_THAT(names(local_candidates(conf(""), "h.x/a").value()), ElementsAre("h.x/a:latest"));
}

TEST(ShortName, an_alias_comes_first_and_keeps_tag_and_digest) {
  const RegistriesConf aliases =
      conf("unqualified-search-registries=['s.x']\n[aliases]\n'a/b'='h.x/c'\n'no'=''\n");
  const auto found = pull_candidates(aliases, "a/b:1", "/rc");
  ASSERT_OK(found);
  EXPECT_THAT(names(found->references), ElementsAre("h.x/c:1"));
  EXPECT_EQ(found->why, "Resolved \"a/b\" as an alias (/rc:3)");
  EXPECT_THAT(names(pull_candidates(aliases, std::string("a/b@") + kDigest, "/rc")->references),
              ElementsAre(std::string("h.x/c@") + kDigest));
  EXPECT_THAT(names(pull_candidates(aliases, "no", "/rc")->references),
              ElementsAre("s.x/no:latest"));
}

TEST(ShortName, search_registries_are_tried_in_their_order) {
  const auto found =
      pull_candidates(conf("unqualified-search-registries=['one.x', 'docker.io']\n"), "b:2", "/rc");
  ASSERT_OK(found);
  EXPECT_THAT(names(found->references), ElementsAre("one.x/b:2", "docker.io/library/b:2"));
  EXPECT_EQ(found->why, "Resolving \"b\" using unqualified-search registries (/rc)");
}

TEST(ShortName, nothing_configured_is_said_in_podmans_words) {
  for (const char* text : {"", "unqualified-search-registries=[]\n"})
    EXPECT_ERROR(pull_candidates(conf(text), "b", "/rc"), Errc::ImageNotFound,
                 HasSubstr("short-name \"b\" did not resolve to an alias and no unqualified-search "
                           "registries are defined in \"/rc\""));
}

TEST(ShortName, without_any_configuration_it_is_the_hub_as_in_docker) {
  EXPECT_THAT(names(pull_candidates(RegistriesConf(), "b", "")->references),
              ElementsAre("docker.io/library/b:latest"));
}

TEST(ShortName, enforcing_refuses_to_guess) {
  const RegistriesConf two =
      conf("short-name-mode='enforcing'\nunqualified-search-registries=['one.x', 'two.x']\n");
  EXPECT_ERROR(pull_candidates(two, "b", "/rc"), Errc::ImageNotFound,
               AllOf(HasSubstr("one.x or of two.x"), HasSubstr("enforced")));
  EXPECT_OK(pull_candidates(
      conf("short-name-mode='enforcing'\nunqualified-search-registries=['one.x']\n"), "b", "/rc"));
}

TEST(ShortName, what_is_no_reference_is_refused) {
  EXPECT_ERROR(pull_candidates(RegistriesConf(), "A b", "/rc"), Errc::InvalidSpec,
               HasSubstr("image reference"));
  EXPECT_ERROR(local_candidates(RegistriesConf(), ""), Errc::InvalidSpec, HasSubstr("is empty"));
}

TEST(ShortName, in_the_store_every_way_of_completing_counts) {
  const RegistriesConf both =
      conf("unqualified-search-registries=['s.x', 'docker.io']\n[aliases]\nb='h.x/c'\n");
  EXPECT_THAT(names(local_candidates(both, "b:1").value()),
              ElementsAre("h.x/c:1", "docker.io/library/b:1", "localhost/b:1", "s.x/b:1"));
}

}  // namespace
}  // namespace nexcage::registry
