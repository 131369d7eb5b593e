// UnpackJob and UnpackResult as JSON: what the front binary and libexec/nexcage/image say to each
// other for the subcommand `unpack`.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs {

json::Value to_json(const UnpackJob& job);
json::Value to_json(const UnpackResult& result);
/// InvalidJson naming the member that is missing or of the wrong type.
Result<UnpackJob> unpack_job_from_json(const json::Value& value);
Result<UnpackResult> unpack_result_from_json(const json::Value& value);

}  // namespace nexcage::layerfs
