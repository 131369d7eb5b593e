#include "nexcage/pve/settings_parts.h"

#include <algorithm>
#include <array>

#include "nexcage/base/text.h"
#include "nexcage/pve/property_string.h"

namespace nexcage::pve {

namespace {

constexpr std::array<std::string_view, 18> kAnnotated = {
    "arch",         "cmode",      "console", "cores",    "debug", "features",
    "hookscript",   "nameserver", "onboot",  "ostype",   "pool",  "protection",
    "searchdomain", "startup",    "tags",    "timezone", "tty",   "unprivileged"};
constexpr std::array<std::string_view, 3> kFamilies = {"dev", "mp", "net"};
constexpr std::array<std::string_view, 4> kMountOptions = {"noatime", "nodev", "noexec", "nosuid"};
constexpr std::size_t kDecimals = 5;  // 100000 has five zeros

}  // namespace

bool is_annotated(std::string_view name) {
  if (std::ranges::find(kAnnotated, name) != kAnnotated.end()) return true;
  return std::ranges::any_of(kFamilies, [&](std::string_view family) {
    if (!name.starts_with(family)) return false;
    const auto number = parse_u64(name.substr(family.size()));
    return number && *number <= 255 && std::to_string(*number) == name.substr(family.size());
  });
}

std::string cpu_limit(std::int64_t quota) {
  std::string decimals = std::to_string(quota % kPeriod);
  decimals.insert(0, kDecimals - decimals.size(), '0');
  decimals.erase(decimals.find_last_not_of('0') + 1);
  std::string text = std::to_string(quota / kPeriod);
  return decimals.empty() ? text : text + "." + decimals;
}

std::optional<std::int64_t> cpu_quota(std::string_view limit) {
  const std::size_t dot = limit.find('.');
  std::string decimals(dot == std::string_view::npos ? "" : limit.substr(dot + 1));
  if (decimals.size() > kDecimals) return std::nullopt;
  decimals.resize(kDecimals, '0');
  const auto whole = parse_u64(limit.substr(0, dot)), part = parse_u64(decimals);
  if (!whole || !part || *whole > 8192) return std::nullopt;
  return static_cast<std::int64_t>(*whole) * kPeriod + static_cast<std::int64_t>(*part);
}

std::int64_t cpu_weight(std::uint64_t shares) {
  const std::uint64_t clamped = std::clamp<std::uint64_t>(shares, 2, 262'144);
  return static_cast<std::int64_t>(1 + (clamped - 2) * 9'999 / 262'142);
}

Result<std::string> mount_point(const oci::Mount& mount, const std::string& field) {
  if (mount.type != "bind" || !mount.source.starts_with('/') || !mount.uid_mappings.empty() ||
      !mount.gid_mappings.empty())
    return fail(Error(Errc::Unsupported, field + ": type " + quote(mount.type) +
                                             ": Proxmox VE mounts volumes and directories only")
                    .hint("a volume: annotation " + std::string(kAnnotation) +
                          "mp0=STORAGE:GIB,mp=DIRECTORY"));
  Properties value;
  value.set("", mount.source).set("mp", mount.destination);
  std::vector<std::string> options;
  for (const std::string& option : mount.options) {
    if (option == "rbind") continue;
    if (option == "ro") {
      value.set("ro", "1");
    } else if (std::ranges::find(kMountOptions, option) != kMountOptions.end()) {
      options.push_back(option);
    } else {
      return fail(Errc::Unsupported,
                  field + ": option " + quote(option) + ": Proxmox VE has no such mount option");
    }
  }
  if (!options.empty()) value.set("mountoptions", join(options, ";"));
  return value.print(field);
}

Result<oci::Mount> bind_mount(std::string_view text) {
  NX_TRY(const Properties value, Properties::parse(text));
  oci::Mount mount;
  mount.type = "bind";
  mount.source = value.find("").value_or(value.find("volume").value_or(""));
  mount.destination = value.find("mp").value_or("");
  mount.options = {"rbind"};
  if (value.find("ro") == "1") mount.options.emplace_back("ro");
  if (const auto options = value.find("mountoptions"))
    for (std::string& option : split(*options, ';')) mount.options.push_back(std::move(option));
  return mount;
}

}  // namespace nexcage::pve
