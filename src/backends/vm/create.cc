#include "nexcage/backends/vm/create.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <ctime>
#include <utility>

#include "nexcage/backends/cgroup_lock.h"
#include "nexcage/backends/lxc/channel.h"
#include "nexcage/backends/own.h"
#include "nexcage/backends/vm/network.h"
#include "nexcage/base/testpoint.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/netns.h"
#include "nexcage/vm/boot/kernel.h"
#include "nexcage/vm/host/accelerator.h"
#include "nexcage/vm/host/board.h"
#include "nexcage/vm/host/control.h"
#include "nexcage/vm/qemu/clock.h"

namespace nexcage::backends::vm {
namespace {

class VmConfigured : public Configured {
 public:
  VmConfigured(CreateJob job, Setup setup, sys::CgroupLayout layout, MachinePlan plan)
      : job_(std::move(job)),
        setup_(std::move(setup)),
        layout_(std::move(layout)),
        plan_(std::move(plan)) {}

  std::string describe() const override { return vm::describe(plan_); }
  Result<Created> create(UndoLog& undo, const RunHooks& hooks) override;

 private:
  struct Running {
    sys::Child helper;
    UniqueFd channel;
  };

  Result<> announce(UndoLog& undo) const;
  Result<> choose_hardware();
  Result<> lock_disks() const;
  Result<Running> spawn_helper(int cgroup, const GuestNetwork& network);
  Result<Running> start_in_cgroup(UndoLog& undo, const GuestNetwork& network);
  Result<> converse(int channel, UniqueFd& kept_terminal) const;

  CreateJob job_;
  Setup setup_;
  sys::CgroupLayout layout_;
  MachinePlan plan_;
};

Result<> VmConfigured::announce(UndoLog& undo) const {
  // What the undo log names it also empties: somebody else's processes must not be in it.
  const sys::Cgroup cgroup(layout_, plan_.cgroup);
  NX_TRY(const std::vector<pid_t> others, cgroup.processes());
  if (!others.empty())
    return fail(Errc::InvalidConfig,
                "linux.cgroupsPath: processes are in cgroup " + plan_.cgroup + " already");
  NX_CHECK(undo.will_create_cgroup(plan_.cgroup));
  NX_CHECK(undo.will_create_dir(job_.state_dir + "/shares"));
  NX_CHECK(undo.will_create_file(job_.state_dir + "/" + host::kReasonFile));
  return undo.will_create_file(job_.state_dir + "/" + host::kControlSocket);
}

/// What depends on this host. The accelerator is tried on the board.
Result<> VmConfigured::choose_hardware() {
  qemu::Machine& machine = plan_.launch.machine;
  const std::string remembered = setup_.root + "/@vm";
  machine.board = host::choose_board(
      {.wanted = machine.board, .qemu = plan_.launch.qemu, .remembered = remembered});
  NX_TRY(machine.accelerator, host::choose_accelerator({.wanted = setup_.vm.accelerator,
                                                        .init = setup_.libexec + "/init",
                                                        .remembered = remembered,
                                                        .initrd = plan_.initrd,
                                                        .launch = plan_.launch}));
  if (machine.accelerator == qemu::Accelerator::tcg) machine.tsc_khz = qemu::measure_tsc_khz();
  return {};
}

/// Locks of flock(2) belong to the description, which QEMU gets: they end with the machine. Disks
/// of the storage are locked already, in the same way.
Result<> VmConfigured::lock_disks() const {
  for (std::size_t i = 0; i < plan_.disks.size(); ++i) {
    const DiskFile& file = plan_.disks[i];
    const int mode = plan_.launch.machine.disks[i].read_only ? LOCK_SH : LOCK_EX;
    if (::flock(file.owned ? file.owned.get() : file.fd, mode | LOCK_NB) == 0) continue;
    if (errno != EWOULDBLOCK) return fail_errno("lock a disk of the machine");
    return fail(Errc::InvalidState, plan_.launch.machine.disks[i].serial +
                                        ": a disk of the machine is in use by somebody else");
  }
  return {};
}

/// `cgroup`: its directory in version 2, -1 without.
Result<VmConfigured::Running> VmConfigured::spawn_helper(int cgroup, const GuestNetwork& network) {
  NX_TRY(const UniqueFd initrd, nexcage::vm::boot::assemble_initrd(
                                    plan_.initrd, setup_.libexec + "/init", plan_.file_systems));
  NX_CHECK(read_copies(plan_), "mounts");
  plan_.prepare.interfaces = network.interfaces;
  plan_.prepare.seconds = static_cast<std::int64_t>(::time(nullptr));
  plan_.prepare.plan = sys::plan::encode(plan_.plan);
  NX_TRY(sys::SocketPair channel, sys::socket_pair());
  NX_TRY(const UniqueFd prepare, sys::sealed_data(protocol::encode(plan_.prepare), "vm-prepare"));

  sys::Command command;
  int next = kFirstFd;
  const auto pass = [&](int fd) {
    command.fds.emplace_back(fd, next);
    return next++;
  };
  qemu::Machine& machine = plan_.launch.machine;
  machine.initrd = pass(initrd.get());
  for (std::size_t i = 0; i < plan_.disks.size(); ++i) {
    const DiskFile& file = plan_.disks[i];
    machine.disks[i].fd = pass(file.owned ? file.owned.get() : file.fd);
  }
  for (const GuestNetwork::Tap& tap : network.taps)
    machine.nics.push_back({.tap = pass(tap.fd.get()), .mac = tap.mac});
  if (network.user_mac) machine.nics.push_back({.tap = -1, .mac = *network.user_mac});
  for (const GuestNetwork::Forward& one : network.forwards) {
    plan_.launch.forwards.push_back({.listener = pass(one.listener.get()), .outer = one.outer});
    machine.nics.back().forwards.push_back({.outer = one.outer, .inner = one.inner});
  }
  const sys::Cgroup group(layout_, plan_.cgroup);
  plan_.launch.cgroup_files = group.v1_thread_files();
  NX_TRY(const UniqueFd launch, sys::sealed_data(host::to_text(plan_.launch), "vm-launch"));
  const int launch_number = pass(launch.get()), prepare_number = pass(prepare.get());
  const int channel_number = pass(channel.second.get());
  command.argv = {setup_.libexec + "/vm", "run", std::to_string(launch_number),
                  std::to_string(prepare_number), std::to_string(channel_number)};
  command.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  command.cwd = "/";
  command.cgroup = cgroup;
  command.new_session = true;
  // Whoever looks for the container's network, by its pid, must not find the host's.
  const int given = network.network_namespace.get();
  NX_TRY(const sys::NetworkVisit visit,
         given >= 0 ? sys::NetworkVisit::enter(given) : sys::NetworkVisit::make());
  if (!network.forwards.empty()) NX_CHECK(sys::set_up_link("lo", {}));
  NX_TRY(sys::Child helper, sys::Child::spawn(command), "start the machine's helper");
  return Running{std::move(helper), std::move(channel.first)};
}

Result<VmConfigured::Running> VmConfigured::start_in_cgroup(UndoLog& undo,
                                                            const GuestNetwork& network) {
  // As in lxc/create.cc: the common parent must not go while cgroups come into being.
  NX_TRY(UniqueFd creating, lock_cgroups(setup_.root, LOCK_SH));
  const sys::Cgroup cgroup(layout_, plan_.cgroup);
  NX_CHECK(cgroup.create());
  NX_CHECK(write_cgroup_limits(cgroup, plan_.cgroup_limits));
  NX_TRY(UniqueFd unified, cgroup.create_v2());
  NX_TRY(Running running, spawn_helper(unified.get(), network));
  testpoint("vm-helper-started");
  NX_TRY(const auto stat, sys::read_stat(running.helper.pid()));
  if (stat)
    NX_CHECK(undo.will_run_process({.pid = running.helper.pid(), .start_time = stat->start_time}));
  if (unified && !running.helper.in_cgroup()) NX_CHECK(cgroup.add_process(running.helper.pid()));
  return running;
}

Result<> VmConfigured::converse(int channel, UniqueFd& kept_terminal) const {
  for (;;) {
    NX_TRY(Word word, next_word(channel));
    if (word.ready) return {};
    if (word.terminal)
      NX_CHECK(lxc::deliver_terminal(std::move(word.terminal), job_.console_socket, kept_terminal));
  }
}

Result<Created> VmConfigured::create(UndoLog& undo, const RunHooks& hooks) {
  NX_CHECK(lock_disks());
  NX_CHECK(choose_hardware());
  // First, to be undone last: when nothing has its tap devices open any more.
  NX_TRY(const GuestNetwork network, plan_.user_network != nullptr
                                         ? publish_guest(*plan_.user_network)
                                         : connect_guest(plan_.network_namespace, undo));
  NX_CHECK(announce(undo));
  NX_TRY(Running running, start_in_cgroup(undo, network));
  Created created;
  NX_TRY(const auto stat, sys::read_stat(running.helper.pid()));
  if (stat) created.init = {.pid = running.helper.pid(), .start_time = stat->start_time};
  NX_CHECK(converse(running.channel.get(), created.pty_master));
  testpoint("vm-prepared");
  NX_CHECK(run_runtime_hooks(job_, created.init.pid, hooks));
  json::Object data;
  data.set("cgroup", plan_.cgroup);
  data.set("accelerator", qemu::accelerator_name(plan_.launch.machine.accelerator));
  data.set("board", qemu::board_name(plan_.launch.machine.board));
  json::Array redirections;
  for (const sys::Redirection& one : network.redirections)
    redirections.emplace_back(sys::to_text(one));
  data.set("redirections", json::Value(std::move(redirections)));
  created.backend_data = json::Value(std::move(data));
  // It stays, and whoever is its parent now learns how it ends.
  (void)running.helper.release();
  return created;
}

}  // namespace

Result<Word> next_word(int channel) {
  NX_TRY(sys::Message message, sys::receive_message(channel));
  if (message.data.empty()) return fail(Errc::RuntimeError, "the machine's helper has ended");
  const auto kind = static_cast<sys::plan::MessageKind>(message.data[0]);
  if (kind == sys::plan::MessageKind::failed) {
    NX_TRY(const auto failure, sys::plan::decode_failure(std::string_view(message.data).substr(1)));
    return fail(host::error_of(failure));
  }
  Word word;
  if (kind == sys::plan::MessageKind::ready)
    word.ready = true;
  else if (kind == sys::plan::MessageKind::terminal && message.fds.size() == 1)
    word.terminal = std::move(message.fds[0]);
  else
    return fail(Errc::RuntimeError, "unexpected message of the machine's helper");
  return word;
}

std::unique_ptr<Configured> make_configured(const CreateJob& job, Setup setup,
                                            sys::CgroupLayout layout, MachinePlan plan) {
  return std::make_unique<VmConfigured>(job, std::move(setup), std::move(layout), std::move(plan));
}

}  // namespace nexcage::backends::vm
