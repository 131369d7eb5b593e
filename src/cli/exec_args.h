// The options of `exec` and the process they describe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/cli/options.h"
#include "nexcage/oci/spec.h"

namespace nexcage::cli {

struct ExecArgs {
  std::string process_file;
  bool detach = false;
  std::string pid_file;
  std::optional<std::string> console_socket;
  std::string preserve_fds;
  bool terminal = false;
  bool interactive = false;
  std::string user, cwd;
  std::vector<std::string> env, capabilities, additional_gids, cgroups;
  bool no_new_privileges = false;
  std::string apparmor, label;
  bool ignore_paused = false;

  void declare(Options& options);
  /// InvalidSpec for missing words, or a command beside --process.
  Result<> check(const std::vector<std::string>& words) const;
  /// runc's rules: a detached terminal needs a console socket, a console socket needs both.
  Result<> check_terminal(bool wants_terminal) const;
  /// The container's own process with what the options change and this command. Pure.
  Result<oci::Process> apply(oci::Process base, std::vector<std::string> command) const;
  /// Everything of the request besides the process.
  void fill(backends::ExecRequest& request) const;
};

}  // namespace nexcage::cli
