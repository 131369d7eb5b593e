// How the front binary has work done by libexec/nexcage/image: a JSON request on descriptor 3, a
// JSON answer on descriptor 4. The helper is a separate, confined process because what it reads was
// made by strangers.
#pragma once

#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::image {

/// Runs `{libexec_dir}/image SUBCOMMAND`, hands it `request`, waits, and returns its answer. The
/// helper's standard error goes through; its standard input is /dev/null. The error the helper
/// reports comes back as it was (code, frames, errno, hint); a helper that dies or answers nonsense
/// is FileError with its exit status or signal. Killed when the caller dies.
Result<json::Value> call_helper(const std::string& libexec_dir, std::string_view subcommand,
                                const json::Value& request);

/// An error as JSON and back: {"code","errno","frames":[...],"hint"}. Source locations do not
/// travel.
json::Value error_to_json(const Error& error);
Error error_from_json(const json::Value& value);

}  // namespace nexcage::image
