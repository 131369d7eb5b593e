// libexec/nexcage/vm: runs one container's virtual machine, or takes part in it. Usage:
//
//   vm run LAUNCH_FD PREPARE_FD CREATOR_FD
//   vm exec SOCKET_FD STATUS_FD MESSAGE_FD [--terminal ROWS COLUMNS]
//
// run: parent of QEMU, owner of its monitor, of the agent's port and of the container's standard
// streams; ends with the code of the container's process. exec: stands for a further process, whose
// streams are its own; what it is sent, that process gets, and it ends with its code.
#include <fcntl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/plan_message.h"
#include "nexcage/sys/pty.h"
#include "nexcage/vm/host/control.h"
#include "nexcage/vm/host/exec_client.h"
#include "nexcage/vm/host/host.h"

namespace {

using nexcage::fail;
using nexcage::Result;
using nexcage::UniqueFd;

constexpr std::uint64_t kMaxDescriptor = 1u << 20;
constexpr int kUsage = 2;

UniqueFd take(const char* word) {
  const std::uint64_t number = nexcage::parse_u64(word).value_or(kMaxDescriptor);
  if (number >= kMaxDescriptor) return {};
  UniqueFd fd(static_cast<int>(number));
  (void)::fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  return fd;
}

int run(std::span<char*> words) {
  UniqueFd launch_fd = take(words[0]), prepare_fd = take(words[1]);
  UniqueFd creator = take(words[2]);
  const auto text = nexcage::sys::read_all(launch_fd.get());
  auto prepare = nexcage::sys::read_all(prepare_fd.get());
  if (!text || !prepare) return kUsage;
  launch_fd.reset();
  prepare_fd.reset();
  auto launch = nexcage::vm::host::launch_from_text(*text);
  if (!launch) return kUsage;
  nexcage::vm::host::Host host(*std::move(launch), *std::move(prepare), std::move(creator));
  return host.run();
}

int exec(std::span<char*> words) {
  nexcage::vm::host::ExecJob job{
      .socket = take(words[0]), .status = take(words[1]), .message = take(words[2])};
  if (words.size() == 6 && std::string_view(words[3]) == "--terminal") {
    job.terminal = true;
    job.rows = static_cast<std::uint16_t>(nexcage::parse_u64(words[4]).value_or(0));
    job.columns = static_cast<std::uint16_t>(nexcage::parse_u64(words[5]).value_or(0));
  }
  return nexcage::vm::host::run_exec(std::move(job));
}

}  // namespace

int main(int argc, char** argv) {
  const std::span words(argv, static_cast<std::size_t>(argc));
  if (argc == 5 && std::string_view(argv[1]) == "run") return run(words.subspan(2));
  if (argc >= 5 && std::string_view(argv[1]) == "exec") return exec(words.subspan(2));
  return kUsage;
}
