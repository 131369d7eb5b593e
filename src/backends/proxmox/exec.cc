#include "nexcage/backends/proxmox/exec.h"

#include <unistd.h>

#include "nexcage/pve/launch.h"
#include "nexcage/sys/process.h"

namespace nexcage::backends::proxmox {

namespace {

std::unexpected<Error> refuse(const std::string& what) {
  return fail(Errc::Unsupported, "backend proxmox-lxc: exec: " + what);
}

Result<> check_options(const ExecRequest& request) {
  if (request.console_socket) return refuse("--console-socket");
  if (request.preserve_fds > 0) return refuse("--preserve-fds");
  if (!request.cgroups.empty()) return refuse("--cgroup");
  if (request.ignore_paused) return refuse("--ignore-paused");
  // lxc-attach, behind pct, makes one in the guest when its own input is one.
  if (request.process.terminal && ::isatty(STDIN_FILENO) == 0)
    return refuse("a terminal, while the input is none");
  return {};
}

pve::Launch launch_of(const oci::Process& process) {
  pve::Launch launch{.args = process.args,
                     .cwd = process.cwd,
                     .user = process.user,
                     .no_new_privileges = process.no_new_privileges};
  for (const std::string& entry : process.env) launch.env.emplace_back(0U, entry);
  return launch;
}

}  // namespace

Result<> check_exec(const Cluster& cluster, const GuestName& name) {
  const std::string here = cluster.api().node();
  if (here == name.node) return {};
  const std::string why = here.empty() ? "the API of Proxmox VE has none for containers"
                                       : "the guest is on another node";
  return fail(Error(Errc::Unsupported, "backend proxmox-lxc: exec: " + why)
                  .hint("on node " + name.node + ": pct exec " + std::to_string(name.vmid) +
                        " -- COMMAND, or nexcage there, without proxmox.hosts"));
}

Result<std::string> root_of_guest(const Cluster& cluster, std::uint64_t vmid) {
  NX_TRY(const json::Value status,
         cluster.api().call("GET", cluster.guest_path(vmid) + "/status/current", {}));
  const json::Value* pid = status.find("pid");
  const std::int64_t number = pid != nullptr ? pid->as_i64().value_or(0) : 0;
  if (number <= 0)
    return fail(Errc::InvalidState, "CT " + std::to_string(vmid) + " is not running");
  return "/proc/" + std::to_string(number) + "/root";
}

Result<ExecStarted> exec_guest(const GuestName& name, const ExecRequest& request) {
  NX_CHECK(check_options(request));
  sys::Command command;
  command.argv = {"pct", "exec", std::to_string(name.vmid),  "--keep-env",
                  "1",   "--",   std::string(pve::kLauncher)};
  command.env = {
      std::string(pve::kLaunchVariable) + "=" + pve::encode_text(launch_of(request.process)),
      "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  NX_TRY(command.program, sys::find_program("pct"));
  NX_TRY(sys::Child child, sys::Child::spawn(command));
  return ExecStarted{.child = std::move(child), .pty_master = {}};
}

}  // namespace nexcage::backends::proxmox
