#include "nexcage/cli/exec_args.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::cli {
namespace {

constexpr std::uint64_t kMostPreservedFds = 1024;

void add_unique(std::vector<std::string>& to, const std::string& word) {
  if (std::ranges::find(to, word) == to.end()) to.push_back(word);
}

/// runc adds to all sets: what a process may do it can do at once.
void add_capability(oci::Process& process, const std::string& name) {
  if (!process.capabilities) process.capabilities.emplace();
  oci::Capabilities& sets = *process.capabilities;
  for (auto* set :
       {&sets.bounding, &sets.effective, &sets.permitted, &sets.ambient, &sets.inheritable})
    add_unique(*set, name);
}

}  // namespace

void ExecArgs::declare(Options& options) {
  options.text("-p,--process", "FILE", process_file, "read the process from this JSON file")
      .flag("-d,--detach", detach, "do not wait for the process")
      .text("--pid-file", "FILE", pid_file, "write the pid of the process to this file")
      .text("--console-socket", "PATH", console_socket,
            "send the terminal's master to this unix socket")
      .text("--preserve-fds", "N", preserve_fds, "pass descriptors 3 to 3+N-1 to the process")
      .flag("-t,--tty", terminal, "give the process a terminal")
      .flag("-i,--interactive", interactive, "accepted; standard input is always connected")
      .text("-u,--user", "USER[:GROUP]", user, "user and group, by name or number")
      .text("--cwd,--workdir,-w", "DIR", cwd, "working directory in the container")
      .list("-e,--env", "NAME=VALUE", env, "set a variable")
      .list("-c,--cap", "CAPABILITY", capabilities, "add a capability")
      .flag("--no-new-privs", no_new_privileges, "set no_new_privs")
      .list("-g,--additional-gids", "GID", additional_gids, "add a supplementary group")
      .text("--apparmor", "PROFILE", apparmor, "AppArmor profile")
      .text("--process-label", "LABEL", label, "SELinux label")
      .list("--cgroup", "[CONTROLLER:]PATH", cgroups, "run in a cgroup below the container's")
      .flag("--ignore-paused", ignore_paused, "allow a paused container");
}

Result<> ExecArgs::check(const std::vector<std::string>& words) const {
  if (words.empty()) return fail(Errc::InvalidSpec, "missing argument, expected a container id");
  if (process_file.empty() && words.size() < 2)
    return fail(Errc::InvalidSpec, "missing argument, expected a command");
  if (!process_file.empty() && words.size() > 1)
    return fail(Errc::InvalidSpec, "a command and --process exclude each other");
  if (preserve_fds.empty()) return {};
  const auto count = parse_u64(preserve_fds);
  if (!count || *count > kMostPreservedFds)
    return fail(Errc::InvalidSpec, "--preserve-fds " + quote(preserve_fds) + ": expected a number");
  return {};
}

Result<> ExecArgs::check_terminal(bool wants_terminal) const {
  if (detach && wants_terminal && !console_socket)
    return fail(Errc::InvalidSpec, "a detached terminal needs --console-socket");
  if (console_socket && !(detach && wants_terminal))
    return fail(Errc::InvalidSpec, "--console-socket needs --detach and a terminal");
  return {};
}

Result<oci::Process> ExecArgs::apply(oci::Process base, std::vector<std::string> command) const {
  base.args = std::move(command);
  base.terminal = terminal;
  base.console_size.reset();
  if (!cwd.empty()) base.cwd = cwd;
  if (!apparmor.empty()) base.apparmor_profile = apparmor;
  if (!label.empty()) base.selinux_label = label;
  if (no_new_privileges) base.no_new_privileges = true;
  for (const std::string& entry : env) {
    const std::string name = entry.substr(0, entry.find('=')) + "=";
    std::erase_if(base.env, [&](const std::string& old) { return old.starts_with(name); });
    base.env.push_back(entry);
  }
  for (const std::string& name : capabilities) add_capability(base, name);
  for (const std::string& text : additional_gids) {
    const auto gid = parse_u64(text);
    if (!gid || *gid > std::numeric_limits<gid_t>::max())
      return fail(Errc::InvalidSpec, "--additional-gids " + quote(text) + ": expected a number");
    base.user.additional_gids.push_back(static_cast<gid_t>(*gid));
  }
  return base;
}

void ExecArgs::fill(backends::ExecRequest& request) const {
  request.console_socket = console_socket;
  request.keep_master = !detach;
  request.preserve_fds = static_cast<int>(parse_u64(preserve_fds).value_or(0));
  request.detach = detach;
  request.ignore_paused = ignore_paused;
  request.cgroups = cgroups;
}

}  // namespace nexcage::cli
