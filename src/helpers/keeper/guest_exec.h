// Processes that guest-exec has started in the container, and what is kept of them until somebody
// asks how they ended.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/vm/host/guest.h"
#include "nexcage/vm/host/poller.h"
#include "nexcage/vm/protocol/standalone.h"
#include "nexcage/vm/qga/reply.h"
#include "nexcage/vm/qga/request.h"

namespace nexcage::keeper {

class GuestExec {
 public:
  /// `plan` is that of a further process, protocol::Standalone::exec.
  GuestExec(vm::host::Guest& guest, vm::protocol::Exec plan)
      : guest_(guest), plan_(std::move(plan)) {}

  /// Has the agent make the process; returns its session. InvalidConfig for a plan that is none,
  /// or that wants a terminal; InvalidState when too many are not asked for any more.
  Result<std::uint32_t> start(const vm::qga::ExecCommand& command);
  /// The program of the session runs, and has this number in the container.
  void started(std::uint32_t session, std::uint32_t pid);
  /// There is no such process.
  void failed(std::uint32_t session);
  void exited(std::uint32_t session, const vm::protocol::Exit& exit);

  /// How the process is; one that has ended is then forgotten. InvalidConfig for a number that no
  /// process has.
  Result<vm::qga::ProcessStatus> status(std::uint32_t pid);

  /// What the processes write is waited for.
  void add_to(vm::host::Poller& poller);

 private:
  /// A stream of output: what is kept of it, until its end.
  struct Output {
    UniqueFd fd;
    std::string bytes;
    bool truncated = false;
  };
  struct Process {
    std::uint32_t pid = 0;  // 0: not started yet
    Output out, err;
    std::optional<vm::protocol::Exit> exit;
    /// Its end is known, and with it all of its output.
    bool ended() const { return exit && !out.fd && !err.fd; }
  };

  using Processes = std::map<std::uint32_t, Process>;  // by session

  void forget(Processes::iterator entry);
  Result<std::string> plan_of(const vm::qga::ExecCommand& command) const;
  void read(Output& output);

  vm::host::Guest& guest_;
  vm::protocol::Exec plan_;
  Processes processes_;
  std::size_t kept_ = 0;  // bytes of output
};

}  // namespace nexcage::keeper
