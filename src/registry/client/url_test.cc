#include "nexcage/registry/client/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::registry::client {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Url, parts) {
  auto url = parse_url("HTTPS://Host.Example:5000/v2/?a=b#frag");
  ASSERT_OK(url);
  EXPECT_EQ(url->str(), "https://host.example:5000/v2/?a=b");
  EXPECT_EQ(url->shown(), "https://host.example:5000/v2/");
  EXPECT_EQ(parse_url("http://h")->str(), "http://h/");
  EXPECT_EQ(parse_url("http://h?x")->str(), "http://h/?x");
}

TEST(Url, default_ports_are_the_same_server) {
  EXPECT_TRUE(parse_url("https://h:443/a")->same_server(*parse_url("https://H/b")));
  EXPECT_TRUE(parse_url("http://h:80")->same_server(*parse_url("http://h")));
  EXPECT_FALSE(parse_url("https://h:80")->same_server(*parse_url("https://h")));
  EXPECT_FALSE(parse_url("http://h")->same_server(*parse_url("https://h")));
  EXPECT_FALSE(parse_url("https://h")->same_server(*parse_url("https://h.evil")));
}

TEST(Url, refuses) {
  for (const char* text : {"", "ftp://h/", "https:///x", "https://:1/", "https://u:p@h/",
                           "https://h/a b", "https://h/\n", "file:///etc/passwd", "//h/x", "h/x"}) {
    SCOPED_TRACE(text);
    EXPECT_ERROR(parse_url(text), Errc::RegistryError, HasSubstr("URL"));
  }
  EXPECT_ERROR(parse_url("https://user:secret@h/"), Errc::RegistryError, Not(HasSubstr("secret")));
}

TEST(Url, redirects) {
  const Url base = *parse_url("https://h/v2/a/blobs/x?q=1");
  const auto to = [&](std::string_view location) { return resolve(base, location)->str(); };
  EXPECT_EQ(to("http://other/y?z"), "http://other/y?z");
  EXPECT_EQ(to("//other/y"), "https://other/y");
  EXPECT_EQ(to("/y/../z?s=/../"), "https://h/z?s=/../");
  EXPECT_EQ(to("y"), "https://h/v2/a/blobs/y");
  EXPECT_EQ(to("../../../../../y/."), "https://h/y/");
  EXPECT_EQ(to("?q=2"), "https://h/v2/a/blobs/x?q=2");
  EXPECT_EQ(to("/_upload/1:2"), "https://h/_upload/1:2");
  EXPECT_ERROR(resolve(base, " "), Errc::RegistryError, HasSubstr("empty"));
  EXPECT_ERROR(resolve(base, "gopher://x"), Errc::RegistryError, HasSubstr("neither"));
}

TEST(Url, queries) {
  EXPECT_EQ(percent_encode("a b/c~-._:é"), "a%20b%2Fc~-._%3A%C3%A9");
  EXPECT_EQ(add_query("https://h/t", "scope", "a:b"), "https://h/t?scope=a%3Ab");
  EXPECT_EQ(add_query("https://h/t?x=1", "s", "&"), "https://h/t?x=1&s=%26");
}

}  // namespace
}  // namespace nexcage::registry::client
