// Containers that conmon holds: those of `run -d`, and every one that is started again.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/cli/context.h"
#include "nexcage/runtime/monitor.h"
#include "nexcage/runtime/request.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::cli {

/// What conmon is told of the container whose bundle is there; `create_args` are left to the
/// caller.
Result<runtime::MonitorJob> monitor_job(Context& context, const runtime::Request& request,
                                        const std::string& bundle, bool terminal);

/// `start`: a created container executes its process; one that was made from an image and has ended
/// runs again, under conmon, unless the program's name says that an engine calls.
Result<> start_container(Context& context, const std::string& id, runtime::Services& services,
                         runtime::Ending ending);

}  // namespace nexcage::cli
