#include "nexcage/layerfs/tree/member_xattrs.h"

#include <linux/capability.h>
#include <linux/limits.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/tree/posix_acl.h"

namespace nexcage::layerfs::tree {
namespace {

using image::content::TarEntry;
using image::content::TarType;

constexpr std::array<std::string_view, 3> kHostAttributes = {"security.selinux", "security.ima",
                                                             "security.evm"};
constexpr std::string_view kCapability = "security.capability";
constexpr std::size_t kMaxValue = 65535;

bool is_in(std::string_view name, std::string_view name_space) {
  return name.starts_with(name_space) && name.size() > name_space.size();
}

/// Whether Linux keeps such an attribute for such a file.
bool has_place(std::string_view name, TarType type) {
  const bool is_directory = type == TarType::directory;
  if (name == kAccessAcl) return type != TarType::symlink;
  if (name == kDefaultAcl) return is_directory;
  if (is_in(name, "user.")) return is_directory || type == TarType::regular;
  if (std::ranges::find(kHostAttributes, name) != kHostAttributes.end()) return false;
  return is_in(name, "trusted.") || is_in(name, "security.");
}

/// capabilities(7), "File capability extended attribute versioning": versions 2 and 3 can be set.
bool is_capability(std::string_view value) {
  if (value.size() != XATTR_CAPS_SZ_2 && value.size() != XATTR_CAPS_SZ_3) return false;
  const auto version = static_cast<unsigned char>(value[3]);
  return version == (value.size() == XATTR_CAPS_SZ_2 ? VFS_CAP_REVISION_2 : VFS_CAP_REVISION_3) >>
                        VFS_CAP_REVISION_SHIFT;
}

Result<> set_acl(std::string_view name, std::string_view value, Metadata& metadata) {
  NX_TRY(PosixAcl acl, parse_posix_acl(value));
  if (acl.value.empty()) return {};
  if (name == kAccessAcl) {
    metadata.mode = (metadata.mode & ~mode_t{0777}) | acl.permissions;
    if (acl.is_mode_only) return {};
  }
  metadata.xattrs.emplace(name, std::move(acl.value));
  return {};
}

Result<> set_xattr(std::string_view name, std::string_view value, Metadata& metadata) {
  if (name.size() > XATTR_NAME_MAX || value.size() > kMaxValue)
    return fail(Errc::InvalidImage, "its name or value is too long");
  if (name == kAccessAcl || name == kDefaultAcl) return set_acl(name, value, metadata);
  if (name == kCapability && !is_capability(value))
    return fail(Errc::InvalidImage, "its value is no set of capabilities");
  metadata.xattrs.emplace(name, value);
  return {};
}

}  // namespace

Result<> set_xattrs(const TarEntry& entry, Metadata& metadata) {
  for (const auto& [name, value] : entry.xattrs) {
    if (name.starts_with(kOverlayAttributes))
      return fail(Errc::InvalidImage, "extended attribute " + quote(name) + " is not for images");
    if (has_place(name, entry.type))
      NX_CHECK(set_xattr(name, value, metadata), "extended attribute " + quote(name));
  }
  return {};
}

}  // namespace nexcage::layerfs::tree
