// Capability names and numbers (capabilities(7)).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::sys {

/// "CAP_KILL" or "kill" in any case -> 5; nullopt for an unknown name.
std::optional<int> capability_from_name(std::string_view name);
std::string_view capability_name(int number);  // "CAP_KILL"; "" when unknown
int capability_count();                        // names known to us

using CapSet = std::uint64_t;  // bit n is capability n
struct CapSets {
  CapSet bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
};
/// Pure part: the Cap* lines of a /proc/PID/status. FileError when one is missing or malformed.
Result<CapSets> parse_capabilities(std::string_view status);
/// The caller's own sets from /proc/self/status.
Result<CapSets> own_capabilities();

/// Cuts the calling thread's sets to `keep`, for good: bounding, permitted and effective; those
/// inheritable and ambient are emptied. Capabilities that it does not have are no error.
Result<> keep_capabilities(CapSet keep);

}  // namespace nexcage::sys
