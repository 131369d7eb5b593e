#include "nexcage/registry/endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::registry {
namespace {

using testing::HasSubstr;
using testing::Not;

json::Value parse(std::string_view text) { return json::parse(text).value(); }

TEST(Endpoint, travels_as_json_unchanged) {
  Endpoint endpoint{.url = "https://host:5000",
                    .repository = "library/busybox",
                    .rule = "mirror of docker.io",
                    .serves = Endpoint::Serves::digest,
                    .tls = {.verify = false,
                            .ca_files = {"/etc/ca.crt"},
                            .client_cert = "/etc/c.cert",
                            .client_key = "/etc/c.key"},
                    .credential = {}};
  using Kind = Credential::Kind;
  for (const Credential& credential :
       {Credential{}, Credential{Kind::password, "user", Secret("pass")},
        Credential{Kind::identity_token, "user", Secret("refresh")},
        Credential{Kind::registry_token, "", Secret("bearer")}}) {
    endpoint.credential = credential;
    auto back = parse_endpoint(parse(json::dump(to_json(endpoint))));
    ASSERT_OK(back);
    EXPECT_EQ(*back, endpoint);
  }
  EXPECT_EQ(endpoint.host(), "host:5000");
  EXPECT_TRUE(endpoint.is_https());
}

TEST(Endpoint, says_what_is_optional) {
  auto endpoint = parse_endpoint(parse(R"({"url": "http://[::1]:5000", "repository": "a"})"));
  ASSERT_OK(endpoint);
  EXPECT_TRUE(endpoint->tls.verify);
  EXPECT_EQ(endpoint->credential, Credential{});
  EXPECT_EQ(endpoint->serves, Endpoint::Serves::all);
  EXPECT_EQ(endpoint->host(), "[::1]:5000");
  EXPECT_FALSE(endpoint->is_https());
}

TEST(Endpoint, refuses_what_is_no_endpoint) {
  for (const char* text :
       {R"([])", R"({"repository": "a"})", R"({"url": "ftp://h", "repository": "a"})",
        R"({"url": "https://", "repository": "a"})",
        R"({"url": "https://h/v2", "repository": "a"})",
        R"({"url": "https://u:p@h", "repository": "a"})",
        R"({"url": "https://h", "repository": "a\nb"})",
        R"({"url": "https://h", "repository": "a", "for": "some"})",
        R"({"url": "https://h", "repository": "a", "tls": {"verify": "no"}})",
        R"({"url": "https://h", "repository": "a", "tls": {"ca_files": [1]}})"}) {
    SCOPED_TRACE(text);
    EXPECT_ERROR(parse_endpoint(parse(text)), Errc::InvalidJson, HasSubstr("endpoint: "));
  }
}

TEST(Endpoint, a_refused_secret_is_not_in_the_message) {
  auto refused = parse_endpoint(parse(
      R"({"url": "https://h", "repository": "a", "credential": {"registry_token": "top\nsecret"}})"));
  EXPECT_ERROR(refused, Errc::InvalidJson, Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace nexcage::registry
