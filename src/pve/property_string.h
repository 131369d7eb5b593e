// Property strings: several values in one setting, "name=eth0,bridge=vmbr0,ip=dhcp". The first
// value may stand without its key where the setting has a default key ("local:4,ro=1").
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::pve {

/// Keys and values in their order; the value without a key has the key "".
class Properties {
 public:
  /// InvalidConfig for an empty part, a key that comes twice, or a second value without key.
  static Result<Properties> parse(std::string_view text);
  /// The value of a key; nullopt when it is not there.
  std::optional<std::string> find(std::string_view key) const;
  /// Replaces the value in place or appends it.
  Properties& set(std::string_view key, std::string value);
  Properties& erase(std::string_view key);
  /// The text again. InvalidConfig when a value cannot be in a property string: it holds a comma or
  /// a control character; `field` names the setting.
  Result<std::string> print(std::string_view field) const;
  bool operator==(const Properties&) const = default;

 private:
  std::vector<std::pair<std::string, std::string>> values_;
};

}  // namespace nexcage::pve
