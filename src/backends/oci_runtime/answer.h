// What another OCI runtime says of its work, in our own terms.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/log.h"

namespace nexcage::backends::oci_runtime {

/// One record of the runtime's --log-format json.
struct Said {
  log::Level level = log::Level::error;
  std::string text;
  bool operator==(const Said&) const = default;
};

/// The records of a log file; a line that is no record is an error record of its own.
std::vector<Said> parse_log(std::string_view text);

/// Why the verb failed, in the runtime's own words, which engines look for ("no such file or
/// directory" is exit status 127 to Podman). The code is what the words mean to us:
/// ContainerExists, HookError, else RuntimeError.
Error error_of(std::string_view runtime, std::string_view verb, const std::vector<Said>& said,
               int wait_status);

}  // namespace nexcage::backends::oci_runtime
