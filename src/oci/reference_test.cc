#include "nexcage/oci/reference.h"

#include "nexcage/oci/digest.h"
#include "result_matchers.h"

namespace nexcage::oci {
namespace {

using ::testing::HasSubstr;

const std::string kHex(64, 'a');
const std::string kSha256 = "sha256:" + kHex;

struct Pair {
  std::string text;
  std::string normal;
};

class GoodReference : public ::testing::TestWithParam<Pair> {};

TEST_P(GoodReference, IsNormalisedOnce) {
  const auto reference = Reference::parse(GetParam().text);
  ASSERT_OK(reference);
  EXPECT_EQ(reference->str(), GetParam().normal);
  const auto again = Reference::parse(reference->str());
  ASSERT_OK(again);
  EXPECT_EQ(*again, *reference);
}

INSTANTIATE_TEST_SUITE_P(
    Names, GoodReference,
    ::testing::Values(Pair{"busybox", "docker.io/library/busybox:latest"},
                      Pair{"busybox:1.36", "docker.io/library/busybox:1.36"},
                      Pair{"user/app", "docker.io/user/app:latest"},
                      Pair{"docker.io/busybox", "docker.io/library/busybox:latest"},
                      Pair{"index.docker.io/busybox", "docker.io/library/busybox:latest"},
                      Pair{"localhost/x", "localhost/x:latest"},
                      Pair{"localhost:5000/a/b__c/d--e:T.-_1", "localhost:5000/a/b__c/d--e:T.-_1"},
                      Pair{"localhost:5000", "docker.io/library/localhost:5000"},
                      Pair{"quay.io/a/b", "quay.io/a/b:latest"}, Pair{"Host/a", "Host/a:latest"},
                      Pair{"[::1]:5000/a", "[::1]:5000/a:latest"},
                      Pair{"[fe80::1]/a", "[fe80::1]/a:latest"},
                      Pair{"a@" + kSha256, "docker.io/library/a@" + kSha256},
                      Pair{"a:1@" + kSha256, "docker.io/library/a:1@" + kSha256},
                      Pair{"h.io/a@sha512:" + kHex + kHex, "h.io/a@sha512:" + kHex + kHex}));

struct Bad {
  std::string text;
  std::string why;
};

class BadReference : public ::testing::TestWithParam<Bad> {};

TEST_P(BadReference, NamesThePart) {
  EXPECT_ERROR(Reference::parse(GetParam().text), Errc::InvalidSpec, HasSubstr(GetParam().why));
}

INSTANTIATE_TEST_SUITE_P(
    Names, BadReference,
    ::testing::Values(Bad{"", "empty"}, Bad{"Busybox", "component \"Busybox\""},
                      Bad{"a/../b", "component"}, Bad{"/etc/passwd", "component"},
                      Bad{"a//b", "component"}, Bad{"a/", "component"}, Bad{"a.", "component"},
                      Bad{"a..b", "component"}, Bad{"a___b", "component"}, Bad{"-a", "component"},
                      Bad{"a b", "component"}, Bad{"a\n", "component"}, Bad{"a:", "tag"},
                      Bad{"a:.x", "tag"}, Bad{"a:x/", "registry"},
                      Bad{"a:" + std::string(129, 'x'), "tag"}, Bad{"a@sha256:123", "digits"},
                      Bad{"a@md5:" + kHex, "algorithm"},
                      Bad{"a@" + kSha256 + "@" + kSha256, "digits"}, Bad{"-h.io/a", "registry"},
                      Bad{"h.io:/a", "registry"}, Bad{"h.io:8x/a", "registry"},
                      Bad{"[::g]/a", "registry"}, Bad{"h..io/a", "registry"}, Bad{kHex, "image id"},
                      Bad{kHex + ":tag", "image id"}, Bad{"h.io/" + std::string(251, 'a'), "255"}));

TEST(Reference, LongestNameIs255) {
  EXPECT_OK(Reference::parse("h.io/" + std::string(250, 'a')));
  EXPECT_OK(Reference::parse("a:" + std::string(128, 'x')));
}

TEST(Digest, HasParts) {
  const auto digest = Digest::parse(kSha256);
  ASSERT_OK(digest);
  EXPECT_EQ(digest->algorithm(), "sha256");
  EXPECT_EQ(digest->hex(), kHex);
  EXPECT_EQ(digest->blob_path(), "blobs/sha256/" + kHex);
  EXPECT_EQ(Digest::from_hex("sha256", kHex), *digest);
  EXPECT_LT(*digest, Digest::from_hex("sha256", std::string(64, 'b')));
}

class BadDigest : public ::testing::TestWithParam<std::string> {};

TEST_P(BadDigest, IsRefused) {
  EXPECT_ERROR(Digest::parse(GetParam()), Errc::InvalidImage, HasSubstr("digest"));
}

INSTANTIATE_TEST_SUITE_P(Texts, BadDigest,
                         ::testing::Values("", "sha256", "sha256:", ":" + kHex, kHex,
                                           "sha256:" + std::string(63, 'a'),
                                           "sha256:" + std::string(65, 'a'),
                                           "sha256:" + std::string(64, 'A'),
                                           "sha256:" + std::string(63, 'a') + "/", "sha512:" + kHex,
                                           "md5:" + std::string(32, 'a'),
                                           "sha256:../../../../../../etc/passwd", kSha256 + "\n"));

TEST(Reference, short_names_have_no_registry) {
  for (const char* text : {"busybox", "busybox:1.36", "library/busybox", "a/b/c:x"})
    EXPECT_FALSE(names_registry(text)) << text;
  for (const char* text : {"localhost/a", "host.example/a", "host:5000/a", "[::1]:5000/a"})
    EXPECT_TRUE(names_registry(text)) << text;
}

TEST(Reference, tags_and_digests_stand_behind_the_last_slash) {
  EXPECT_FALSE(has_tag_or_digest("host:5000/a"));
  EXPECT_FALSE(has_tag_or_digest("a"));
  EXPECT_TRUE(has_tag_or_digest("host:5000/a:b"));
  EXPECT_TRUE(has_tag_or_digest("a@sha256:0"));
}

}  // namespace
}  // namespace nexcage::oci
