#include "nexcage/registry/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nexcage/base/base64.h"
#include "result_matchers.h"

namespace nexcage::registry {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kDigest =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

Files files(std::string_view registries_conf = "", std::string_view policy = "",
            std::string_view auth = "") {
  Files out;
  out.registries = parse_registries_conf(registries_conf, "/rc").value();
  out.registries_path = "/rc";
  if (!policy.empty()) out.policy = parse_policy(policy, "/policy.json").value();
  if (!auth.empty())
    out.auth.push_back(parse_auth_file(auth, "/auth.json", AuthFormat::current).value());
  return out;
}

oci::Reference reference(const std::string& text) { return oci::Reference::parse(text).value(); }

/// "URL/REPOSITORY" of each endpoint, "!" behind it when TLS is not verified, "=USER" when a
/// credential is known.
std::vector<std::string> endpoints(const std::vector<PlannedEndpoint>& list) {
  std::vector<std::string> out;
  for (const PlannedEndpoint& one : list) {
    std::string text = one.endpoint.url + "/" + one.endpoint.repository;
    if (!one.endpoint.tls.verify) text += "!";
    for (const CredentialSource& source : one.credentials)
      if (const auto* found = std::get_if<FoundCredential>(&source))
        text += "=" + found->credential.username;
    out.push_back(std::move(text));
  }
  return out;
}

PlannedEndpoint planned(const std::string& url, std::vector<CredentialSource> sources) {
  PlannedEndpoint out;
  out.endpoint.url = url;
  out.endpoint.repository = "a";
  out.credentials = std::move(sources);
  return out;
}

struct Case {
  const char* name;
  const char* conf;
  std::string image;
  std::vector<std::string> expected;
};
class PlanPull : public ::testing::TestWithParam<Case> {};
TEST_P(PlanPull, gives_the_endpoints_in_order) {
  const auto plan = plan_pull(files(GetParam().conf), reference(GetParam().image), Choices());
  ASSERT_OK(plan);
  EXPECT_EQ(endpoints(plan->endpoints), GetParam().expected);
  EXPECT_EQ(plan->reference, reference(GetParam().image));
}

constexpr const char* kMirrors =
    "[[registry]]\nprefix='h.x/n'\nlocation='in.x/z'\ninsecure=true\n"
    "[[registry.mirror]]\nlocation='m1.x'\n"
    "[[registry.mirror]]\nlocation='m2.x:5000/a/b'\npull-from-mirror='digest-only'\n"
    "[[registry.mirror]]\nlocation='m3.x'\npull-from-mirror='tag-only'\ninsecure=true\n";
constexpr const char* kHub =
    "[[registry]]\nprefix='docker.io'\nlocation='docker.io'\n"
    "[[registry.mirror]]\nlocation='m.x/hub'\n";

INSTANTIATE_TEST_SUITE_P(
    Table, PlanPull,
    ::testing::Values(
        Case{"plain", "", "h.x/a:1", {"https://h.x/a"}},
        Case{"hub", "", "busybox", {"https://registry-1.docker.io/library/busybox"}},
        Case{"mirrors_by_tag",
             kMirrors,
             "h.x/n/r:1",
             {"https://m1.x/r", "https://m3.x/r!", "http://m3.x/r", "https://in.x/z/r!",
              "http://in.x/z/r"}},
        Case{"mirrors_by_digest",
             kMirrors,
             "h.x/n/r:1@" + kDigest,
             {"https://m1.x/r", "https://m2.x:5000/a/b/r", "https://in.x/z/r!", "http://in.x/z/r"}},
        Case{"other_namespace", kMirrors, "h.x/nn/r", {"https://h.x/nn/r"}},
        Case{"mirror_of_the_hub",
             kHub,
             "busybox:1",
             {"https://m.x/hub/library/busybox", "https://registry-1.docker.io/library/busybox"}},
        Case{"wildcard_leaves_the_name",
             "[[registry]]\nprefix='*.x'\ninsecure=true\n",
             "h.x:5000/a",
             {"https://h.x:5000/a!", "http://h.x:5000/a"}},
        Case{"wildcard_with_location",
             "[[registry]]\nprefix='*.x'\nlocation='in.y'\n",
             "h.x/a",
             {"https://in.y/a"}},
        Case{"blocked_mirror_falls_away",
             "[[registry]]\nlocation='h.x'\n[[registry.mirror]]\nlocation='m.x'\n"
             "[[registry]]\nlocation='m.x'\nblocked=true\n",
             "h.x/a",
             {"https://h.x/a"}},
        Case{"digest_only_mirrors",
             "[[registry]]\nlocation='h.x'\nmirror-by-digest-only=true\n"
             "[[registry.mirror]]\nlocation='m.x'\n",
             "h.x/a:1",
             {"https://h.x/a"}},
        Case{"ipv6", "", "[::1]:5000/a", {"https://[::1]:5000/a"}}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(PlanPullSays, where_an_endpoint_is_from) {
  const auto plan = plan_pull(files(kMirrors), reference("h.x/n/r"), Choices());
  ASSERT_OK(plan);
  EXPECT_EQ(plan->endpoints[0].endpoint.rule, "mirror of h.x/n (/rc:1)");
  EXPECT_EQ(plan->endpoints.back().endpoint.rule, "location of h.x/n (/rc:1)");
}

TEST(PlanPullRefuses, blocked_registries_naming_the_rule) {
  const Files blocked = files("\n[[registry]]\nprefix='h.x/n'\nlocation='in.x'\nblocked=true\n");
  EXPECT_ERROR(plan_pull(blocked, reference("h.x/n/a"), Choices()), Errc::PermissionDenied,
               HasSubstr("registry \"h.x/n\" is blocked in /rc:2"));
  EXPECT_OK(plan_pull(blocked, reference("h.x/a"), Choices()));
  EXPECT_ERROR(plan_push(blocked, reference("h.x/n/a"), Choices()), Errc::PermissionDenied,
               HasSubstr("is blocked"));
  const Files moved = files(
      "[[registry]]\nprefix='h.x'\nlocation='b.x'\n[[registry]]\nlocation='b.x/q'\n"
      "blocked=true\n");
  EXPECT_ERROR(plan_pull(moved, reference("h.x/q/a"), Choices()), Errc::PermissionDenied,
               HasSubstr("b.x/q"));
}

TEST(PlanPullRefuses, locations_that_make_no_name) {
  EXPECT_ERROR(plan_pull(files("[[registry]]\nprefix='h.x'\nlocation='name'\n"), reference("h.x/a"),
                         Choices()),
               Errc::ConfigError, AllOf(HasSubstr("/rc:1"), HasSubstr("\"name/a:latest\"")));
  EXPECT_ERROR(plan_pull(files("[[registry]]\nprefix='h.x/a:1'\nlocation='i.x/a'\n"),
                         reference("h.x/a:1"), Choices()),
               Errc::ConfigError, HasSubstr("names no image"));
}

TEST(PlanPullTls, the_command_line_beats_the_file) {
  const Files insecure = files("[[registry]]\nlocation='h.x'\ninsecure=true\n");
  Choices choices;
  choices.tls_verify = true;
  EXPECT_THAT(endpoints(plan_pull(insecure, reference("h.x/a"), choices)->endpoints),
              ElementsAre("https://h.x/a"));
  choices.tls_verify = false;
  EXPECT_THAT(endpoints(plan_pull(files(), reference("h.x/a"), choices)->endpoints),
              ElementsAre("https://h.x/a!", "http://h.x/a"));
}

TEST(PlanPullTls, certificates_are_those_of_the_endpoints_host) {
  Files some = files(kHub);
  some.certs = {{"docker.io", "/d/docker.io", {"a.crt"}}, {"m.x", "/d/m.x", {"b.crt"}}};
  const auto plan = plan_pull(some, reference("busybox"), Choices());
  ASSERT_OK(plan);
  EXPECT_THAT(plan->endpoints[0].endpoint.tls.ca_files, ElementsAre("/d/m.x/b.crt"));
  EXPECT_THAT(plan->endpoints[1].endpoint.tls.ca_files, ElementsAre("/d/docker.io/a.crt"));
}

TEST(PlanPullCredentials, each_server_gets_its_own) {
  const std::string auth = R"({"auths": {"m.x/hub": {"auth": ")" + base64_encode("mirror:1") +
                           R"("}, "docker.io": {"auth": ")" + base64_encode("hub:2") + R"("}}})";
  EXPECT_THAT(
      endpoints(plan_pull(files(kHub, "", auth), reference("busybox"), Choices())->endpoints),
      ElementsAre("https://m.x/hub/library/busybox=mirror",
                  "https://registry-1.docker.io/library/busybox=hub"));
}

TEST(PlanPullCredentials, those_of_the_command_line_go_to_no_mirror) {
  Choices choices;
  choices.credential = Credential{Credential::Kind::password, "me", Secret("p")};
  EXPECT_THAT(endpoints(plan_pull(files(kHub), reference("busybox"), choices)->endpoints),
              ElementsAre("https://m.x/hub/library/busybox",
                          "https://registry-1.docker.io/library/busybox=me"));
}

TEST(PlanPullPolicy, a_rejected_image_names_the_rule) {
  const Files reject = files("", R"({"default": [{"type": "insecureAcceptAnything"}],
    "transports": {"docker": {"h.x/bad": [{"type": "reject"}]}}})");
  EXPECT_ERROR(plan_pull(reject, reference("h.x/bad/a:1"), Choices()), Errc::PermissionDenied,
               HasSubstr("h.x/bad/a:1 is rejected by the rule /policy.json: "
                         "transports.docker[\"h.x/bad\"]"));
  EXPECT_EQ(plan_pull(reject, reference("h.x/a"), Choices())->rule, "/policy.json: default");
}

TEST(PlanPullPolicy, what_cannot_be_verified_is_unsupported_and_not_accepted) {
  const Files signed_by =
      files("", R"({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}]})");
  EXPECT_ERROR(plan_pull(signed_by, reference("h.x/a"), Choices()), Errc::Unsupported,
               AllOf(HasSubstr("/policy.json: default asks for signedBy"), HasSubstr("GnuPG")));
}

TEST(PlanPullPolicy, signatures_need_attachments_to_be_enabled) {
  Files sigstore = files("", R"({"default": [{"type": "insecureAcceptAnything"},
    {"type": "sigstoreSigned", "keyData": "a2V5"}]})");
  EXPECT_ERROR(plan_pull(sigstore, reference("h.x/a"), Choices()), Errc::PermissionDenied,
               HasSubstr("a signature is required (/policy.json: default)"));
  sigstore.registries_d = {{"/rd/a.yaml", "docker:\n  h.x:\n    use-sigstore-attachments: true\n"}};
  const auto plan = plan_pull(sigstore, reference("h.x/a"), Choices());
  ASSERT_OK(plan);
  ASSERT_EQ(plan->requirements.size(), 1U);
  EXPECT_THAT(plan->requirements[0].keys, ElementsAre("key"));
  sigstore.registries_d[0].text = "docker: [";
  EXPECT_ERROR(plan_pull(sigstore, reference("h.x/a"), Choices()), Errc::ConfigError,
               HasSubstr("/rd/a.yaml:1"));
}

TEST(PlanPush, goes_to_the_registry_of_the_name) {
  const auto plan = plan_push(files(kMirrors), reference("h.x/n/r"), Choices());
  ASSERT_OK(plan);
  EXPECT_THAT(endpoints(plan->endpoints), ElementsAre("https://h.x/n/r!", "http://h.x/n/r"));
}

TEST(PlanLogin, has_no_repository_unless_the_key_has_one) {
  EXPECT_THAT(endpoints(plan_login(files(), "h.x:5000", Choices()).value()),
              ElementsAre("https://h.x:5000/"));
  EXPECT_THAT(endpoints(plan_login(files(), "docker.io", Choices()).value()),
              ElementsAre("https://registry-1.docker.io/"));
  EXPECT_THAT(endpoints(plan_login(files(), "h.x/team", Choices()).value()),
              ElementsAre("https://h.x/team"));
}

TEST(Complete, reads_keys_and_takes_the_first_credential) {
  Plan plan;
  plan.rule = "rule";
  const Credential credential{Credential::Kind::password, "u", Secret("p")};
  plan.endpoints.push_back(planned("https://h.x", {FoundCredential{credential, "f"}}));
  Requirement requirement;
  requirement.kind = Requirement::Kind::sigstore;
  requirement.key_paths = {"/dev/null"};
  requirement.keys = {"inline"};
  plan.requirements = {requirement};
  const auto access = complete(plan);
  ASSERT_OK(access);
  EXPECT_TRUE(access->endpoints[0].credential == credential);
  EXPECT_THAT(access->trust.requirements[0].keys, ElementsAre("inline", ""));
  plan.requirements[0].key_paths = {"/missing/key.pub"};
  EXPECT_ERROR(complete(plan), Errc::ConfigError,
               AllOf(HasSubstr("key of the rule rule"), HasSubstr("/missing/key.pub")));
}

TEST(Complete, an_endpoint_without_its_helper_is_left_out_unless_it_is_the_last) {
  Plan plan;
  const HelperCall missing{"missing-in-tests", "m.x", "/auth.json"};
  plan.endpoints.push_back(planned("https://m.x", {missing}));
  plan.endpoints.push_back(planned("https://h.x", {}));
  const auto access = complete(plan);
  ASSERT_OK(access);
  ASSERT_EQ(access->endpoints.size(), 1U);
  EXPECT_EQ(access->endpoints[0].url, "https://h.x");
  plan.endpoints.pop_back();
  EXPECT_ERROR(complete(plan), Errc::RuntimeNotAvailable,
               AllOf(HasSubstr("credentials of m.x (/auth.json)"),
                     HasSubstr("docker-credential-missing-in-tests")));
}

TEST(Trust, travels_as_json_and_is_never_accept_by_mistake) {
  Trust trust{"rule", {}};
  EXPECT_EQ(parse_trust(json::parse(json::dump(to_json(trust))).value()).value(), trust);
  trust.requirements = {{{"a", "b"}, {SignedIdentity::Kind::match_repository, "", ""}}};
  EXPECT_EQ(parse_trust(json::parse(json::dump(to_json(trust))).value()).value(), trust);
  for (const char* text :
       {"{}", R"({"type": "accept"})", R"({"type": "any", "rule": ""})",
        R"({"type": "sigstore", "rule": ""})",
        R"({"type": "sigstore", "rule": "", "requirements": []})",
        R"({"type": "sigstore", "rule": "", "requirements": [{"keys": []}]})",
        R"({"type": "sigstore", "rule": "", "requirements": [{"keys": ["k"]}]})"})
    EXPECT_ERROR(parse_trust(json::parse(text).value()), Errc::InvalidJson, HasSubstr("trust: "));
}

}  // namespace
}  // namespace nexcage::registry
