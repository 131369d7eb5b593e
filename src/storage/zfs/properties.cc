#include "nexcage/storage/zfs/properties.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::storage::zfs {
namespace {

constexpr std::size_t kMaxName = 255;  // ZAP_MAXNAMELEN without its final zero

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_name_char(char c) {
  return is_lower(c) || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == ':' || c == '-';
}
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

}  // namespace

Result<> check_property_name(std::string_view name) {
  if (!name.empty() && name.size() <= kMaxName && is_lower(name.front()) &&
      std::ranges::all_of(name, is_name_char))
    return {};
  return fail(Errc::InvalidSpec, "ZFS property " + quote(name) + ": this is no property's name");
}

Result<std::vector<std::string>> assignments(const Properties& properties) {
  std::vector<std::string> out;
  for (const auto& [name, value] : properties) {
    NX_CHECK(check_property_name(name));
    if (std::ranges::any_of(value, is_control))
      return fail(Errc::InvalidSpec, "ZFS property " + name + ": the value " + quote(value) +
                                         " has control characters");
    out.push_back(name + "=" + value);
  }
  return out;
}

}  // namespace nexcage::storage::zfs
