#include "nexcage/cli/exit_code.h"

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "nexcage/base/text.h"
#include "nexcage/cli/context.h"

namespace nexcage::cli {
namespace {

/// True when the innermost step was the execution of the user's program: other steps know ENOENT
/// too (a mount's source, a hook).
bool is_exec_step(const Error& error) { return error.frames().front().text.starts_with("exec"); }

/// crun and runc say why in their own words, which may stand anywhere: "open executable: Permission
/// denied", "exec: \"/etc\": permission denied".
int runtime_failure_code(const Error& error, int otherwise) {
  const std::string text = to_lower(error.frames().front().text);
  const bool execution = text.find("exec: ") != text.npos || text.find(" executable") != text.npos;
  if (!execution) return otherwise;
  if (text.find("no such file or directory") != text.npos) return kNotFound;
  for (const char* reason : {"permission denied", "operation not permitted", "exec format error"})
    if (text.find(reason) != text.npos) return kNotExecutable;
  return otherwise;
}

bool has_text(const Error& error, std::string_view text) {
  return std::ranges::any_of(error.frames(), [text](const Frame& frame) {
    return frame.text.find(text) != std::string::npos;
  });
}

}  // namespace

int start_failure_code(const Error& error, int otherwise) {
  if (error.code() == Errc::HookError) return otherwise;
  // What runc and crun say of a command that is not on PATH.
  if (has_text(error, "executable file") && has_text(error, "not found")) return kNotFound;
  if (error.code() == Errc::RuntimeError) return runtime_failure_code(error, otherwise);
  if (!is_exec_step(error)) return otherwise;
  switch (error.sys_errno()) {
    case ENOENT:
    case ENOTDIR:
      return kNotFound;
    case EACCES:
    case EPERM:
    case ENOEXEC:
    case EISDIR:
      return kNotExecutable;
    default:
      return otherwise;
  }
}

}  // namespace nexcage::cli
