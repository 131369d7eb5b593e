// The runtime's program on this host.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "nexcage/backends/oci_runtime/dialect.h"
#include "nexcage/base/error.h"

namespace nexcage::backends::oci_runtime {

/// "crun version 1.8.1\n..." or "runc version 1.1.5+ds1": nullopt when it says something else.
std::optional<Version> parse_version(std::string_view runtime, std::string_view text);
std::string to_text(const Version& version);

/// The program's path; `configured` is a name on PATH or a path. RuntimeNotAvailable with the
/// package to install.
Result<std::string> find_binary(const Dialect& dialect, const std::string& configured);

/// RuntimeNotAvailable unless the program answers --version with at least the minimum. A good
/// answer is kept in `cache_file` and counts for as long as the program's file is the same: a
/// further process for every container would cost more than all we do.
Result<> check_version(const Dialect& dialect, const std::string& program,
                       const std::string& cache_file);

/// Unsupported unless this build of the program has the verb `checkpoint`.
Result<> check_checkpoint(const Dialect& dialect, const std::string& program);

}  // namespace nexcage::backends::oci_runtime
