// What {bundle}/request.json keeps of a request, so that the container can be made from its bundle:
// what neither config.json nor the image says. Descriptors and sockets of the caller are not kept.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/request.h"

namespace nexcage::runtime {

/// The member "options" of request.json.
json::Value options_to_json(const Request& request);

/// The request that request.json tells of: its id and these options. A file of an earlier version
/// without options gives the defaults. InvalidJson naming the member that is wrong.
Result<Request> request_from_json(const json::Value& document);

/// The same from {bundle}/request.json. InvalidState when the bundle has none.
Result<Request> read_request(const std::string& bundle);
/// What was asked of the image and of its volumes, from {bundle}/request.json.
struct KeptSource {
  ImageSource source;
  std::vector<std::string> volumes;  // directories that the image declared
};
/// InvalidState for a container of an earlier version, which kept nothing of it.
Result<KeptSource> read_source(const std::string& bundle);

}  // namespace nexcage::runtime
