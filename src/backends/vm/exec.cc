// A further process in a running machine.
#include <sched.h>

#include <utility>

#include "nexcage/backends/lxc/channel.h"
#include "nexcage/backends/vm/create.h"
#include "nexcage/backends/vm/fields.h"
#include "nexcage/vm/host/control.h"

namespace nexcage::backends::vm {
namespace {

Result<> check_request(const ExecRequest& request) {
  if (request.preserve_fds > 0)
    return fail(Errc::Unsupported, "--preserve-fds: descriptors do not reach a virtual machine");
  if (!request.cgroups.empty())
    return fail(Errc::Unsupported, "--cgroup: the guest's control groups are the agent's");
  NX_CHECK(check_process(request.process));
  if (request.process.terminal && !request.console_socket && !request.keep_master)
    return fail(Error(Errc::InvalidConfig, "a terminal is asked for, but nobody takes it")
                    .hint("give --console-socket, or leave the terminal away"));
  if (!request.process.terminal && request.console_socket)
    return fail(Errc::InvalidConfig, "--console-socket without a terminal");
  return {};
}

}  // namespace

Result<sys::plan::Plan> plan_exec(const oci::Spec& spec, const oci::Process& process) {
  sys::plan::Plan plan;
  plan.operations.emplace_back(sys::plan::JoinNamespaces{
      .fd = 0, .root_fd = 1, .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP});
  plan.operations.emplace_back(sys::plan::NewKeyring{});
  if (process.terminal) {
    const oci::Box size = process.console_size.value_or(oci::Box{});
    plan.operations.emplace_back(
        sys::plan::OpenTerminal{.bind_console = false, .rows = size.height, .columns = size.width});
  }
  NX_TRY(auto limits, plan_rlimits(process));
  plan.operations.insert(plan.operations.end(), limits.begin(), limits.end());
  plan.operations.emplace_back(sys::plan::CheckProgram{});
  NX_TRY(plan.process, plan_guest_process(process, spec.linux_ ? &*spec.linux_ : nullptr));
  return plan;
}

Result<ExecStarted> execute_in(const Record& record, const oci::Spec& spec,
                               const ExecRequest& request, const Setup& setup) {
  NX_CHECK(check_request(request));
  NX_TRY(const sys::plan::Plan plan, plan_exec(spec, request.process));
  NX_TRY(const UniqueFd message,
         sys::sealed_data(protocol::encode(protocol::Exec{.plan = sys::plan::encode(plan)}),
                          "vm-exec"));
  NX_TRY(const UniqueFd socket, host::connect(record.state_dir));
  NX_TRY(sys::SocketPair status, sys::socket_pair());
  sys::Command command;
  command.argv = {setup.libexec + "/vm", "exec", std::to_string(kFirstFd),
                  std::to_string(kFirstFd + 1), std::to_string(kFirstFd + 2)};
  if (request.process.terminal) {
    const oci::Box size = request.process.console_size.value_or(oci::Box{});
    command.argv.insert(command.argv.end(),
                        {"--terminal", std::to_string(size.height), std::to_string(size.width)});
  }
  command.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  command.fds = {
      {socket.get(), kFirstFd}, {status.second.get(), kFirstFd + 1}, {message.get(), kFirstFd + 2}};
  command.new_session = true;
  NX_TRY(sys::Child child, sys::Child::spawn(command), "start the process's helper");
  status.second.reset();
  UniqueFd terminal;
  for (;;) {
    NX_TRY(Word word, next_word(status.first.get()));
    if (word.ready) break;
    NX_CHECK(lxc::deliver_terminal(std::move(word.terminal), request.console_socket, terminal));
  }
  return ExecStarted{std::move(child), std::move(terminal)};
}

}  // namespace nexcage::backends::vm
