// The parts of the runtime spec's reader and writer that are split over several files. Internal to
// oci/.
#pragma once

#include "nexcage/oci/fields.h"
#include "nexcage/oci/spec.h"

namespace nexcage::oci {

// Readers. Found by argument-dependent look-up from the templates of fields.h.
Result<> read(const Node& node, Process& out);
Result<> read(const Node& node, IdMapping& out);
Result<> read(const Node& node, Linux& out);
Result<> read(const Node& node, Resources& out);
Result<> read(const Node& node, Seccomp& out);
Result<> read(const Node& node, Vm& out);

/// The whole spec without its `document`; `known` collects the values read by name, if given.
Result<Spec> read_spec(const json::Value& document, const VersionPolicy& policy, Known* known);

// Rules that several parts share.

/// "0-3,7", or empty.
std::string cpu_list(std::string_view text);
/// A network interface's name as the kernel takes it.
std::string interface_name(std::string_view text);

/// Linux has 12 bits for a major and 20 for a minor number; more would be cut by the kernel.
inline constexpr Range kMajor{0, (1u << 12) - 1};
inline constexpr Range kMinor{0, (1u << 20) - 1};

// Writers.
json::Value write(const Linux& value);
json::Value write(const Resources& value);
json::Value write(const Seccomp& value);
json::Value write(const IdMapping& value);

/// Puts the members of `document` that no reader knew into `out`, at the same places. An array's
/// element gets those of the element that it was made from.
void take_over_unknown(json::Value& out, const json::Value& document, const Known& known);

}  // namespace nexcage::oci
