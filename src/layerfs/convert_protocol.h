// ConvertJob and ConvertResult as JSON: what the front binary and libexec/nexcage/image say to each
// other for the subcommand `convert`.
#pragma once

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs {

json::Value to_json(const ConvertJob& job);
json::Value to_json(const ConvertResult& result);
/// InvalidJson naming the member that is missing or of the wrong type, or when the number of
/// outputs does not fit the form.
Result<ConvertJob> convert_job_from_json(const json::Value& value);
Result<ConvertResult> convert_result_from_json(const json::Value& value);

}  // namespace nexcage::layerfs
