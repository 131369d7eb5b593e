// The state directory of a container that is made again, as an effect of the undo log.
#pragma once

#include <string>

#include "nexcage/base/error.h"

namespace nexcage::runtime {

/// The argument of UndoEntry::Kind::state. `record`: the text of state.json that comes back.
std::string encode_state(const std::string& state_dir, const std::string& record);

/// Leaves in the directory what a container that has ended keeps there: `record` as its state.json,
/// the spec, and the lock. A directory that is gone, or a damaged argument, names nothing to undo.
Result<> undo_state(const std::string& argument);

}  // namespace nexcage::runtime
