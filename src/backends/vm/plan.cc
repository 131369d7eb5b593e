#include "nexcage/backends/vm/plan.h"

#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "nexcage/backends/lxc/plan.h"
#include "nexcage/backends/own.h"
#include "nexcage/backends/vm/fields.h"
#include "nexcage/base/text.h"

namespace nexcage::backends::vm {
namespace {

/// Of a start beside its hooks; with one that has no limit there is none.
constexpr int kStartSeconds = 10;

void plan_sysctl(const oci::Spec& spec, sys::plan::Plan& out) {
  for (const auto& [name, value] : spec.linux_->sysctl) {
    std::string file = name;
    // Where a part has dots, the two are exchanged (sysctl(8)).
    for (char& c : file) c = c == '.' ? '/' : c == '/' ? '.' : c;
    out.operations.emplace_back(sys::plan::SetSysctl{.file = file, .value = value});
  }
}

oci::State state_of(const CreateJob& job) {
  oci::State state;
  state.oci_version = job.spec.oci_version;
  state.id = job.id;
  state.status = oci::Status::created;
  state.bundle = job.bundle;
  state.annotations = job.spec.annotations;
  return state;
}

/// What happens between the mounts and the user's program.
Result<> plan_finish(const CreateJob& job, MachinePlan& out) {
  auto& operations = out.plan.operations;
  const oci::Spec& spec = job.spec;
  operations.emplace_back(sys::plan::MakeDirectory{.target = spec.process->cwd});
  if (spec.process->terminal) {
    const oci::Box size = spec.process->console_size.value_or(oci::Box{});
    operations.emplace_back(
        sys::plan::OpenTerminal{.bind_console = true, .rows = size.height, .columns = size.width});
  }
  plan_sysctl(spec, out.plan);
  for (const std::string& path : spec.linux_->masked_paths)
    operations.emplace_back(sys::plan::MaskPath{.target = path});
  for (const std::string& path : spec.linux_->readonly_paths)
    operations.emplace_back(sys::plan::ReadonlyPath{.target = path});
  operations.emplace_back(sys::plan::Pivot{});
  const auto [propagation, recursive] = lxc::propagation_of(spec.linux_->rootfs_propagation);
  operations.emplace_back(sys::plan::FinishRoot{
      .readonly = spec.root->readonly, .propagation = propagation, .recursive = recursive});
  NX_TRY(auto limits, plan_rlimits(*spec.process));
  operations.insert(operations.end(), limits.begin(), limits.end());
  operations.emplace_back(sys::plan::CheckProgram{});
  operations.emplace_back(sys::plan::WaitForStart{});
  if (spec.hooks.start_container.empty()) return {};
  operations.emplace_back(
      lxc::plan_hooks(HookPoint::start_container, spec.hooks.start_container, state_of(job)));
  // They run between the word to start and its answer.
  for (const oci::Hook& hook : spec.hooks.start_container) {
    if (!hook.timeout) out.launch.start_seconds = 0;
    if (out.launch.start_seconds > 0) out.launch.start_seconds += *hook.timeout;
  }
  return {};
}

/// As lxc::plan_devices() plans them for a container without a user namespace.
Result<> plan_guest_devices(const CreateJob& job, MachinePlan& out) {
  lxc::CreatePlan devices;
  NX_CHECK(lxc::plan_devices(job, devices));
  auto& operations = devices.plan.operations;
  out.plan.operations.insert(out.plan.operations.end(), operations.begin(), operations.end());
  return {};
}

}  // namespace

Result<> settle_board(MachinePlan& plan) {
  auto& machine = plan.launch.machine;
  const std::size_t devices = 1 + machine.disks.size() + plan.launch.shares.size() + 1;
  if (devices > qemu::kMaxPciDevices)
    return fail(Errc::Unsupported, "mounts: the machine would have " + std::to_string(devices) +
                                       " devices, and has places for " +
                                       std::to_string(qemu::kMaxPciDevices));
  if (devices > qemu::kMaxDevices) machine.board = qemu::Board::q35;
  return {};
}

Result<sys::plan::Process> plan_guest_process(const oci::Process& process,
                                              const oci::Linux* linux_section) {
  // The guest's kernel knows them all; its bounding set decides.
  constexpr std::uint64_t kAll = (std::uint64_t{1} << 41) - 1;
  lxc::HostFacts facts;
  facts.capabilities = kAll;
  return lxc::plan_process({.process = process, .linux_section = linux_section, .preserve_fds = 0},
                           facts);
}

Result<std::vector<sys::plan::Operation>> plan_rlimits(const oci::Process& process) {
  NX_TRY(const auto limits, lxc::plan_limits(process));
  std::vector<sys::plan::Operation> out;
  out.reserve(limits.size());
  for (const lxc::ResourceLimit& limit : limits)
    out.emplace_back(sys::plan::SetRlimit{.resource = static_cast<std::uint32_t>(limit.resource),
                                          .soft = limit.soft,
                                          .hard = limit.hard});
  return out;
}

std::string share(MachinePlan& out, host::Share wanted) {
  for (const host::Share& one : out.launch.shares)
    if (one.source == wanted.source && one.read_only == wanted.read_only &&
        one.recursive == wanted.recursive && one.file == wanted.file)
      return one.tag;
  wanted.tag = "s" + std::to_string(out.launch.shares.size());
  out.launch.shares.push_back(std::move(wanted));
  return out.launch.shares.back().tag;
}

std::string add_disk(MachinePlan& out, DiskFile file, bool read_only, bool qcow2) {
  std::string serial = "d" + std::to_string(out.disks.size());
  struct stat info{};
  const bool device =
      ::fstat(file.owned ? file.owned.get() : file.fd, &info) == 0 && S_ISBLK(info.st_mode);
  out.launch.machine.disks.push_back(
      {.serial = serial, .qcow2 = qcow2, .read_only = read_only, .device = device});
  out.disks.push_back(std::move(file));
  return serial;
}

Result<> plan_inside(const CreateJob& job, MachinePlan& out) {
  auto& operations = out.plan.operations;
  if (!job.spec.hostname.empty())
    operations.emplace_back(sys::plan::SetHostname{.name = job.spec.hostname});
  if (!job.spec.domainname.empty())
    operations.emplace_back(sys::plan::SetDomainname{.name = job.spec.domainname});
  if (job.keyring == Keyring::fresh) operations.emplace_back(sys::plan::NewKeyring{});
  NX_CHECK(plan_mounts(job, out));
  NX_CHECK(plan_guest_devices(job, out));
  NX_CHECK(plan_finish(job, out));
  NX_TRY(out.plan.process, plan_guest_process(*job.spec.process, &*job.spec.linux_));
  if (job.spec.linux_->resources)
    out.prepare.pids_max = static_cast<std::uint64_t>(
        std::max<std::int64_t>(job.spec.linux_->resources->pids_limit.value_or(0), 0));
  return {};
}

Result<MachinePlan> plan_machine(const CreateJob& job, const Setup& setup,
                                 const sys::CgroupLayout& layout) {
  NX_CHECK(check_complete(job));
  if (job.preserve_fds > 0)
    return fail(Errc::Unsupported, "--preserve-fds: descriptors do not reach a virtual machine");
  NX_CHECK(check_fields(job.spec));
  MachinePlan out;
  out.launch.start_seconds = kStartSeconds;
  out.launch.state_dir = job.state_dir;
  out.launch.terminal = job.spec.process->terminal;
  if (job.spec.process->oom_score_adj) out.launch.oom_score = *job.spec.process->oom_score_adj;
  const oci::Box size = job.spec.process->console_size.value_or(oci::Box{});
  out.launch.rows = static_cast<std::uint16_t>(size.height);
  out.launch.columns = static_cast<std::uint16_t>(size.width);
  NX_TRY(out.cgroup, lxc::cgroup_path(job.spec, job.id, setup.cgroup_parent));
  NX_CHECK(plan_limits(job, layout, out));
  NX_CHECK(plan_hardware(job, setup, out));
  NX_CHECK(plan_root(job, out));
  NX_CHECK(plan_inside(job, out));
  plan_throttles(job.spec, out);
  NX_CHECK(find_virtiofsd(out));
  NX_CHECK(settle_board(out));
  out.user_network = job.user_network;
  out.network_namespace = job.spec.linux_->find(oci::NamespaceType::network)->path;
  return out;
}

std::string describe(const MachinePlan& plan) {
  std::string out = join(qemu::plan_argv(plan.launch.qemu, plan.launch.machine), " ") + "\n";
  out += "cgroup = " + plan.cgroup + "\n";
  for (const CgroupLimit& limit : plan.cgroup_limits)
    out += (limit.v2 ? "cgroup2." : "cgroup.") + limit.file + " = " + limit.value + "\n";
  for (const host::Share& share : plan.launch.shares)
    out += "share " + share.tag + " = " + share.source + (share.read_only ? " (read-only)" : "") +
           "\n";
  return out + sys::plan::describe(plan.plan);
}

}  // namespace nexcage::backends::vm
