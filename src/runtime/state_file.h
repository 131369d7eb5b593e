// state.json: what a container's directory remembers between commands.
#pragma once

#include <string>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {

/// The OCI state's fields with ours beside them, in one object.
json::Value to_json(const backends::Record& record);
/// InvalidJson naming the missing or wrong member.
Result<backends::Record> parse_record(const json::Value& value);

/// Writes {record.state_dir}/state.json atomically, mode 0600.
Result<> save_record(const backends::Record& record);
/// The same, durably: a guest outlasts a power cut of this machine, and a record of an earlier
/// state would have the next command take back what is done.
Result<> save_guest(const backends::Record& record);
/// Reads {state_dir}/state.json. ContainerNotFound when the directory or the file is missing.
Result<backends::Record> load_record(const std::string& state_dir, const std::string& id);

/// Writes a JSON document of a container's directory atomically and durably, mode 0600.
Result<> write_document(const std::string& path, const json::Value& document);

/// {state_dir}/lock: one verb at a time changes a container. Timeout.
Result<sys::FileLock> lock_container(const backends::Record& record);

/// The text of state.json for a container of which nothing runs, nor is mounted, any more; the rest
/// of the record stays.
std::string ended_text(backends::Record record);
/// The record is one of ended_text: the backend has nothing to tell.
bool is_taken_down(const backends::Record& record);

/// Replaces status and pid of the record, those last written, by what the backend says now, and the
/// place of a guest that has moved.
Result<> refresh_status(backends::Record& record, const backends::Backend& backend);

}  // namespace nexcage::runtime
