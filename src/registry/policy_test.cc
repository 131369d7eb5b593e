#include "nexcage/registry/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kAccept = R"([{"type": "insecureAcceptAnything"}])";
constexpr const char* kDigest =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

Result<Policy> parse(std::string_view text) { return parse_policy(text, "/p"); }
Result<Policy> parse_default(const std::string& requirement) {
  return parse("{\"default\": [" + requirement + "]}");
}
oci::Reference reference(std::string_view text) { return oci::Reference::parse(text).value(); }

TEST(Policy, scopes_from_the_image_up_to_its_domains) {
  EXPECT_THAT(scopes_of(reference("a.b.example:5000/n/r:1")),
              ElementsAre("a.b.example:5000/n/r:1", "a.b.example:5000/n/r", "a.b.example:5000/n",
                          "a.b.example:5000", "*.b.example", "*.example"));
  EXPECT_THAT(scopes_of(reference(std::string("localhost/r@") + kDigest)),
              ElementsAre(std::string("localhost/r@") + kDigest, "localhost/r", "localhost"));
}

TEST(Policy, the_most_specific_scope_decides) {
  const std::string reject = R"([{"type": "reject"}])";
  const auto policy = parse(
      R"({"default": )" + reject + R"(, "transports": {"docker": {)" + R"("": )" + reject +
      R"(, "*.example": )" + reject + R"(, "h.example": )" + reject + R"(, "h.example/n/r": )" +
      reject + R"(, "h.example/n/r:1": )" + std::string(kAccept) + R"(}, "dir": {}}})");
  ASSERT_OK(policy);
  const auto rule = [&](std::string_view name) {
    return find_ruling(*policy, reference(name)).rule;
  };
  EXPECT_EQ(rule("h.example/n/r:1"), "/p: transports.docker[\"h.example/n/r:1\"]");
  EXPECT_EQ(rule("h.example/n/r:2"), "/p: transports.docker[\"h.example/n/r\"]");
  EXPECT_EQ(rule("h.example/n/x"), "/p: transports.docker[\"h.example\"]");
  EXPECT_EQ(rule("h.example:5000/n/x"), "/p: transports.docker[\"*.example\"]");
  EXPECT_EQ(rule("other.org/x"), "/p: transports.docker[\"\"]");
  EXPECT_EQ(find_ruling(*policy, reference("h.example/n/r:1")).requirements[0].kind,
            Requirement::Kind::accept);
  const auto only_default = parse_default(R"({"type": "reject"})");
  EXPECT_EQ(find_ruling(*only_default, reference("h.example/a")).rule, "/p: default");
}

TEST(Policy, without_a_file_nothing_is_required) {
  const Ruling ruling = find_ruling(Policy(), reference("h.example/a"));
  EXPECT_TRUE(ruling.requirements.empty());
  EXPECT_EQ(ruling.rule, "no policy.json");
}

TEST(Policy, keys_of_sigstore_signatures) {
  const auto policy = parse(R"({"default": [
    {"type": "sigstoreSigned", "keyPath": "/k"},
    {"type": "sigstoreSigned", "keyPaths": ["/k", "/l"], "signedIdentity": {"type": "matchExact"}},
    {"type": "sigstoreSigned", "keyData": "a2V5"},
    {"type": "sigstoreSigned", "keyDatas": ["a2V5", "b3RoZXI="]}]})");
  ASSERT_OK(policy);
  const std::vector<Requirement>& list = policy->fallback;
  EXPECT_THAT(list[0].key_paths, ElementsAre("/k"));
  EXPECT_EQ(list[0].identity.kind, SignedIdentity::Kind::match_repo_digest_or_exact);
  EXPECT_THAT(list[1].key_paths, ElementsAre("/k", "/l"));
  EXPECT_EQ(list[1].identity.kind, SignedIdentity::Kind::match_exact);
  EXPECT_THAT(list[2].keys, ElementsAre("key"));
  EXPECT_THAT(list[3].keys, ElementsAre("key", "other"));
  for (const Requirement& one : list) EXPECT_EQ(one.kind, Requirement::Kind::sigstore);
}

TEST(Policy, what_cannot_be_verified_is_kept_as_such) {
  for (const char* text :
       {R"({"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"})",
        R"({"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}})",
        R"({"type": "sigstoreSigned", "pki": {}})",
        R"({"type": "sigstoreSigned", "fulcio": {}, "rekorPublicKeyPath": "/r"})",
        R"({"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyData": "a2V5"})"}) {
    SCOPED_TRACE(text);
    const auto policy = parse_default(text);
    ASSERT_OK(policy);
    EXPECT_EQ(policy->fallback[0].kind, Requirement::Kind::unsupported);
    EXPECT_THAT(policy->fallback[0].unsupported, HasSubstr("not verified by nexcage"));
  }
}

class PolicyRefuses : public ::testing::TestWithParam<const char*> {};
TEST_P(PolicyRefuses, with_the_path) {
  EXPECT_ERROR(parse(GetParam()), Errc::ConfigError, StartsWith("/p: "));
}
INSTANTIATE_TEST_SUITE_P(
    Files, PolicyRefuses,
    ::testing::Values(
        "", "[]", "{}", R"({"default": []})", R"({"default": {}})", R"({"default": [1]})",
        R"({"default": [{}]})", R"({"default": [{"type": 1}]})",
        R"({"default": [{"type": "accept"}]})", R"({"default": [{"type": "reject", "x": 1}]})",
        R"({"default": [{"type": "reject"}], "defaults": []})",
        R"({"default": [{"type": "reject"}], "default": [{"type": "reject"}]})",
        R"({"default": [{"type": "reject"}], "transports": []})",
        R"({"default": [{"type": "reject"}], "transports": {"docker": []}})",
        R"({"default": [{"type": "reject"}], "transports": {"docker": {"h": []}}})",
        R"({"default": [{"type": "reject"}], "transports": {"dir": {"rel": [{"type": "reject"}]}}})",
        R"({"default": [{"type": "reject"}], "transports": {"oci": {"/": [{"type": "reject"}]}}})",
        R"({"default": [{"type": "reject"}],
            "transports": {"docker-archive": {"x": [{"type": "reject"}]}}})",
        R"({"default": [{"type": "signedBy", "keyPath": "/k"}]})",
        R"({"default": [{"type": "signedBy", "keyType": "None", "keyPath": "/k"}]})",
        R"({"default": [{"type": "signedBy", "keyType": "GPGKeys"}]})",
        R"({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyDatas": ["a2V5"]}]})",
        R"({"default": [{"type": "sigstoreSigned"}]})",
        R"({"default": [{"type": "sigstoreSigned", "keypath": "/k"}]})",
        R"({"default": [{"type": "sigstoreSigned", "keyPath": ""}]})",
        R"({"default": [{"type": "sigstoreSigned", "keyPaths": []}]})",
        R"({"default": [{"type": "sigstoreSigned", "keyPath": "/k", "keyData": "a2V5"}]})",
        R"({"default": [{"type": "sigstoreSigned", "keyData": "not base64"}]})",
        R"({"default": [{"type": "sigstoreSigned", "fulcio": {}}]})",
        R"({"default": [{"type": "sigstoreSigned", "keyPath": "/k",
                         "signedIdentity": {"type": "matchAny"}}]})",
        R"({"default": [{"type": "signedBaseLayer"}]})"));

}  // namespace
}  // namespace nexcage::registry
