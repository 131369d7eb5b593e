#include "nexcage/backends/proxmox/local.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"

namespace nexcage::backends::proxmox {

namespace {

/// There only on a node whose cluster file system runs; a link to nodes/NAME, whatever the
/// machine's own name is.
constexpr const char* kLocalNode = "/etc/pve/local";
constexpr std::chrono::seconds kTicketLimit{60};

/// The key may have to be renewed before, for which the state of the cluster has to be known.
constexpr const char* kMakeTicket =
    "use strict; use PVE::Cluster; use PVE::AccessControl;"
    "PVE::Cluster::cfs_update();"
    "print PVE::AccessControl::assemble_ticket('root@pam');";

}  // namespace

Result<std::optional<std::string>> local_node() {
  NX_TRY(const bool is_node, sys::exists(AT_FDCWD, kLocalNode));
  if (!is_node || ::geteuid() != 0) return std::nullopt;
  NX_TRY(const std::string target, sys::read_link(AT_FDCWD, kLocalNode));
  return target.substr(target.rfind('/') + 1);
}

Result<std::string> local_certificate() {
  std::string path = std::string(kLocalNode) + "/pveproxy-ssl.pem";
  NX_TRY(const bool is_own, sys::exists(AT_FDCWD, path));
  return is_own ? path : std::string(kLocalNode) + "/pve-ssl.pem";
}

Result<std::string> local_ticket() {
  const std::string doing = "make a ticket of root@pam";
  sys::Command command;
  command.argv = {"perl", "-e", kMakeTicket};
  command.inherit_env = true;
  command.env = {"LC_ALL=C"};
  NX_TRY(command.program, sys::find_program("perl"), doing);
  NX_TRY(const sys::Output output, sys::run(command, "", kTicketLimit), doing);
  std::string ticket(trim(output.out));
  if (sys::exit_code(output.status) != 0 || !ticket.starts_with("PVE:")) {
    const std::string_view said = trim(output.err);
    return fail(
        Error(Errc::ProxmoxError, doing + ": " + std::string(said.substr(0, said.find('\n'))))
            .hint("or set proxmox.hosts and proxmox.token_file in the configuration"));
  }
  return ticket;
}

}  // namespace nexcage::backends::proxmox
