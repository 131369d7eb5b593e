// state.json: what a container's directory remembers between commands.
#pragma once

#include <string>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::runtime {

/// The OCI state's fields with ours beside them, in one object.
json::Value to_json(const backends::Record& record);
/// InvalidJson naming the missing or wrong member.
Result<backends::Record> parse_record(const json::Value& value);

/// Writes {record.state_dir}/state.json atomically, mode 0600.
Result<> save_record(const backends::Record& record);
/// Reads {state_dir}/state.json. ContainerNotFound when the directory or the file is missing.
Result<backends::Record> load_record(const std::string& state_dir, const std::string& id);

/// Replaces status and pid of the record, those last written, by what the backend says now.
Result<> refresh_status(backends::Record& record, const backends::Backend& backend);

}  // namespace nexcage::runtime
