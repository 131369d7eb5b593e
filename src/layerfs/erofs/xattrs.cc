#include "nexcage/layerfs/erofs/xattrs.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <string>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/erofs/format.h"

namespace nexcage::layerfs::erofs {
namespace {

/// By number; a name that is all prefix (the access control lists) stands for itself alone.
constexpr std::array<std::string_view, 7> kPrefixes = {
    "", "user.",    "system.posix_acl_access", "system.posix_acl_default", "trusted.",
    "", "security."};

constexpr std::size_t kMaxShared = std::numeric_limits<std::uint8_t>::max();
constexpr std::size_t kMaxBody = sizeof(XattrHeader) + (kMaxXattrCount - 1) * kXattrAlign;
/// Above this an entry goes to the shared area, so that inodes lie close together.
constexpr std::size_t kLarge = 256;

std::size_t entry_size(const tree::Xattr& xattr) {
  const auto name = split_xattr_name(xattr.name);
  return align_up(sizeof(XattrEntry) + name->rest.size() + xattr.value.size(), kXattrAlign);
}

void append(std::vector<std::byte>& to, const void* bytes, std::size_t size) {
  const auto* from = static_cast<const std::byte*>(bytes);
  to.insert(to.end(), from, from + size);
}

void append_entry(std::vector<std::byte>& to, const tree::Xattr& xattr) {
  const auto name = split_xattr_name(xattr.name);
  const XattrEntry entry{.name_length = static_cast<std::uint8_t>(name->rest.size()),
                         .prefix = name->prefix,
                         .value_size = static_cast<std::uint16_t>(xattr.value.size())};
  append(to, &entry, sizeof entry);
  append(to, name->rest.data(), name->rest.size());
  append(to, xattr.value.data(), xattr.value.size());
  to.resize(align_up(to.size(), kXattrAlign));
}

template <class T>
T number_at(std::string_view bytes, std::size_t at) {
  T number = 0;
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

/// What Linux reads as an access control list (acl(5), its form in attributes): version 2, then
/// entries of tag, permissions and id. A file with anything else could not be opened by anyone.
bool is_acl(std::string_view value) {
  constexpr std::size_t kHeader = 4, kEntry = 8;
  constexpr unsigned kUser = 0x02, kGroup = 0x08, kWithoutId = 0x01 | 0x04 | 0x10 | 0x20;
  if (value.size() < kHeader || (value.size() - kHeader) % kEntry != 0 ||
      number_at<std::uint32_t>(value, 0) != 2)
    return false;
  for (std::size_t at = kHeader; at < value.size(); at += kEntry) {
    const unsigned tag = number_at<std::uint16_t>(value, at);
    const auto id = number_at<std::uint32_t>(value, at + 4);
    const bool has_id = tag == kUser || tag == kGroup;
    if (!has_id && (!std::has_single_bit(tag) || (tag & kWithoutId) == 0)) return false;
    if (has_id && id == std::numeric_limits<std::uint32_t>::max()) return false;
  }
  return true;
}

Result<> check(const tree::Xattr& xattr) {
  const auto name = split_xattr_name(xattr.name);
  if (!name)
    return fail(Errc::Unsupported,
                "extended attribute " + quote(xattr.name) + ": EROFS has no place for its kind");
  if (name->rest.size() > kMaxName)
    return fail(Errc::Unsupported,
                "the name of extended attribute " + quote(xattr.name) + " has more than 255 bytes");
  if (xattr.value.size() > std::numeric_limits<std::uint16_t>::max())
    return fail(Errc::Unsupported, "the value of extended attribute " + quote(xattr.name) +
                                       " has more than 65535 bytes");
  if (name->rest.empty() && !is_acl(xattr.value))
    return fail(Errc::InvalidImage,
                "extended attribute " + quote(xattr.name) + " holds no access control list");
  return {};
}

}  // namespace

std::string_view xattr_prefix(std::uint8_t prefix) {
  return prefix < kPrefixes.size() ? kPrefixes[prefix] : std::string_view{};
}

std::optional<PrefixedName> split_xattr_name(std::string_view name) {
  for (std::size_t number = 0; number < kPrefixes.size(); ++number) {
    const std::string_view prefix = kPrefixes[number];
    if (prefix.empty() || !name.starts_with(prefix)) continue;
    const std::string_view rest = name.substr(prefix.size());
    if (rest.empty() == prefix.ends_with('.')) continue;
    return PrefixedName{.prefix = static_cast<std::uint8_t>(number), .rest = rest};
  }
  return std::nullopt;
}

std::size_t XattrTable::PairHash::operator()(const tree::Xattr& xattr) const {
  const std::hash<std::string_view> hash;
  return hash(xattr.name) * 31 + hash(xattr.value);
}

Result<> XattrTable::count(Set set) {
  if (set.empty()) return {};
  Body& body = sets_[set.data()];
  if (body.files == 2) return {};
  if (body.files == 0)
    for (const tree::Xattr& xattr : set) NX_CHECK(check(xattr));
  ++body.files;
  for (const tree::Xattr& xattr : set) {
    Use& use = uses_[xattr];
    use.files = std::min(use.files + 1, 2U);
  }
  return {};
}

std::vector<bool> XattrTable::choose_shared(Set set) const {
  std::vector<std::size_t> candidates;
  for (std::size_t i = 0; i < set.size(); ++i)
    if (uses_.at(set[i]).files > 1 || entry_size(set[i]) > kLarge) candidates.push_back(i);
  if (candidates.size() > kMaxShared) {  // the largest, which would fill the room behind the inode
    std::ranges::sort(candidates, [&](std::size_t a, std::size_t b) {
      const std::size_t size_a = entry_size(set[a]), size_b = entry_size(set[b]);
      return size_a != size_b ? size_a > size_b : a < b;
    });
    candidates.resize(kMaxShared);
  }
  std::vector<bool> shared(set.size());
  for (const std::size_t i : candidates) shared[i] = true;
  return shared;
}

std::uint32_t XattrTable::share(const tree::Xattr& xattr) {
  Use& use = uses_.at(xattr);
  if (!use.id) {
    use.id = static_cast<std::uint32_t>(shared_.size() / kXattrAlign);
    append_entry(shared_, xattr);
  }
  return *use.id;
}

Result<std::span<const std::byte>> XattrTable::place(Set set) {
  if (set.empty()) return std::span<const std::byte>{};
  Body& body = sets_.at(set.data());
  if (!body.placed) {
    const std::vector<bool> shared = choose_shared(set);
    std::size_t size = sizeof(XattrHeader);
    for (std::size_t i = 0; i < set.size(); ++i)
      size += shared[i] ? sizeof(std::uint32_t) : entry_size(set[i]);
    if (size > kMaxBody)
      return fail(Errc::Unsupported, std::to_string(set.size()) +
                                         " extended attributes on one file: more than EROFS holds");
    body.placed = true;
    body.offset = bodies_.size();
    body.size = size;
    const XattrHeader header{.shared = static_cast<std::uint8_t>(std::ranges::count(shared, true))};
    append(bodies_, &header, sizeof header);
    for (std::size_t i = 0; i < set.size(); ++i) {
      if (!shared[i]) continue;
      const std::uint32_t id = share(set[i]);
      append(bodies_, &id, sizeof id);
    }
    for (std::size_t i = 0; i < set.size(); ++i)
      if (!shared[i]) append_entry(bodies_, set[i]);
  }
  return std::span(bodies_).subspan(body.offset, body.size);
}

}  // namespace nexcage::layerfs::erofs
