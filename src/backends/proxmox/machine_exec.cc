#include "nexcage/backends/proxmox/machine_exec.h"

#include <sys/stat.h>
#include <unistd.h>

#include "nexcage/backends/vm/standalone.h"
#include "nexcage/base/base64.h"
#include "nexcage/sys/fs.h"
#include "nexcage/vm/protocol/standalone.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr std::size_t kMostInput = 64u << 10;  // what the API takes

std::unexpected<Error> refuse(const std::string& what) {
  return fail(Errc::Unsupported, "backend proxmox-vm: exec: " + what);
}

Result<> check_options(const ExecRequest& request) {
  if (request.process.terminal)
    return refuse("a terminal: the guest agent API passes no bytes while a process runs");
  if (request.console_socket) return refuse("--console-socket");
  if (request.preserve_fds > 0) return refuse("--preserve-fds");
  if (!request.cgroups.empty()) return refuse("--cgroup");
  if (request.ignore_paused) return refuse("--ignore-paused");
  return {};
}

/// What stands ready on a file or a pipe; nothing of a terminal or a device.
Result<std::string> read_input() {
  struct stat about{};
  if (::fstat(STDIN_FILENO, &about) != 0) return std::string();
  if (!S_ISREG(about.st_mode) && !S_ISFIFO(about.st_mode)) return std::string();
  auto text = sys::read_all(STDIN_FILENO, kMostInput);
  if (!text) return refuse("more than 64 KiB of input");
  // Proxmox VE makes one byte of each character.
  std::string characters;
  for (const char byte : *text) {
    const auto value = static_cast<unsigned char>(byte);
    if (value >= 0x80) characters += static_cast<char>(0xc0 | value >> 6);
    characters += value < 0x80 ? byte : static_cast<char>(0x80 | (value & 0x3f));
  }
  return characters;
}

}  // namespace

Result<ExecStarted> exec_in_machine(const Cluster& cluster, std::uint64_t vmid,
                                    const oci::Spec& spec, const ExecRequest& request) {
  NX_CHECK(check_options(request));
  NX_TRY(const std::string plan, backends::vm::plan_standalone_exec(spec, request.process));
  NX_TRY(std::string input, read_input());
  json::Object job;
  job.set("op", "guest_exec");
  job.set("path", cluster.guest_path(vmid) + "/agent");
  job.set("command", json::Array{nexcage::vm::protocol::kExecPlanPath,
                                 base64_encode(nexcage::vm::protocol::encode(
                                     nexcage::vm::protocol::Exec{.plan = plan}))});
  job.set("input", std::move(input));
  NX_TRY(sys::Child child, cluster.api().spawn(json::Value(std::move(job))));
  return ExecStarted{.child = std::move(child), .pty_master = {}};
}

}  // namespace nexcage::backends::proxmox
