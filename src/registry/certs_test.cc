#include "nexcage/registry/certs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "result_matchers.h"

namespace nexcage::registry {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Certs, the_first_directory_of_the_host_counts) {
  const std::vector<CertsDirectory> directories = {
      {"other.x", "/a", {"z.crt"}},
      {"h.x:5000", "/b", {"z.crt", "a.crt", "me.key", "me.cert", "README"}},
      {"h.x:5000", "/c", {"c.crt"}}};
  const auto tls = find_tls(directories, "h.x:5000");
  ASSERT_OK(tls);
  EXPECT_THAT(tls->ca_files, ElementsAre("/b/a.crt", "/b/z.crt"));
  EXPECT_EQ(tls->client_cert, "/b/me.cert");
  EXPECT_EQ(tls->client_key, "/b/me.key");
  EXPECT_TRUE(tls->verify);
  EXPECT_EQ(find_tls(directories, "h.x").value(), Tls());
}

TEST(Certs, a_chosen_directory_is_for_every_host) {
  const std::vector<CertsDirectory> directories = {{"", "/a", {"z.crt"}}};
  EXPECT_THAT(find_tls(directories, "h.x")->ca_files, ElementsAre("/a/z.crt"));
}

TEST(Certs, certificates_and_keys_come_in_pairs) {
  const auto of = [](std::vector<std::string> files) {
    const std::vector<CertsDirectory> directories = {{"h", "/a", std::move(files)}};
    return find_tls(directories, "h");
  };
  EXPECT_ERROR(of({"me.cert"}), Errc::ConfigError, HasSubstr("/a/me.cert has no me.key"));
  EXPECT_ERROR(of({"me.key"}), Errc::ConfigError, HasSubstr("/a/me.key has no certificate"));
  EXPECT_ERROR(of({"a.cert", "a.key", "b.cert", "b.key"}), Errc::Unsupported,
               HasSubstr("/a/a.cert and /a/b.cert"));
}

}  // namespace
}  // namespace nexcage::registry
