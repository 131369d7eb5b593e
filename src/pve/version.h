// What the releases of Proxmox VE can do.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::pve {

struct Version {
  int major = 0, minor = 0;
  auto operator<=>(const Version&) const = default;
  /// "9.2" and what follows. ProxmoxError for anything else.
  static Result<Version> parse(std::string_view text);
  std::string str() const { return std::to_string(major) + "." + std::to_string(minor); }
  /// The settings `entrypoint` and `env` of containers, and `host-managed` of their networks.
  bool has_entrypoint() const { return *this >= Version{9, 1}; }
};

/// The least release that this client speaks to.
inline constexpr Version kOldest{8, 4};

}  // namespace nexcage::pve
