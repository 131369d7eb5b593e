#include "nexcage/layerfs/tree/posix_acl.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace nexcage::layerfs::tree {
namespace {

// include/uapi/linux/posix_acl_xattr.h, posix_acl.h; all little-endian.
constexpr std::uint32_t kVersion = 2;
constexpr std::size_t kHeader = 4, kEntry = 8;
constexpr std::uint32_t kNoId = ~std::uint32_t{0};
enum Tag : std::uint16_t {
  kUserObj = 0x01,
  kUser = 0x02,
  kGroupObj = 0x04,
  kGroup = 0x08,
  kMask = 0x10,
  kOther = 0x20
};

struct AclEntry {
  std::uint16_t tag = 0, permissions = 0;
  std::uint32_t id = 0;
};

std::uint32_t number_at(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint32_t number = 0;
  for (std::size_t i = size; i-- > 0;)
    number = (number << 8) | static_cast<unsigned char>(bytes[at + i]);
  return number;
}

std::unexpected<Error> bad(const char* why) {
  return fail(Errc::InvalidImage, std::string("access control list ") + why);
}

bool has_id(std::uint16_t tag) { return tag == kUser || tag == kGroup; }

/// Takes the entries one by one; the order is that of posix_acl_valid() in fs/posix_acl.c.
class Checker {
 public:
  Result<> take(const AclEntry& entry) {
    if (entry.permissions > 7) return bad("with permissions that are none");
    const bool repeats = entry.tag == last_ && has_id(entry.tag);
    if (entry.tag <= last_ && !repeats) return bad("with entries out of order");
    if (entry.tag != kUserObj && entry.tag != kUser && entry.tag != kGroupObj &&
        entry.tag != kGroup && entry.tag != kMask && entry.tag != kOther)
      return bad("with an entry of an unknown kind");
    if (has_id(entry.tag) && entry.id == kNoId) return bad("with an entry for nobody");
    last_ = entry.tag;
    seen_ |= entry.tag;
    bits_[entry.tag] = entry.permissions;
    return {};
  }

  Result<> finish() const {
    if ((seen_ & (kUserObj | kGroupObj | kOther)) != (kUserObj | kGroupObj | kOther))
      return bad("without an entry for owner, group or others");
    if ((seen_ & (kUser | kGroup)) != 0 && (seen_ & kMask) == 0) return bad("without a mask");
    return {};
  }
  mode_t permissions() const {
    const bool has_mask = (seen_ & kMask) != 0;
    return static_cast<mode_t>((bits_[kUserObj] << 6) | (bits_[has_mask ? kMask : kGroupObj] << 3) |
                               bits_[kOther]);
  }
  bool is_mode_only() const { return seen_ == (kUserObj | kGroupObj | kOther); }

 private:
  std::uint16_t last_ = 0;
  unsigned seen_ = 0;
  std::array<unsigned, kOther + 1> bits_{};
};

}  // namespace

Result<PosixAcl> parse_posix_acl(std::string_view value) {
  if (value.size() < kHeader || (value.size() - kHeader) % kEntry != 0) return bad("cut short");
  if (number_at(value, 0, 4) != kVersion) return bad("of an unknown version");
  PosixAcl acl;
  if (value.size() == kHeader) return acl;
  acl.value = value;
  Checker checker;
  for (std::size_t at = kHeader; at < value.size(); at += kEntry) {
    const AclEntry entry{.tag = static_cast<std::uint16_t>(number_at(value, at, 2)),
                         .permissions = static_cast<std::uint16_t>(number_at(value, at + 2, 2)),
                         .id = number_at(value, at + 4, 4)};
    NX_CHECK(checker.take(entry));
    // Where no id belongs the kernel gives this back, whatever it was given.
    if (!has_id(entry.tag)) acl.value.replace(at + 4, 4, 4, '\xff');
  }
  NX_CHECK(checker.finish());
  acl.permissions = checker.permissions();
  acl.is_mode_only = checker.is_mode_only();
  return acl;
}

}  // namespace nexcage::layerfs::tree
