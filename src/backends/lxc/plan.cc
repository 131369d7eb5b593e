#include "nexcage/backends/lxc/plan.h"

#include <fcntl.h>
#include <sys/mount.h>

#include <array>

#include "nexcage/backends/lxc/fields.h"
#include "nexcage/backends/own.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/caps.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::lxc {
namespace {

/// A short name that differs for each state directory: liblxc's abstract socket and lock directory
/// are named after it and have limits that a container id does not have. FNV-1a.
std::string short_name(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3;
  std::array<char, 17> out{};
  (void)std::snprintf(out.data(), out.size(), "%016llx", static_cast<unsigned long long>(hash));
  return std::string("nexcage-") + out.data();
}

/// What liblxc shall not do: its own /dev, terminals, console, AppArmor profile, keyring. The first
/// process does these in the order of the runtime spec.
void plan_basics(const CreateJob& job, CreatePlan& out) {
  const std::string name = short_name(job.state_dir);
  out.lxc_name = name;
  out.config = {
      {"lxc.log.file", job.state_dir + "/lxc.log"},
      {"lxc.log.level", "ERROR"},
      {"lxc.apparmor.profile", "unconfined"},
      {"lxc.autodev", "0"},
      {"lxc.tty.max", "0"},
      {"lxc.pty.max", "0"},
      {"lxc.console.path", "none"},
      {"lxc.keyring.session", "0"},
      {"lxc.monitor.signal.pdeath", "0"},
  };
}

oci::State state_of(const CreateJob& job, oci::Status status) {
  oci::State state;
  state.oci_version = job.spec.oci_version;
  state.id = job.id;
  state.status = status;
  state.bundle = job.bundle;
  state.annotations = job.spec.annotations;
  return state;
}

/// What happens between the mounts and the user process.
Result<> plan_finish(const CreateJob& job, CreatePlan& out) {
  auto& operations = out.plan.operations;
  operations.emplace_back(sys::plan::MakeDirectory{.target = job.spec.process->cwd});
  if (job.spec.process->terminal) {
    const oci::Box size = job.spec.process->console_size.value_or(oci::Box{});
    operations.emplace_back(
        sys::plan::OpenTerminal{.bind_console = true, .rows = size.height, .columns = size.width});
  }
  operations.emplace_back(sys::plan::WaitForRuntime{});
  if (!job.spec.hooks.create_container.empty())
    operations.emplace_back(plan_hooks(HookPoint::create_container, job.spec.hooks.create_container,
                                       state_of(job, oci::Status::created)));
  NX_CHECK(plan_sysctl(job.spec, out));
  for (const std::string& path : job.spec.linux_->masked_paths)
    operations.emplace_back(sys::plan::MaskPath{.target = path});
  for (const std::string& path : job.spec.linux_->readonly_paths)
    operations.emplace_back(sys::plan::ReadonlyPath{.target = path});
  operations.emplace_back(sys::plan::Pivot{.move_mount = job.pivot == Pivot::move_mount});
  const auto [propagation, recursive] = propagation_of(job.spec.linux_->rootfs_propagation);
  operations.emplace_back(sys::plan::FinishRoot{
      .readonly = job.spec.root->readonly, .propagation = propagation, .recursive = recursive});
  operations.emplace_back(sys::plan::CheckProgram{});
  // Root of the runtime is not known in a user namespace of the container: the kernel then says
  // 65534
  // (/proc/sys/kernel/overflowuid).
  constexpr std::uint32_t kOverflowUid = 65534;
  operations.emplace_back(
      sys::plan::WaitForStart{.fd = static_cast<std::uint32_t>(out.sources.size()),
                              .peer_uid = has_user_namespace(job.spec) ? kOverflowUid : 0});
  if (!job.spec.hooks.start_container.empty())
    operations.emplace_back(plan_hooks(HookPoint::start_container, job.spec.hooks.start_container,
                                       state_of(job, oci::Status::created)));
  return {};
}

}  // namespace

bool has_user_namespace(const oci::Spec& spec) {
  return spec.linux_ && spec.linux_->find(oci::NamespaceType::user) != nullptr;
}

void attach(CreatePlan& out, Source source, std::string target) {
  out.plan.operations.emplace_back(sys::plan::AttachMount{
      .fd = static_cast<std::uint32_t>(out.sources.size()), .target = std::move(target)});
  out.sources.push_back(std::move(source));
}

std::pair<std::uint64_t, bool> propagation_of(std::string_view word) {
  const bool recursive = word.starts_with('r');
  if (recursive) word.remove_prefix(1);
  if (word == "shared") return {MS_SHARED, recursive};
  if (word == "slave") return {MS_SLAVE, recursive};
  if (word == "private") return {MS_PRIVATE, recursive};
  if (word == "unbindable") return {MS_UNBINDABLE, recursive};
  return {0, false};
}

Result<std::string> cgroup_path(const oci::Spec& spec, const std::string& id,
                                std::string_view parent) {
  std::string given = spec.linux_ ? spec.linux_->cgroups_path : "";
  if (given.empty()) return std::string(parent) + "/" + id;
  if (given.front() != '/' && split(given, ':').size() == 3)
    return fail(Error(Errc::InvalidConfig,
                      "linux.cgroupsPath " + quote(given) + ": the form of cgroups made by systemd")
                    .hint("give --systemd-cgroup"));
  for (const std::string& part : split(given, '/'))
    if (part == "..")
      return fail(Errc::InvalidConfig, "linux.cgroupsPath " + quote(given) + " contains \"..\"");
  std::string path = sys::clean_path("/" + given).substr(1);
  if (path.empty()) return fail(Errc::InvalidConfig, "linux.cgroupsPath names the root cgroup");
  return path;
}

Result<CreatePlan> plan_create(const CreateJob& job, const HostFacts& facts,
                               std::string_view cgroup_parent) {
  NX_CHECK(check_complete(job));
  NX_CHECK(check_fields(job.spec));
  CreatePlan out;
  if (job.cgroup_manager == CgroupManager::systemd) {
    NX_TRY(out.unit, parse_systemd_unit(job.spec.linux_->cgroups_path, job.id));
    out.cgroup = out.unit->cgroup;
  } else {
    NX_TRY(out.cgroup, cgroup_path(job.spec, job.id, cgroup_parent));
  }
  plan_basics(job, out);
  NX_CHECK(plan_namespaces(job, out));
  if (job.spec.linux_->resources) NX_CHECK(plan_resources(*job.spec.linux_->resources, facts, out));
  if (job.spec.process->oom_score_adj)
    out.config.emplace_back("lxc.proc.oom_score_adj",
                            std::to_string(*job.spec.process->oom_score_adj));
  if (job.keyring == Keyring::fresh) out.plan.operations.emplace_back(sys::plan::NewKeyring{});
  NX_CHECK(plan_root(job, out));
  NX_CHECK(plan_mounts(job, facts, out));
  NX_CHECK(plan_devices(job, out));
  NX_CHECK(plan_finish(job, out));
  NX_TRY(out.plan.process, plan_process({.process = *job.spec.process,
                                         .linux_section = &*job.spec.linux_,
                                         .preserve_fds = job.preserve_fds},
                                        facts));
  NX_TRY(out.limits, plan_limits(*job.spec.process));
  return out;
}

std::string describe(const CreatePlan& plan) {
  std::string out;
  for (const auto& [key, value] : plan.config) out += key + " = " + value + "\n";
  out += "cgroup = " + plan.cgroup + "\n";
  if (plan.unit) out += "unit = " + plan.unit->name + " in " + plan.unit->slice + "\n";
  for (const CgroupLimit& limit : plan.cgroup_limits)
    out += (limit.v2 ? "cgroup2." : "cgroup.") + limit.file + " = " + limit.value + "\n";
  for (const sys::DeviceRule& rule : plan.device_rules)
    out += (rule.allow ? "device allow = " : "device deny = ") + sys::to_text(rule) + "\n";
  int index = 0;
  for (const Source& source : plan.sources)
    out += "fd " + std::to_string(index++) + " = " + source.path +
           (source.recursive ? " (recursive)" : "") + "\n";
  out += "fd " + std::to_string(index) + " = start.sock\n";
  for (const ResourceLimit& limit : plan.limits)
    out += "rlimit " + std::to_string(limit.resource) + " = " + std::to_string(limit.soft) + ":" +
           std::to_string(limit.hard) + "\n";
  return out + sys::plan::describe(plan.plan);
}

Result<HostFacts> read_host_facts() {
  HostFacts facts;
  NX_TRY(facts.cgroups, sys::detect_cgroups());
  auto apparmor = sys::read_file(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", 16);
  facts.apparmor = apparmor && apparmor->starts_with('Y');
  NX_TRY(const sys::CapSets own, sys::own_capabilities());
  facts.capabilities = own.bounding & own.permitted;
  NX_TRY(facts.selinux, sys::exists(AT_FDCWD, "/sys/fs/selinux/enforce"));
  return facts;
}

}  // namespace nexcage::backends::lxc
