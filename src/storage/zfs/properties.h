// Properties of datasets (zfsprops(7)) as arguments of zfs(8).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::storage::zfs {

/// Names and values in the order in which they are given: {"mountpoint", "legacy"}.
using Properties = std::vector<std::pair<std::string, std::string>>;

/// A name is a letter, then any of [a-z0-9_.:-], at most 255 bytes: InvalidSpec. zfs(8) itself
/// tells whether there is such a property.
Result<> check_property_name(std::string_view name);

/// "name=value" for each. InvalidSpec for a bad name, and for a value with control characters,
/// which could not be read back from a listing.
Result<std::vector<std::string>> assignments(const Properties& properties);

}  // namespace nexcage::storage::zfs
