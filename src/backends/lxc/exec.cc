#include "nexcage/backends/lxc/exec.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <array>

#include "nexcage/backends/lxc/affinity.h"
#include "nexcage/backends/lxc/channel.h"
#include "nexcage/backends/lxc/create.h"
#include "nexcage/backends/lxc/exec_cgroups.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::lxc {
namespace {

using sys::plan::MessageKind;

struct NamespaceFile {
  const char* name;
  int flag;
};
constexpr std::array<NamespaceFile, 8> kNamespaceFiles = {{
    {"user", CLONE_NEWUSER},
    {"mnt", CLONE_NEWNS},
    {"pid", CLONE_NEWPID},
    {"uts", CLONE_NEWUTS},
    {"ipc", CLONE_NEWIPC},
    {"net", CLONE_NEWNET},
    {"cgroup", CLONE_NEWCGROUP},
    {"time", CLONE_NEWTIME},
}};

Result<struct stat> namespace_id(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) < 0) return fail_errno("look at " + path);
  return info;
}

/// CLONE_NEW* of the namespaces in which the process is and we are not. Joining one we are in
/// already would fail for user namespaces.
Result<std::uint32_t> differing_namespaces(pid_t pid) {
  std::uint32_t flags = 0;
  for (const NamespaceFile& file : kNamespaceFiles) {
    NX_TRY(struct stat theirs, namespace_id("/proc/" + std::to_string(pid) + "/ns/" + file.name));
    NX_TRY(struct stat ours, namespace_id(std::string("/proc/self/ns/") + file.name));
    if (theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev)
      flags |= static_cast<std::uint32_t>(file.flag);
  }
  return flags;
}

/// The process's root directory. Its pid may have been given away while the path was walked: it is
/// the right one if the process is still there afterwards.
Result<UniqueFd> open_root(const sys::ProcessId& process) {
  const std::string path = "/proc/" + std::to_string(process.pid) + "/root";
  NX_TRY(UniqueFd root, sys::open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY));
  NX_TRY(bool alive, sys::is_alive(process));
  if (!alive) return fail(Errc::InvalidState, "container not running");
  return root;
}

struct Intermediate {
  sys::Child child;
  UniqueFd channel;
};

Result<Intermediate> spawn_init(const ExecRequest& request, const Setup& setup) {
  NX_TRY(UniqueFd init, sealed_init(setup.libexec));
  NX_TRY(sys::SocketPair channel, sys::socket_pair());
  const int number = 3 + request.preserve_fds;
  sys::Command command;
  command.argv = {"nexcage-init", std::to_string(number)};
  command.exec_fd = init.get();
  command.fds = {{channel.second.get(), number}};
  if (request.preserve_fds > 0) {
    command.keep_from = 3;
    command.keep_count = request.preserve_fds;
  }
  command.die_with_parent = true;
  NX_TRY(sys::Child child, sys::Child::spawn(command), "start the first process's program");
  return Intermediate{std::move(child), std::move(channel.first)};
}

Result<> set_oom_score(pid_t pid, const oci::Process& process) {
  if (!process.oom_score_adj) return {};
  NX_TRY(UniqueFd file,
         sys::open_at(AT_FDCWD, "/proc/" + std::to_string(pid) + "/oom_score_adj", O_WRONLY),
         "process.oomScoreAdj");
  NX_CHECK(sys::write_all(file.get(), std::to_string(*process.oom_score_adj)),
           "process.oomScoreAdj");
  return {};
}

/// From the container's root to just before execve: the terminal on the way, limits at the end.
Result<UniqueFd> converse(int channel, pid_t pid, const ExecRequest& request,
                          const SeccompListener& listener) {
  UniqueFd terminal;
  for (;;) {
    NX_TRY(Incoming message, receive(channel));
    if (message.kind == MessageKind::ready) break;
    if (message.kind != MessageKind::terminal || message.fds.size() != 1)
      return fail(Errc::LXCError, "unexpected message of the process");
    NX_CHECK(deliver_terminal(std::move(message.fds[0]), request.console_socket, terminal));
  }
  NX_CHECK(set_oom_score(pid, request.process));
  NX_TRY(auto limits, plan_limits(request.process));
  NX_CHECK(apply_limits(pid, limits));
  NX_CHECK(send(channel, MessageKind::proceed));
  NX_CHECK(await_execution(channel, listener));
  return terminal;
}

Result<> check_request(const ExecRequest& request) {
  NX_CHECK(parse_sub_cgroups(request.cgroups));
  if (request.process.terminal && !request.console_socket && !request.keep_master)
    return fail(Errc::InvalidConfig, "a terminal is asked for, but nobody takes it");
  return {};
}

}  // namespace

Result<std::string> recorded_cgroup(const Record& record) {
  std::string path = record.backend_data.text("cgroup");
  if (path.empty())
    return fail(Errc::InvalidState, "the state of " + record.state.id + " names no cgroup");
  return path;
}

Result<sys::plan::Plan> plan_exec(const oci::Spec& spec, const ExecRequest& request,
                                  const HostFacts& facts, std::uint32_t join_flags) {
  NX_CHECK(check_request(request));
  sys::plan::Plan plan;
  plan.operations.emplace_back(sys::plan::NewKeyring{});
  plan.operations.emplace_back(
      sys::plan::JoinNamespaces{.fd = 0, .root_fd = 1, .flags = join_flags});
  if (request.process.terminal) {
    const oci::Box size = request.process.console_size.value_or(oci::Box{});
    plan.operations.emplace_back(
        sys::plan::OpenTerminal{.bind_console = false, .rows = size.height, .columns = size.width});
  }
  plan.operations.emplace_back(sys::plan::CheckProgram{});
  plan.operations.emplace_back(sys::plan::WaitForStart{});
  NX_TRY(plan.process, plan_process({.process = request.process,
                                     .linux_section = spec.linux_ ? &*spec.linux_ : nullptr,
                                     .preserve_fds = request.preserve_fds},
                                    facts));
  return plan;
}

Result<ExecStarted> execute_in(const Record& record, const oci::Spec& spec,
                               const ExecRequest& request, const Setup& setup,
                               const HostFacts& facts) {
  NX_TRY(std::string cgroup, recorded_cgroup(record));
  NX_TRY(const Affinity affinity, affinity_of(request.process, spec));
  NX_TRY(auto target, sys::open_process(record.init));
  if (!target) return fail(Errc::InvalidState, "container not running");
  NX_TRY(const std::uint32_t flags, differing_namespaces(record.init.pid));
  NX_TRY(UniqueFd root, open_root(record.init));
  NX_TRY(sys::plan::Plan plan, plan_exec(spec, request, facts, flags));
  NX_TRY(Intermediate first, spawn_init(request, setup));
  NX_CHECK(expect(first.channel.get(), MessageKind::hello));
  // Before the namespaces: whatever it does in there counts on the container's side.
  NX_CHECK(set_affinity(first.child.pid(), affinity.initial, "initial"));
  NX_CHECK(enter_cgroups(facts.cgroups, cgroup, request.cgroups, first.child.pid()));
  NX_CHECK(set_affinity(first.child.pid(), affinity.final, "final"));
  std::vector<UniqueFd> fds;
  fds.push_back(*std::move(target));
  fds.push_back(std::move(root));
  NX_CHECK(send_plan(first.channel.get(), plan, fds));
  NX_TRY(Incoming hello, expect(first.channel.get(), MessageKind::hello));
  NX_TRY(sys::Child child, sys::Child::adopt(hello.sender), "take over the process");
  NX_CHECK(first.child.wait());
  SeccompListener listener{.path = {}, .metadata = {}, .state = record.state, .pid = child.pid()};
  if (spec.linux_ && spec.linux_->seccomp) {
    listener.path = spec.linux_->seccomp->listener_path;
    listener.metadata = spec.linux_->seccomp->listener_metadata;
  }
  NX_TRY(UniqueFd terminal, converse(first.channel.get(), child.pid(), request, listener));
  return ExecStarted{std::move(child), std::move(terminal)};
}

}  // namespace nexcage::backends::lxc
