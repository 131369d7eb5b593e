// What a guest was asked to be before each of the updates that can be taken back:
// {record.state_dir}/earlier.json, newest first.
#pragma once

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/runtime/settings.h"

namespace nexcage::runtime {

/// Keeps config.json and source.json as they are now; no more of them than old roots are kept.
Result<> push_earlier(const backends::Record& record, const Settings& settings);
/// Brings those of the last update back, and the record's annotations with them. Nothing when there
/// are none.
Result<> pop_earlier(backends::Record& record);

}  // namespace nexcage::runtime
