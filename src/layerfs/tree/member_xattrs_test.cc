#include "nexcage/layerfs/tree/member_xattrs.h"

#include <map>
#include <string>

#include "nexcage/layerfs/tree/posix_acl.h"
#include "result_matchers.h"

namespace nexcage::layerfs::tree {
namespace {

using image::content::TarEntry;
using image::content::TarType;
using ::testing::HasSubstr;
using Xattrs = std::map<std::string, std::string>;

Result<Metadata> set(TarType type, Xattrs xattrs, mode_t mode = 0640) {
  TarEntry entry;
  entry.type = type;
  entry.xattrs = std::move(xattrs);
  Metadata metadata{.mode = mode};
  NX_CHECK(set_xattrs(entry, metadata));
  return metadata;
}

Xattrs kept(TarType type, const std::string& name) {
  const auto result = set(type, {{name, "v"}});
  EXPECT_OK(result);
  return result ? result->xattrs : Xattrs();
}

std::string entry(unsigned tag, unsigned permissions, unsigned id = 0) {
  std::string text(8, '\0');
  text[0] = static_cast<char>(tag);
  text[2] = static_cast<char>(permissions);
  for (std::size_t i = 0; i < 4; ++i) text[4 + i] = static_cast<char>(id >> (8 * i));
  return text;
}
const std::string kHead("\2\0\0\0", 4);

TEST(MemberXattrs, WhatLinuxHasAPlaceForIsKept) {
  for (const char* name : {"user.a", "trusted.a", "security.a"}) {
    EXPECT_EQ(kept(TarType::regular, name).size(), 1u) << name;
    EXPECT_EQ(kept(TarType::directory, name).size(), 1u) << name;
  }
  EXPECT_EQ(kept(TarType::symlink, "trusted.a").size(), 1u);
}

TEST(MemberXattrs, WhatLinuxHasNoPlaceForIsLeftOut) {
  for (const char* name : {"com.apple.provenance", "user.", "user", "system.nfs4_acl", "",
                           "security.selinux", "security.ima", "system.posix_acl_default"})
    EXPECT_TRUE(kept(TarType::regular, name).empty()) << name;
  for (const TarType type : {TarType::symlink, TarType::fifo, TarType::char_device})
    EXPECT_TRUE(kept(type, "user.a").empty());
}

TEST(MemberXattrs, WhatIsNotForImagesIsRefused) {
  EXPECT_ERROR(set(TarType::regular, {{"trusted.overlay.metacopy", ""}}), Errc::InvalidImage,
               HasSubstr("not for images"));
  EXPECT_ERROR(set(TarType::regular, {{"user." + std::string(251, 'n'), ""}}), Errc::InvalidImage,
               HasSubstr("too long"));
  EXPECT_OK(set(TarType::regular, {{"user." + std::string(250, 'n'), std::string(65535, 'v')}}));
  EXPECT_ERROR(set(TarType::regular, {{"user.a", std::string(65536, 'v')}}), Errc::InvalidImage,
               HasSubstr("too long"));
  EXPECT_ERROR(set(TarType::regular, {{"security.capability", "junk"}}), Errc::InvalidImage,
               HasSubstr("no set of capabilities"));
}

TEST(MemberXattrs, AccessListDecidesTheMode) {
  const std::string acl =
      kHead + entry(1, 7) + entry(2, 6, 1000) + entry(4, 7) + entry(0x10, 5) + entry(0x20, 1);
  const auto result = set(TarType::regular, {{"system.posix_acl_access", acl}}, 04640);
  ASSERT_OK(result);
  EXPECT_EQ(result->mode, 04751u);
  EXPECT_EQ(result->xattrs.at("system.posix_acl_access"),
            kHead + entry(1, 7, ~0u) + entry(2, 6, 1000) + entry(4, 7, ~0u) + entry(0x10, 5, ~0u) +
                entry(0x20, 1, ~0u));
}

TEST(MemberXattrs, AccessListThatSaysNoMoreThanTheModeIsNotKept) {
  const std::string acl = kHead + entry(1, 7) + entry(4, 5) + entry(0x20, 4);
  const auto result = set(TarType::directory,
                          {{"system.posix_acl_access", acl}, {"system.posix_acl_default", acl}}, 0);
  ASSERT_OK(result);
  EXPECT_EQ(result->mode, 0754u);
  EXPECT_FALSE(result->xattrs.contains("system.posix_acl_access"));
  EXPECT_TRUE(result->xattrs.contains("system.posix_acl_default"));
}

TEST(PosixAcl, WrongListsAreRefused) {
  const std::string good = entry(1, 7) + entry(4, 5) + entry(0x20, 4);
  EXPECT_OK(parse_posix_acl(kHead + good));
  EXPECT_OK(parse_posix_acl(kHead));
  for (const std::string& bad :
       {std::string(), std::string("\1\0\0\0", 4) + good, kHead + good + "x", kHead + entry(1, 8),
        kHead + entry(1, 7) + entry(4, 5), kHead + entry(4, 5) + entry(1, 7) + entry(0x20, 4),
        kHead + entry(1, 7) + entry(1, 7) + entry(4, 5) + entry(0x20, 4), kHead + entry(3, 7),
        kHead + entry(1, 7) + entry(2, 7, 5) + entry(4, 5) + entry(0x20, 4),
        kHead + entry(1, 7) + entry(2, 7, ~0u) + entry(4, 5) + entry(0x10, 7) + entry(0x20, 4)})
    EXPECT_ERROR(parse_posix_acl(bad), Errc::InvalidImage, HasSubstr("access control list"));
}

}  // namespace
}  // namespace nexcage::layerfs::tree
