// What becomes of each field of the runtime spec on this backend. The table is what the code
// refuses by and what docs/runtime-spec-vm.md is checked against.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/oci/spec.h"

namespace nexcage::backends::vm {

enum class Applied : std::uint8_t {
  guest,           // by the agent in the guest, from its plan
  machine,         // by QEMU, from its command line
  runtime,         // by nexcage itself, on the host
  refused,         // Unsupported, naming the field
  not_applicable,  // says nothing to a virtual machine
};
/// "guest", "machine", "runtime", "refused", "not applicable".
std::string_view applied_name(Applied applied);

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
/// linux.resources, or nullptr.
const oci::Resources* resources_of(const oci::Spec& spec);
/// check_fields for a further process.
Result<> check_process(const oci::Process& process);

}  // namespace nexcage::backends::vm
