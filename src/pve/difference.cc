#include "nexcage/pve/difference.h"

#include <algorithm>

namespace nexcage::pve {

namespace {

using Found = std::optional<std::string>;

Found compare(const json::Value& left, const json::Value& right, const std::string& at);

Found compare_objects(const json::Object& left, const json::Object& right, const std::string& at) {
  for (const auto& [name, value] : left) {
    const json::Value* other = right.find(name);
    if (other == nullptr) return json::pointer(at, name);
    if (auto found = compare(value, *other, json::pointer(at, name))) return found;
  }
  for (const auto& [name, value] : right)
    if (left.find(name) == nullptr) return json::pointer(at, name);
  return std::nullopt;
}

Found compare_arrays(const json::Array& left, const json::Array& right, const std::string& at) {
  for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i)
    if (auto found = compare(left[i], right[i], json::pointer(at, i))) return found;
  if (left.size() == right.size()) return std::nullopt;
  return json::pointer(at, std::min(left.size(), right.size()));
}

// Documents come from our own writer: their depth is bounded.
Found compare(const json::Value& left, const json::Value& right, const std::string& at) {
  if (left.if_object() != nullptr && right.if_object() != nullptr)
    return compare_objects(*left.if_object(), *right.if_object(), at);
  if (left.if_array() != nullptr && right.if_array() != nullptr)
    return compare_arrays(*left.if_array(), *right.if_array(), at);
  if (left == right) return std::nullopt;
  return at;
}

}  // namespace

std::optional<std::string> first_difference(const json::Value& left, const json::Value& right) {
  return compare(left, right, "");
}

}  // namespace nexcage::pve
