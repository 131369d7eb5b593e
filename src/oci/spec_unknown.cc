// Keeping what this program does not know: a spec that is read, changed and handed on to another
// runtime must not lose that runtime's fields.
#include <algorithm>

#include "nexcage/oci/spec_fields.h"

namespace nexcage::oci {
namespace {

bool has_unknown(const json::Value& value, const Known& known) {
  if (const json::Array* array = value.if_array())
    return std::ranges::any_of(*array, [&](const auto& v) { return has_unknown(v, known); });
  if (const json::Object* object = value.if_object())
    return std::ranges::any_of(*object, [&](const auto& member) {
      return !known.contains(&member.second) || has_unknown(member.second, known);
    });
  return false;
}

/// True when everything that was written is in the original too: they are one and the same, for
/// the writer leaves out only defaults.
bool is_within(const json::Value& written, const json::Value& original) {
  if (const json::Object* object = written.if_object())
    return std::ranges::all_of(*object, [&](const auto& member) {
      const json::Value* found = original.find(member.first);
      return found != nullptr && is_within(member.second, *found);
    });
  return written == original;
}

/// Elements have no names: each takes over from the next original that it is within.
void take_over_elements(json::Array& out, const json::Array& document, const Known& known) {
  std::vector<const json::Value*> originals;
  for (const json::Value& original : document)
    if (original.if_object() != nullptr && has_unknown(original, known))
      originals.push_back(&original);
  auto next = originals.begin();
  for (json::Value& element : out) {
    const auto found = std::find_if(next, originals.end(), [&](const json::Value* original) {
      return is_within(element, *original);
    });
    if (found == originals.end()) continue;
    take_over_unknown(element, **found, known);
    next = found + 1;
  }
}

}  // namespace

void take_over_unknown(json::Value& out, const json::Value& document, const Known& known) {
  if (json::Array* array = out.if_array(); array != nullptr && document.if_array() != nullptr)
    return take_over_elements(*array, *document.if_array(), known);
  json::Object* object = out.if_object();
  if (object == nullptr || document.if_object() == nullptr) return;
  for (const auto& [name, value] : *document.if_object()) {
    if (!known.contains(&value)) {
      object->append(name, value);
    } else if (has_unknown(value, known)) {
      if (json::Value* written = object->find(name)) take_over_unknown(*written, value, known);
    }
  }
}

}  // namespace nexcage::oci
