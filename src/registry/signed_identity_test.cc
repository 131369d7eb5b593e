#include "nexcage/registry/signed_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::registry {
namespace {

using testing::HasSubstr;

const std::string kDigest =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

SignedIdentity parse(const std::string& text) {
  return parse_signed_identity(json::parse(text).value(), "w").value();
}

struct Case {
  const char* identity;
  std::string image, signed_name;
  bool matches;
};
class IdentityMatches : public ::testing::TestWithParam<Case> {};
TEST_P(IdentityMatches, as_containers_image_decides) {
  const Case& test = GetParam();
  EXPECT_EQ(identity_matches(parse(test.identity), oci::Reference::parse(test.image).value(),
                             test.signed_name),
            test.matches)
      << test.identity << " " << test.image << " " << test.signed_name;
}

constexpr const char* kExact = R"({"type": "matchExact"})";
constexpr const char* kDefault = R"({"type": "matchRepoDigestOrExact"})";
constexpr const char* kRepository = R"({"type": "matchRepository"})";
constexpr const char* kReference = R"({"type": "exactReference", "dockerReference": "h.x/a:1"})";
constexpr const char* kOneRepository =
    R"({"type": "exactRepository", "dockerRepository": "h.x/a"})";
constexpr const char* kRemap =
    R"({"type": "remapIdentity", "prefix": "m.x/copy", "signedPrefix": "h.x"})";

INSTANTIATE_TEST_SUITE_P(
    Table, IdentityMatches,
    ::testing::Values(
        Case{kExact, "h.x/a:1", "h.x/a:1", true}, Case{kExact, "h.x/a:1", "h.x/a:2", false},
        Case{kExact, "h.x/a", "h.x/a", false}, Case{kExact, "h.x/a", "h.x/a:latest", true},
        Case{kExact, "busybox:1", "docker.io/library/busybox:1", true},
        Case{kExact, "h.x/a@" + kDigest, "h.x/a:1", false},
        Case{kExact, "h.x/a@" + kDigest, "h.x/a@" + kDigest, true},
        Case{kExact, "h.x/a:1", "not a name", false}, Case{kDefault, "h.x/a:1", "h.x/a:1", true},
        Case{kDefault, "h.x/a:1", "h.x/a:2", false},
        Case{kDefault, "h.x/a@" + kDigest, "h.x/a:2", true},
        Case{kDefault, "h.x/a:1@" + kDigest, "h.x/a:2", true},
        Case{kDefault, "h.x/a@" + kDigest, "h.x/a", false},
        Case{kDefault, "h.x/a@" + kDigest, "h.x/b:2", false},
        Case{kRepository, "h.x/a:1", "h.x/a", true}, Case{kRepository, "h.x/a:1", "h.x/a:9", true},
        Case{kRepository, "h.x/a:1", "h.x/b", false}, Case{kReference, "z.x/z:3", "h.x/a:1", true},
        Case{kReference, "h.x/a:1", "h.x/a", false}, Case{kReference, "h.x/a:1", "h.x/a:2", false},
        Case{kOneRepository, "z.x/z:3", "h.x/a", true},
        Case{kOneRepository, "z.x/z:3", "h.x/b", false},
        Case{kRemap, "m.x/copy/a:1", "h.x/a:1", true},
        Case{kRemap, "m.x/copy/a:1", "m.x/copy/a:1", false},
        Case{kRemap, "m.x/copyist/a:1", "h.x/ist/a:1", false},
        Case{kRemap, "m.x/copyist/a:1", "m.x/copyist/a:1", true},
        Case{kRemap, "m.x/copy/a@" + kDigest, "h.x/a:7", true}));

TEST(SignedIdentity, travels_as_json) {
  for (const char* text : {kExact, kDefault, kRepository, kReference, kOneRepository, kRemap})
    EXPECT_EQ(parse(json::dump(to_json(parse(text)))), parse(text));
}

TEST(SignedIdentity, refuses_unknown_types_members_and_names) {
  for (const char* text :
       {"[]", "{}", R"({"type": 1})", R"({"type": "matchAny"})",
        R"({"type": "matchExact", "prefix": "a.b"})", R"({"type": "matchExact", "": "x"})",
        R"({"type": "exactReference"})",
        R"({"type": "exactReference", "dockerReference": "h.x/a"})",
        R"({"type": "exactRepository", "dockerRepository": "h.x/a:1"})",
        R"({"type": "remapIdentity", "prefix": "h.x"})",
        R"({"type": "remapIdentity", "prefix": "h.x/a:1", "signedPrefix": "h.x"})",
        R"({"type": "remapIdentity", "prefix": "name", "signedPrefix": "h.x"})"}) {
    SCOPED_TRACE(text);
    EXPECT_ERROR(parse_signed_identity(json::parse(text).value(), "where"), Errc::ConfigError,
                 HasSubstr("where: "));
  }
}

}  // namespace
}  // namespace nexcage::registry
