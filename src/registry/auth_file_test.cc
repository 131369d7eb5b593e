#include "nexcage/registry/auth_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nexcage/base/base64.h"
#include "result_matchers.h"

namespace nexcage::registry {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Kind = Credential::Kind;

AuthFile parse(std::string_view text, const std::string& path = "f",
               AuthFormat format = AuthFormat::current) {
  return parse_auth_file(text, path, format).value();
}

std::string auth(const std::string& user_and_password) {
  return R"({"auth": ")" + base64_encode(user_and_password) + R"("})";
}

/// What a look-up gives, in short: "user:password@file", "identity:...", "helper NAME SERVER".
std::string look_up(const std::vector<AuthFile>& files, const std::string& registry,
                    std::string_view repository, const std::vector<std::string>& helpers = {}) {
  const auto sources = find_credentials(files, helpers, registry, repository);
  if (!sources) return sources.error().message();
  std::string out;
  for (const CredentialSource& source : *sources) {
    if (!out.empty()) out += ", ";
    if (const auto* call = std::get_if<HelperCall>(&source)) {
      out += "helper " + call->name + " " + call->server;
      continue;
    }
    const auto& [credential, origin] = std::get<FoundCredential>(source);
    if (credential.kind == Kind::identity_token) out += "identity ";
    if (credential.kind == Kind::registry_token) out += "token ";
    out += credential.username + ":" + credential.secret.reveal() + "@" + origin;
  }
  return out;
}

TEST(AuthFile, the_most_specific_key_counts) {
  const std::vector files = {parse(R"({"auths": {"h.x": )" + auth("a:1") + R"(, "h.x/n": )" +
                                   auth("b:2:3") + R"(, "h.x/n/r": )" + auth("c:4") + "}}")};
  EXPECT_EQ(look_up(files, "h.x", "n/r"), "c:4@f");
  EXPECT_EQ(look_up(files, "h.x", "n/other"), "b:2:3@f");
  EXPECT_EQ(look_up(files, "h.x", "nn"), "a:1@f");
  EXPECT_EQ(look_up(files, "h.x", ""), "a:1@f");
  EXPECT_EQ(look_up(files, "h.x:5000", "n"), "");
}

TEST(AuthFile, the_first_file_that_has_one_counts) {
  const std::vector files = {parse(R"({"auths": {"h.x": {}}})", "one"),
                             parse(R"({"auths": {"h.x": )" + auth("b:2") + "}}", "two"),
                             parse(R"({"auths": {"h.x": )" + auth("c:3") + "}}", "three")};
  EXPECT_EQ(look_up(files, "h.x", "r"), "b:2@two");
}

TEST(AuthFile, dockers_ways_of_writing_a_registry) {
  const std::vector hub = {
      parse(R"({"auths": {"https://index.docker.io/v1/": )" + auth("a:1") + "}}")};
  EXPECT_EQ(look_up(hub, "docker.io", "library/x"), "a:1@f");
  const std::vector url = {parse(R"({"auths": {"https://h.x/v2/": )" + auth("a:1") + "}}")};
  EXPECT_EQ(look_up(url, "h.x", "r"), "a:1@f");
  const std::vector old = {
      parse(R"({"http://h.x/v1/": )" + auth("a:1") + "}", "f", AuthFormat::legacy)};
  EXPECT_EQ(look_up(old, "h.x", "r"), "a:1@f");
}

TEST(AuthFile, kinds_of_credentials) {
  const std::vector files = {parse(
      R"({"auths": {"id.x": {"auth": ")" + base64_encode("u:") +
      R"(", "identitytoken": "T"}, "only.x": {"identitytoken": "T"}, "reg.x": {"registrytoken": "R"},
          "plain.x": {"username": "u", "password": "p"}, "zero.x": )" +
      auth(std::string("u:p\0\0", 5)) + "}}")};
  EXPECT_EQ(look_up(files, "id.x", ""), "identity u:T@f");
  EXPECT_EQ(look_up(files, "only.x", ""), "identity :T@f");
  EXPECT_EQ(look_up(files, "reg.x", ""), "token :R@f");
  EXPECT_EQ(look_up(files, "plain.x", ""), "u:p@f");
  EXPECT_EQ(look_up(files, "zero.x", ""), "u:p@f");
}

TEST(AuthFile, helpers_come_before_what_is_written_down) {
  const std::vector files = {
      parse(R"({"auths": {"h.x": )" + auth("a:1") +
            R"(}, "credHelpers": {"h.x": "one", "docker.io": "hub"}, "credsStore": "all"})")};
  EXPECT_EQ(look_up(files, "h.x", "r"), "helper one h.x, a:1@f");
  EXPECT_EQ(look_up(files, "other.x", "r"), "helper all other.x");
  EXPECT_EQ(look_up(files, "docker.io", "r"), "helper hub docker.io");
  const std::vector store = {parse(R"({"credsStore": "all"})")};
  EXPECT_EQ(look_up(store, "docker.io", "r"), "helper all https://index.docker.io/v1/");
  const std::vector url = {parse(R"({"credHelpers": {"https://index.docker.io/v1/": "u"}})")};
  EXPECT_EQ(look_up(url, "docker.io", "r"), "helper u https://index.docker.io/v1/");
}

TEST(AuthFile, credential_helpers_of_registries_conf) {
  const std::vector files = {parse(R"({"auths": {"h.x": )" + auth("a:1") + "}}")};
  EXPECT_EQ(look_up(files, "h.x", "r", {"one", "containers-auth.json", "two"}),
            "helper one h.x, a:1@f");
  EXPECT_EQ(look_up(files, "z.x", "r", {"containers-auth.json", "two"}), "helper two z.x");
}

TEST(AuthFile, a_broken_entry_matters_to_its_registry_only) {
  const std::vector files = {
      parse(R"({"auths": {"bad.x": {"auth": "c2VjcmV0"}, "h.x": )" + auth("a:1") + "}}", "/p")};
  EXPECT_EQ(look_up(files, "h.x", "r"), "a:1@/p");
  const auto bad = find_credentials(files, {}, "bad.x", "r");
  EXPECT_ERROR(bad, Errc::ConfigError,
               AllOf(HasSubstr("/p: auths[\"bad.x\"]"), Not(HasSubstr("secret")),
                     Not(HasSubstr("c2VjcmV0"))));
}

TEST(AuthFile, refuses_what_is_no_auth_file_and_quotes_nothing_of_it) {
  for (const char* text :
       {"", "[]", "{\"auths\": {\"h\": {\"auth\": \"sesame\"", R"({"auths": ["sesame"]})",
        R"({"auths": {"h": "sesame"}})", R"({"auths": {"h": {"auth": ["sesame"]}}})",
        R"({"credHelpers": "sesame"})", R"({"credHelpers": {"h": 1}})", R"({"credsStore": {}})"}) {
    SCOPED_TRACE(text);
    const auto file = parse_auth_file(text, "/p", AuthFormat::current);
    EXPECT_ERROR(file, Errc::ConfigError, AllOf(HasSubstr("/p: "), Not(HasSubstr("sesame"))));
  }
  EXPECT_OK(parse_auth_file("{}", "f", AuthFormat::current));
  EXPECT_OK(parse_auth_file(R"({"auths": null, "future": [1]})", "f", AuthFormat::current));
}

TEST(AuthFile, login_changes_one_entry_and_keeps_the_rest) {
  auto document = json::parse(
      R"({"HttpHeaders": {"a": "b"}, "auths": {"h.x": {"email": "e", "identitytoken": "T"},
          "z.x": {"auth": "eDp5"}}, "credsStore": "s"})");
  const auto changed = with_login(*document, "h.x", "u", Secret("p:w"));
  ASSERT_OK(changed);
  EXPECT_EQ(json::dump(*changed),
            R"({"HttpHeaders":{"a":"b"},"auths":{"h.x":{"email":"e","auth":"dTpwOnc="},)"
            R"("z.x":{"auth":"eDp5"}},"credsStore":"s"})");
  EXPECT_EQ(json::dump(with_login(json::Value(), "h.x", "u", Secret("p")).value()),
            R"({"auths":{"h.x":{"auth":"dTpw"}}})");
  EXPECT_EQ(json::dump(with_marker(json::Value(), "h.x").value()), R"({"auths":{"h.x":{}}})");
  EXPECT_ERROR(with_login(json::Value(1), "h.x", "u", Secret("p")), Errc::ConfigError,
               HasSubstr("no object"));
}

TEST(AuthFile, logout_takes_the_key_away) {
  json::Value document = json::parse(R"({"auths": {"h.x": {}, "z.x": {}}, "k": 1})").value();
  EXPECT_TRUE(remove_login(document, "h.x").value());
  EXPECT_FALSE(remove_login(document, "h.x").value());
  EXPECT_EQ(json::dump(document), R"({"auths":{"z.x":{}},"k":1})");
}

TEST(AuthFile, login_keys) {
  EXPECT_EQ(parse_login_key("h.x").value(), "h.x");
  EXPECT_EQ(parse_login_key("https://h.x:5000/").value(), "h.x:5000");
  EXPECT_EQ(parse_login_key("h.x/team/app").value(), "h.x/team/app");
  EXPECT_EQ(parse_login_key("localhost").value(), "localhost");
  for (const char* text : {"", "/", "name", "h.x/a:1", "h.x/a@b", "user@h.x", "h.x/A", "ftp://h.x"})
    EXPECT_ERROR(parse_login_key(text), Errc::InvalidSpec, HasSubstr("is no registry"));
}

}  // namespace
}  // namespace nexcage::registry
