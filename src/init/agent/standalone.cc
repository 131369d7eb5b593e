#include "nexcage/init/agent/standalone.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

#include "nexcage/sys/process.h"
#include "nexcage/vm/protocol/standalone.h"

namespace nexcage::init::agent {

bool stands_alone() {
  return ::access(("/" + std::string(vm::protocol::kStandaloneFile)).c_str(), F_OK) == 0;
}

Result<UniqueFd> start_keeper(Machine& machine) {
  NX_CHECK(prepare_ports(machine));
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) < 0)
    return fail_errno("make a line to the keeper");
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  sys::Command command;
  command.program = "/" + std::string(vm::protocol::kKeeperFile);
  command.argv = {command.program};
  command.fds = {{theirs.get(), vm::protocol::kKeeperLine}};
  NX_TRY(sys::Child keeper, sys::Child::spawn(command), "start the keeper");
  // It is reaped with all others.
  (void)keeper.release();
  return ours;
}

}  // namespace nexcage::init::agent
