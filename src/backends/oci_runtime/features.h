// What another OCI runtime supports.
#pragma once

#include <string_view>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/oci_runtime/dialect.h"

namespace nexcage::backends::oci_runtime {

/// Asks the program (`features`); one that has no such verb (crun before 1.8.6) is described by
/// what the manual of the oldest accepted version and its own --version say.
Features read_features(const Dialect& dialect, const std::string& program);

/// The document of the verb `features` (runtime-spec, features.md); unknown members are left out.
Features parse_features(std::string_view text);

/// True when the text of crun's --version names systemd among what the build has.
bool built_with_systemd(std::string_view version);

}  // namespace nexcage::backends::oci_runtime
