#include "nexcage/pve/version.h"

#include "nexcage/base/text.h"

namespace nexcage::pve {

Result<Version> Version::parse(std::string_view text) {
  const auto parts = split(text, '.');
  const auto number = [&](std::size_t at) {
    return at < parts.size() ? parse_u64(parts[at]) : std::nullopt;
  };
  const auto major = number(0), minor = number(1);
  if (!major || !minor || *major > 99 || *minor > 99)
    return fail(Errc::ProxmoxError, "version " + quote(text) + " is none of Proxmox VE");
  return Version{static_cast<int>(*major), static_cast<int>(*minor)};
}

}  // namespace nexcage::pve
