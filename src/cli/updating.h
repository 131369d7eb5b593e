// `update --image` and `--rollback` of containers of this machine.
#pragma once

#include <optional>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/cli/context.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::cli {

/// Gives the container the root of `image`, or, without one, that before the last update. One that
/// runs is stopped as `nexcage stop` does, after the new root has been made, and started again
/// under conmon. After an error it is what it was, and runs if it ran. Errors of
/// runtime::RootUpdate; Unsupported under the names that engines call.
Result<> update_root(Context& context, const std::string& id,
                     const std::optional<std::string>& image, runtime::Services& services);

}  // namespace nexcage::cli
