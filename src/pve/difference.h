// Where two JSON documents differ.
#pragma once

#include <optional>
#include <string>

#include "nexcage/json/value.h"

namespace nexcage::pve {

/// The JSON pointer (RFC 6901) of the first member, in the order of `left`, that the other document
/// lacks or has otherwise; nullopt when they are equal. Members that only `right` has come last.
std::optional<std::string> first_difference(const json::Value& left, const json::Value& right);

}  // namespace nexcage::pve
