// A container as `state` and `list` show it: the OCI state and runc's fields beside it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "nexcage/backends/backend.h"
#include "nexcage/json/value.h"

namespace nexcage::cli {

/// Fields in runc's order: ociVersion, id, pid, status, bundle, rootfs, created, annotations (when
/// there are any; with what the backend adds), owner; then our own: backend.
json::Value state_json(const backends::Record& record);
/// Name of the user who owns the state directory, "#uid" without a name, "" when it is gone.
std::string owner_name(const backends::Record& record);

/// The user's name on this host; nullopt for a number without one.
std::optional<std::string> user_name(uid_t uid);

}  // namespace nexcage::cli
