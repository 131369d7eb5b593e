// How the front binary has work done by libexec/nexcage/image: a JSON request on descriptor 3, a
// JSON answer on descriptor 4, and on descriptor 5, where it is open, events: JSON objects, one a
// line, while the work goes on. The helper is a separate, confined process because what it reads
// was made by strangers.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::image {

/// Told of each event, in order. Runs between two reads of the pipe: it should return soon.
using OnEvent = std::function<void(const json::Value& event)>;

/// What the helper gets besides its request.
struct HelperStreams {
  int input = -1;                 // its standard input (borrowed); -1: /dev/null
  int output = -1;                // its standard output (borrowed); -1: ours
  OnEvent on_event;               // without it the helper has no descriptor 5
  std::function<void()> on_tick;  // called when nothing came for a quarter of a second
};

/// Runs `{libexec_dir}/image SUBCOMMAND`, hands it `request`, waits, and returns its answer. The
/// helper's standard error goes through. The error the helper reports comes back as it was (code,
/// frames, errno, hint); a helper that dies or answers nonsense is FileError with its exit status
/// or signal. Lines among the events that are no JSON object are passed over. Killed when the
/// caller dies.
Result<json::Value> call_helper(const std::string& libexec_dir, std::string_view subcommand,
                                const json::Value& request, const HelperStreams& streams);
Result<json::Value> call_helper(const std::string& libexec_dir, std::string_view subcommand,
                                const json::Value& request);

/// An error as JSON and back: {"code","errno","frames":[...],"hint"}. Source locations do not
/// travel.
json::Value error_to_json(const Error& error);
Error error_from_json(const json::Value& value);

}  // namespace nexcage::image
