#include "nexcage/vm/boot/tool.h"

#include <chrono>
#include <string_view>

#include "nexcage/base/text.h"

namespace nexcage::vm::boot {
namespace {

constexpr std::chrono::minutes kProgramTimeout{10};

/// The first line of what a program complained about.
std::string complaint(const sys::Output& output) {
  const std::string_view text = trim(output.err);
  return std::string(text.substr(0, text.find('\n')));
}

}  // namespace

Result<std::string> run_tool(sys::Command command) {
  const std::string name = command.argv.front();
  NX_TRY(command.program, sys::find_system_program(name));
  NX_TRY(const sys::Output output, sys::run(command, "", kProgramTimeout), name);
  if (sys::exit_code(output.status) != 0)
    return fail(Errc::RuntimeError, name + ": " + complaint(output));
  return output.out;
}

}  // namespace nexcage::vm::boot
