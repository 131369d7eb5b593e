#include "nexcage/backends/lxc/create.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>

#include "nexcage/backends/lxc/channel.h"
#include "nexcage/backends/lxc/helper_log.h"
#include "nexcage/backends/lxc/systemd_run.h"
#include "nexcage/backends/own.h"
#include "nexcage/base/testpoint.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/id_map.h"
#include "nexcage/sys/link.h"

namespace nexcage::backends::lxc {
namespace {

using sys::plan::MessageKind;

std::vector<sys::IdRange> ranges_of(const std::vector<oci::IdMapping>& maps) {
  std::vector<sys::IdRange> out;
  out.reserve(maps.size());
  for (const oci::IdMapping& map : maps)
    out.push_back({.inside = map.container_id, .outside = map.host_id, .count = map.size});
  return out;
}

Result<> apply_id_map(int mount, const IdMap& map) {
  UniqueFd space;
  if (map.namespace_path.empty()) {
    NX_TRY(space, sys::make_user_namespace(ranges_of(map.uids), ranges_of(map.gids)));
  } else {
    NX_TRY(space, sys::open_at(AT_FDCWD, map.namespace_path, O_RDONLY | O_NOCTTY));
  }
  return sys::map_ids(mount, space.get(), map.recursive ? sys::Recursive::yes : sys::Recursive::no);
}

/// Detached, with its attributes; see Source.
Result<UniqueFd> open_source(const Source& source) {
  const std::string what = "mount source " + source.path;
  const auto recursive = source.recursive ? sys::Recursive::yes : sys::Recursive::no;
  NX_TRY(UniqueFd mount, sys::clone_mount(AT_FDCWD, source.path, recursive), what);
  NX_CHECK(
      sys::set_attributes(mount.get(), source.rec_set, source.rec_clear, 0, sys::Recursive::yes),
      what);
  NX_CHECK(sys::set_attributes(mount.get(), source.set, source.clear, 0, sys::Recursive::no), what);
  const auto deep = source.propagation_recursive ? sys::Recursive::yes : sys::Recursive::no;
  NX_CHECK(sys::set_attributes(mount.get(), 0, 0, source.propagation, deep), what);
  if (source.id_map) NX_CHECK(apply_id_map(mount.get(), *source.id_map), what);
  return mount;
}

/// The path must be a namespace of this kind: setns would take any, and join another one.
Result<> check_namespace(const NamespacePath& wanted) {
  const std::string what = "linux.namespaces: " + wanted.path;
  NX_TRY(UniqueFd fd, sys::open_at(AT_FDCWD, wanted.path, O_RDONLY | O_NOCTTY), what);
  if (::ioctl(fd.get(), NS_GET_NSTYPE) != wanted.flag)
    return fail(Errc::InvalidConfig, what + " is not a namespace of this type");
  return {};
}

std::string config_text(const std::vector<ConfigLine>& lines) {
  std::string text;
  for (const auto& [key, value] : lines) text += key + "=" + value + "\n";
  return text;
}

class LxcConfigured : public Configured {
 public:
  LxcConfigured(CreateJob job, Setup setup, HostFacts facts, CreatePlan plan)
      : job_(std::move(job)),
        setup_(std::move(setup)),
        facts_(std::move(facts)),
        plan_(std::move(plan)) {}

  std::string describe() const override { return lxc::describe(plan_); }

  Result<Created> create(UndoLog& undo, const RunHooks& hooks) override {
    auto created = try_create(undo, hooks);
    if (created) return created;
    // What liblxc wrote tells more than that its process ended.
    return fail(add_helper_log(std::move(created).error(), job_.state_dir + "/lxc.log"));
  }

 private:
  struct Running {
    sys::Child helper;
    UniqueFd channel;
  };

  Result<Created> try_create(UndoLog& undo, const RunHooks& hooks);
  Result<> announce(UndoLog& undo) const;
  Result<Running> spawn_helper(int cgroup) const;
  Result<Running> start_in_cgroup() const;
  Result<> enter_unit(pid_t helper) const;
  Result<> move_devices(pid_t init);
  Result<> send_all(int channel, UniqueFd listener) const;
  Result<> converse(int channel, pid_t init, const RunHooks& hooks, UniqueFd& kept_terminal) const;
  Result<> dismiss_helper(sys::Child& helper) const;

  CreateJob job_;  // the caller's is a temporary; what it refers to lives as long as the flow
  Setup setup_;
  HostFacts facts_;
  CreatePlan plan_;
};

/// Everything that outlives a sudden death of this process, before it is made.
Result<> LxcConfigured::announce(UndoLog& undo) const {
  NX_CHECK(undo.will_create_file(lock_file(plan_.lxc_name)));
  // What the undo log names it also empties: somebody else's processes must not be in it.
  const sys::Cgroup cgroup(facts_.cgroups, plan_.cgroup);
  NX_TRY(const std::vector<pid_t> others, cgroup.processes());
  if (!others.empty())
    return fail(Errc::InvalidConfig,
                "linux.cgroupsPath: processes are in cgroup " + plan_.cgroup + " already");
  NX_CHECK(plan_.unit ? undo.will_create_unit(undo_of(setup_.libexec, *plan_.unit))
                      : undo.will_create_cgroup(plan_.cgroup));
  return undo.will_create_file(job_.state_dir + "/" + kStartSocket);
}

/// `cgroup`: its directory in version 2, -1 without.
Result<LxcConfigured::Running> LxcConfigured::spawn_helper(int cgroup) const {
  NX_TRY(UniqueFd init, sealed_init(setup_.libexec));
  NX_TRY(UniqueFd config, sys::sealed_data(config_text(plan_.config), "lxc-config"));
  NX_TRY(sys::SocketPair channel, sys::socket_pair());
  const int first = 3 + job_.preserve_fds;
  sys::Command command;
  command.argv = {setup_.libexec + "/lxc", plan_.lxc_name, std::to_string(first),
                  std::to_string(first + 1), std::to_string(first + 2)};
  // Without /usr/bin: newuidmap must not be found, root maps ids itself (and needs no line
  // in /etc/subuid then).
  command.env = {"PATH=/usr/sbin:/sbin"};
  command.fds = {{config.get(), first}, {channel.second.get(), first + 1}, {init.get(), first + 2}};
  if (job_.preserve_fds > 0) {
    command.keep_from = 3;
    command.keep_count = job_.preserve_fds;
  }
  command.cgroup = cgroup;
  command.die_with_parent = true;
  NX_TRY(sys::Child helper, sys::Child::spawn(command), "start the helper for liblxc");
  return Running{std::move(helper), std::move(channel.first)};
}

/// systemd makes the cgroup and moves the helper there. All limits are set now, before there is
/// anything in the container.
Result<> LxcConfigured::enter_unit(pid_t helper) const {
  NX_TRY(std::vector<std::string> properties, plan_unit_limits(plan_.cgroup_limits));
  NX_TRY(const std::string devices, sys::read_file(AT_FDCWD, "/proc/devices"));
  const auto allowed = plan_unit_devices(plan_.device_rules, devices);
  if (!allowed && facts_.cgroups.mode() != sys::CgroupMode::v2)
    // Version 1 has one list, which systemd writes anew when it likes.
    return fail(Errc::Unsupported,
                "linux.resources.devices: rules that systemd cannot keep: exceptions to what is "
                "allowed");
  if (allowed) properties.insert(properties.end(), allowed->begin(), allowed->end());
  return start_unit(setup_.libexec, *plan_.unit, helper, properties);
}

/// The helper is born in the container's cgroup of version 2, enters those of version 1, made while
/// it loads liblxc, by itself, and so does what it clones. A process that is moved by another waits
/// milliseconds for the kernel each time (docs/adr/0008).
Result<LxcConfigured::Running> LxcConfigured::start_in_cgroup() const {
  // Held shared while cgroups come into being; remove() takes the parent away only when it gets the
  // lock for itself.
  NX_TRY(UniqueFd creating, lock_cgroups(setup_.root, LOCK_SH));
  const sys::Cgroup cgroup(facts_.cgroups, plan_.cgroup);
  UniqueFd unified;
  if (!plan_.unit) {
    NX_TRY(unified, cgroup.create_v2());
  }
  NX_TRY(Running running, spawn_helper(unified.get()));
  testpoint("lxc-helper-started");
  if (plan_.unit) NX_CHECK(enter_unit(running.helper.pid()));
  NX_CHECK(cgroup.create());
  std::vector<std::string> files = cgroup.v1_thread_files();
  if (unified && !running.helper.in_cgroup()) files.push_back(cgroup.dir("") + "/cgroup.procs");
  NX_CHECK(send(running.channel.get(), MessageKind::proceed, join(files, "\n")));
  return running;
}

/// Into the network namespace of the first process, which then sets them up under their new names.
/// When the namespace goes, the kernel gives physical devices back (network_namespaces(7)).
Result<> LxcConfigured::move_devices(pid_t init) {
  if (plan_.net_devices.empty()) return {};
  const std::string path = "/proc/" + std::to_string(init) + "/ns/net";
  NX_TRY(UniqueFd space, sys::open_at(AT_FDCWD, path, O_RDONLY));
  for (auto& operation : plan_.plan.operations) {
    auto* link = std::get_if<sys::plan::SetUpLink>(&operation);
    if (link == nullptr) continue;
    const auto moved = std::ranges::find_if(
        plan_.net_devices, [&](const auto& names) { return names.second == link->name; });
    NX_TRY(const auto addresses, sys::link_addresses(moved->first), "linux.netDevices");
    for (const sys::LinkAddress& address : addresses)
      link->addresses.push_back({.family = address.family,
                                 .prefix = address.prefix,
                                 .local = address.local,
                                 .broadcast = address.broadcast});
    NX_CHECK(sys::move_link(moved->first, space.get(), link->name), "linux.netDevices");
  }
  return {};
}

Result<> LxcConfigured::send_all(int channel, UniqueFd listener) const {
  std::vector<UniqueFd> fds;
  for (const Source& source : plan_.sources) {
    NX_TRY(UniqueFd mount, open_source(source));
    fds.push_back(std::move(mount));
  }
  fds.push_back(std::move(listener));
  return send_plan(channel, plan_.plan, fds);
}

Result<> LxcConfigured::converse(int channel, pid_t init, const RunHooks& hooks,
                                 UniqueFd& kept_terminal) const {
  for (;;) {
    NX_TRY(Incoming message, receive(channel));
    if (message.kind == MessageKind::ready) return apply_limits(init, plan_.limits);
    if (message.kind == MessageKind::mounted) {
      NX_CHECK(run_runtime_hooks(job_, init, hooks));
      testpoint("lxc-before-pivot");
      NX_CHECK(send(channel, MessageKind::proceed));
    } else if (message.kind == MessageKind::terminal && message.fds.size() == 1) {
      NX_CHECK(deliver_terminal(std::move(message.fds[0]), job_.console_socket, kept_terminal));
    } else {
      return fail(Errc::LXCError, "unexpected message of the first process");
    }
  }
}

/// The helper has ended by itself, or does now; what liblxc made for it goes.
Result<> LxcConfigured::dismiss_helper(sys::Child& helper) const {
  helper.kill_and_wait();
  NX_CHECK(sys::remove_file(AT_FDCWD, job_.state_dir + "/lxc.log"));
  return sys::remove_file(AT_FDCWD, lock_file(plan_.lxc_name));
}

Result<Created> LxcConfigured::try_create(UndoLog& undo, const RunHooks& hooks) {
  for (const NamespacePath& path : plan_.joined) NX_CHECK(check_namespace(path));
  NX_CHECK(announce(undo));
  NX_TRY(UniqueFd state_dir, sys::open_at(AT_FDCWD, job_.state_dir, O_RDONLY | O_DIRECTORY));
  NX_TRY(UniqueFd listener, sys::listen_unix(state_dir.get(), kStartSocket, SOCK_SEQPACKET, 0600));
  NX_TRY(Running running, start_in_cgroup());
  NX_TRY(Incoming hello, expect(running.channel.get(), MessageKind::hello));
  // liblxc has done its part. It ends while the first process works.
  NX_CHECK(sys::send_signal(running.helper.pidfd(), SIGKILL));
  Created created;
  NX_TRY(auto stat, sys::read_stat(hello.sender));
  if (!stat) return fail(Errc::LXCError, "the container's first process ended");
  created.init = {.pid = hello.sender, .start_time = stat->start_time};
  NX_CHECK(undo.will_run_process(created.init));
  testpoint("lxc-init-started");
  NX_CHECK(move_devices(created.init.pid));
  // Before it makes nodes: a part of the rules denies what the whole of them allows.
  NX_CHECK(sys::apply_device_rules(sys::Cgroup(facts_.cgroups, plan_.cgroup), facts_.cgroups,
                                   plan_.device_rules),
           "linux.resources.devices");
  NX_CHECK(send_all(running.channel.get(), std::move(listener)));
  NX_CHECK(write_cgroup_limits(sys::Cgroup(facts_.cgroups, plan_.cgroup), plan_.cgroup_limits));
  NX_CHECK(converse(running.channel.get(), created.init.pid, hooks, created.pty_master));
  NX_CHECK(dismiss_helper(running.helper));
  json::Object data;
  data.set("cgroup", plan_.cgroup);
  data.set("lxc_name", plan_.lxc_name);
  if (plan_.unit) data.set("unit", plan_.unit->name);
  if (const auto& seccomp = job_.spec.linux_->seccomp; seccomp && !seccomp->listener_path.empty()) {
    data.set("seccomp_listener", seccomp->listener_path);
    data.set("seccomp_metadata", seccomp->listener_metadata);
  }
  created.backend_data = json::Value(std::move(data));
  return created;
}

}  // namespace

std::unique_ptr<Configured> make_configured(const CreateJob& job, Setup setup, HostFacts facts,
                                            CreatePlan plan) {
  return std::make_unique<LxcConfigured>(job, std::move(setup), std::move(facts), std::move(plan));
}

Result<UniqueFd> sealed_init(const std::string& libexec) {
  NX_TRY(UniqueFd file, sys::open_at(AT_FDCWD, libexec + "/init", O_RDONLY),
         "open the first process's program");
  return sys::sealed_copy(file.get(), "nexcage-init");
}

std::string lock_file(const std::string& lxc_name) { return "/run/lxc/lock/." + lxc_name; }

Result<> apply_limits(pid_t pid, const std::vector<ResourceLimit>& limits) {
  for (const ResourceLimit& limit : limits) {
    rlimit value{.rlim_cur = limit.soft, .rlim_max = limit.hard};
    if (::prlimit(pid, static_cast<__rlimit_resource>(limit.resource), &value, nullptr) < 0)
      return fail_errno("process.rlimits: set limit " + std::to_string(limit.resource));
  }
  return {};
}

}  // namespace nexcage::backends::lxc
