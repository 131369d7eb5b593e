// Parts of the mapping that both directions share. Internal to src/pve.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/oci/spec.h"
#include "nexcage/pve/settings.h"

namespace nexcage::pve {

inline constexpr std::int64_t kMiB = std::int64_t{1} << 20;
inline constexpr std::int64_t kPeriod = 100'000;  // microseconds; Proxmox VE's, not changeable
inline constexpr std::string_view kStopSignal = "org.opencontainers.image.stopSignal";

/// True for a setting that an annotation may give: "net0", "mp3", "features" ...
bool is_annotated(std::string_view name);

/// 150000 -> "1.5", and back; nullopt for what is no such number.
std::string cpu_limit(std::int64_t quota);
std::optional<std::int64_t> cpu_quota(std::string_view limit);
/// Shares of cgroup v1 as a weight of v2 (runc's formula).
std::int64_t cpu_weight(std::uint64_t shares);

/// A bind mount as the value of mpN, and back.
Result<std::string> mount_point(const oci::Mount& mount, const std::string& field);
Result<oci::Mount> bind_mount(std::string_view value);

}  // namespace nexcage::pve
