// The kernel that virtual machines boot in tests: that of machine_kernel.py.
#pragma once

#include <chrono>
#include <string>

#include "nexcage/base/text.h"
#include "nexcage/sys/process.h"
#include "nexcage/vm/boot/kernel.h"

namespace nexcage::testing {

/// Prepared by the first test that needs it. RuntimeNotAvailable, with the reason, where that
/// cannot be done: for such a test to be skipped.
inline Result<vm::boot::Kernel> kernel_for_tests() {
  constexpr int kSkipped = 77;
  sys::Command command;
  command.argv = {"python3", "-B", NEXCAGE_TEST_SOURCE "/tests/support/machine_kernel.py"};
  command.inherit_env = true;
  command.env = {"NX_BUILD=" NEXCAGE_TEST_BIN "/..", "NX_SOURCE=" NEXCAGE_TEST_SOURCE};
  NX_TRY(command.program, sys::find_program("python3"));
  NX_TRY(const sys::Output output, sys::run(command, "", std::chrono::minutes(10)));
  const std::string said(trim(output.out));
  const int code = sys::exit_code(output.status);
  if (code == kSkipped) return fail(Errc::RuntimeNotAvailable, said);
  if (code != 0) return fail(Errc::RuntimeError, "machine_kernel.py: " + output.err);
  return vm::boot::find_kernel(said);
}

}  // namespace nexcage::testing
