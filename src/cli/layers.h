// What the verbs of the group `layer` share.
#pragma once

#include <string>
#include <string_view>

namespace nexcage::cli {

/// A key with the first 12 digits of its digest: what `layer verify` takes as well.
std::string short_key(std::string_view key);

}  // namespace nexcage::cli
