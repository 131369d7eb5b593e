// What another OCI runtime supports.
#pragma once

#include <string_view>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/oci_runtime/dialect.h"

namespace nexcage::backends::oci_runtime {

/// Asks the program (`features`); one that has no such verb (crun before 1.8.6) is described by
/// what the manual of the oldest accepted version says.
Features read_features(const Dialect& dialect, const std::string& program);

/// The document of the verb `features` (runtime-spec, features.md); unknown members are left out.
Features parse_features(std::string_view text);

}  // namespace nexcage::backends::oci_runtime
