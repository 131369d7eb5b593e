// The first process's side of the conversation with the runtime.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/init/context.h"
#include "nexcage/sys/plan_message.h"

namespace nexcage::init {

/// Sends one message, with a descriptor if `fd` is not negative.
Result<> send(int channel, sys::plan::MessageKind kind, std::string_view content = {}, int fd = -1);
/// Says hello with the caller's pid as it sees itself.
Result<> send_hello(int channel);
/// Waits for the runtime's word to go on. Ends the process when the runtime is gone: then nobody
/// wants this container any more.
Result<> await(int channel, sys::plan::MessageKind kind);
/// Receives the plan and its descriptors into the context.
Result<> receive_plan(Context& context);
/// The error as it is told to the peer.
sys::plan::Failure failure_of(const Error& error, int operation);
/// Tells the peer why this process gives up; `operation` is -1 outside the plan.
void report(int channel, const Error& error, int operation);

}  // namespace nexcage::init
