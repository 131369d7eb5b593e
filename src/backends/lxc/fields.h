// What becomes of each field of the runtime spec on this backend. The table is what the code
// refuses by and what docs/runtime-spec-lxc.md is checked against.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/oci/spec.h"

namespace nexcage::backends::lxc {

enum class Applied : std::uint8_t {
  liblxc,          // by liblxc, from a line of its configuration
  init,            // by the first process, from its plan
  runtime,         // by nexcage itself
  refused,         // Unsupported, naming the field
  not_applicable,  // says nothing to an LXC container
};
std::string_view applied_name(
    Applied applied);  // "liblxc", "init", "runtime", "refused", "not applicable"

struct Field {
  std::string_view pointer;  // "linux.resources.memory.limit"
  Applied applied;
  std::string_view note;
  /// True when the spec uses this field; only for those that are refused as a whole.
  bool (*used)(const oci::Spec&) = nullptr;
};
std::span<const Field> fields();

/// Unsupported for the first field in use that this backend refuses.
Result<> check_fields(const oci::Spec& spec);

}  // namespace nexcage::backends::lxc
