#include "nexcage/backends/lxc/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include "nexcage/backends/lxc/plan_testing.h"
#include "result_matchers.h"

namespace nexcage::backends::lxc {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

CreateJob job_for(const oci::Spec& spec) {
  CreateJob job{.id = "web1",
                .spec = spec,
                .bundle = "/b",
                .rootfs = "/b/rootfs",
                .state_dir = "/run/nexcage/web1",
                .console_socket = std::nullopt,
                .restore = {},
                .config_file = {},
                .pid_file = {}};
  return job;
}

Result<CreatePlan> plan_of(const oci::Spec& spec, const HostFacts& facts = facts_v1()) {
  return plan_create(job_for(spec), facts, "nexcage");
}

std::string text_of(const oci::Spec& spec, const HostFacts& facts = facts_v1()) {
  auto plan = plan_of(spec, facts);
  EXPECT_OK(plan);
  return plan ? describe(*plan) : "";
}

std::string mount_text(const oci::Mount& mount, const HostFacts& facts = facts_v1()) {
  oci::Spec spec = small_spec();
  spec.mounts = {mount};
  return text_of(spec, facts);
}

oci::Mount make_mount(std::string destination, std::string type, std::string source,
                      std::vector<std::string> options) {
  return {.destination = std::move(destination),
          .type = std::move(type),
          .source = std::move(source),
          .options = std::move(options),
          .uid_mappings = {},
          .gid_mappings = {}};
}

TEST(CreatePlan, SmallestSpecWordForWord) {
  EXPECT_EQ(text_of(small_spec()),
            R"(lxc.log.file = /run/nexcage/web1/lxc.log
lxc.log.level = ERROR
lxc.apparmor.profile = unconfined
lxc.autodev = 0
lxc.tty.max = 0
lxc.pty.max = 0
lxc.console.path = none
lxc.keyring.session = 0
lxc.monitor.signal.pdeath = 0
lxc.namespace.clone = mnt pid
lxc.net.0.type = none
cgroup = nexcage/web1
fd 0 = /b/rootfs (recursive)
fd 1 = start.sock
new_keyring
enter_rootfs path=/b/rootfs
refuse_symlink target=/dev
device target=/dev/null mode=8630 major=1 minor=3
device target=/dev/zero mode=8630 major=1 minor=5
device target=/dev/full mode=8630 major=1 minor=7
device target=/dev/random mode=8630 major=1 minor=8
device target=/dev/urandom mode=8630 major=1 minor=9
device target=/dev/tty mode=8630 major=5
symlink target=/dev/fd content=/proc/self/fd
symlink target=/dev/stdin content=/proc/self/fd/0
symlink target=/dev/stdout content=/proc/self/fd/1
symlink target=/dev/stderr content=/proc/self/fd/2
symlink target=/dev/core content=/proc/kcore
symlink target=/dev/ptmx content=pts/ptmx
make_directory target=/
wait_for_runtime
pivot
finish_root
check_program
wait_for_start fd=1
process
  args=[/bin/true]
  cwd=/
)");
}

TEST(CreatePlan, NamespacesNewAndByPath) {
  oci::Spec spec = small_spec();
  spec.linux_->namespaces = {{.type = oci::NamespaceType::network, .path = "/run/netns/a"},
                             {.type = oci::NamespaceType::mount, .path = ""},
                             {.type = oci::NamespaceType::uts, .path = ""},
                             {.type = oci::NamespaceType::user, .path = ""}};
  spec.linux_->uid_mappings = {{.container_id = 0, .host_id = 1000, .size = 10}};
  spec.linux_->gid_mappings = {{.container_id = 0, .host_id = 2000, .size = 20}};
  spec.hostname = "h";
  EXPECT_THAT(text_of(spec),
              AllOf(HasSubstr("lxc.namespace.clone = user mnt uts\n"),
                    HasSubstr("lxc.namespace.share.net = /run/netns/a\n"),
                    HasSubstr("lxc.net.0.type = none\n"), HasSubstr("lxc.idmap = u 0 1000 10\n"),
                    HasSubstr("lxc.idmap = g 0 2000 20\n"), HasSubstr("lxc.uts.name = h\n")));
}

TEST(CreatePlan, ANewNetworkIsEmpty) {
  oci::Spec spec = small_spec();
  spec.linux_->namespaces.push_back({.type = oci::NamespaceType::network, .path = ""});
  EXPECT_THAT(text_of(spec), HasSubstr("lxc.net.0.type = empty\nlxc.net.0.flags = up\n"));
}

TEST(CreatePlan, RefusesNamespaceContradictions) {
  oci::Spec spec = small_spec();
  spec.hostname = "h";
  EXPECT_ERROR(plan_of(spec), Errc::InvalidConfig, HasSubstr("hostname"));
  spec = small_spec();
  spec.linux_->namespaces.erase(spec.linux_->namespaces.begin());
  EXPECT_ERROR(plan_of(spec), Errc::Unsupported, HasSubstr("mount namespace"));
  spec = small_spec();
  spec.linux_->namespaces.push_back({.type = oci::NamespaceType::user, .path = ""});
  EXPECT_ERROR(plan_of(spec), Errc::InvalidConfig, HasSubstr("uidMappings"));
  spec = small_spec();
  spec.linux_->uid_mappings = {{.container_id = 0, .host_id = 1, .size = 1}};
  EXPECT_ERROR(plan_of(spec), Errc::InvalidConfig, HasSubstr("without a user namespace"));
  spec = small_spec();
  spec.linux_->time_offsets["monotonic"] = {.secs = 1, .nanosecs = 0};
  EXPECT_ERROR(plan_of(spec), Errc::InvalidConfig, HasSubstr("time namespace"));
}

TEST(CreatePlan, ClockOffsets) {
  oci::Spec spec = small_spec();
  spec.linux_->namespaces.push_back({.type = oci::NamespaceType::time, .path = ""});
  spec.linux_->time_offsets["monotonic"] = {.secs = -5, .nanosecs = 0};
  spec.linux_->time_offsets["boottime"] = {.secs = 0, .nanosecs = 7};
  EXPECT_THAT(text_of(spec), AllOf(HasSubstr("time_namespace monotonic=-5 boottime_ns=7\n"),
                                   Not(HasSubstr("clone = time"))));
  spec.linux_->time_offsets["boottime"] = {.secs = 1, .nanosecs = 7};
  EXPECT_THAT(text_of(spec), HasSubstr("time_namespace monotonic=-5 boottime=1 boottime_ns=7\n"));
}

TEST(CreatePlan, MountLabelsNeedSelinux) {
  oci::Spec spec = small_spec();
  spec.linux_->mount_label = "system_u:object_r:container_file_t:s0";
  spec.mounts = {make_mount("/run", "tmpfs", "tmpfs", {"mode=755"}),
                 make_mount("/proc", "proc", "proc", {})};
  EXPECT_ERROR(plan_of(spec), Errc::Unsupported, HasSubstr("linux.mountLabel: SELinux is not"));
  HostFacts facts = facts_v1();
  facts.selinux = true;
  auto plan = plan_create(job_for(spec), facts, "nexcage");
  ASSERT_OK(plan);
  EXPECT_THAT(describe(*plan),
              AllOf(HasSubstr("options=[mode=755,context=system_u:object_r:container_file_t:s0]"),
                    HasSubstr("target=/proc type=proc source=proc plain_target=yes\n")));
}

TEST(CreatePlan, CgroupPaths) {
  oci::Spec spec = small_spec();
  spec.linux_->cgroups_path = "/a//b/c";
  EXPECT_EQ(plan_of(spec)->cgroup, "a/b/c");
  spec.linux_->cgroups_path = "x.slice:y:z";
  EXPECT_ERROR(plan_of(spec), Errc::InvalidConfig, HasSubstr("systemd"));
  backends::CreateJob job = job_for(spec);
  job.cgroup_manager = CgroupManager::systemd;
  EXPECT_EQ(plan_create(job, facts_v2(), "nexcage").value().cgroup, "x.slice/y-z.scope");
  spec.linux_->cgroups_path = "/a/../../b";
  EXPECT_ERROR(plan_of(spec), Errc::InvalidConfig, HasSubstr(".."));
  spec.linux_->cgroups_path = "/";
  EXPECT_ERROR(plan_of(spec), Errc::InvalidConfig, HasSubstr("root cgroup"));
}

TEST(CreatePlan, MountsOfFilesystems) {
  EXPECT_THAT(
      mount_text(make_mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"})),
      HasSubstr("mount target=/proc type=proc source=proc attributes=0xe plain_target=yes\n"));
  EXPECT_THAT(
      mount_text(make_mount("/t", "tmpfs", "tmpfs", {"size=64k", "mode=1777", "ro", "tmpcopyup"})),
      HasSubstr("mount target=/t type=tmpfs source=tmpfs options=[size=64k,mode=1777] "
                "attributes=0x1 copy_up=yes\n"));
  EXPECT_THAT(
      mount_text(make_mount("/o", "overlay", "overlay", {"lowerdir=/a:/b", "sync"})),
      HasSubstr("mount target=/o type=overlay source=overlay options=[lowerdir=/a:/b,sync]\n"));
}

TEST(CreatePlan, Binds) {
  EXPECT_THAT(mount_text(make_mount("/d", "bind", "/src", {"rbind", "ro"})),
              AllOf(HasSubstr("fd 1 = /src (recursive)\n"), HasSubstr("attach fd=1 target=/d\n"),
                    HasSubstr("wait_for_start fd=2")));
  EXPECT_THAT(mount_text(make_mount("/d", "", "sub/dir", {"bind"})),
              HasSubstr("fd 1 = /b/sub/dir\n"));
  oci::Spec spec = small_spec();
  spec.mounts = {make_mount("/d", "bind", "/s", {"bind", "rro", "shared"})};
  auto plan = plan_of(spec);
  ASSERT_OK(plan);
  EXPECT_EQ(plan->sources.at(1).rec_set, std::uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_EQ(plan->sources.at(1).propagation, std::uint64_t{MS_SHARED});
  spec.mounts = {make_mount("/d", "bind", "/s", {"bind"})};
  EXPECT_EQ(plan_of(spec)->sources.at(1).propagation, std::uint64_t{MS_SLAVE});
  spec.linux_->rootfs_propagation = "rshared";
  EXPECT_EQ(plan_of(spec)->sources.at(1).propagation, std::uint64_t{0});
}

TEST(CreatePlan, CgroupMounts) {
  EXPECT_THAT(mount_text(make_mount("/cg", "cgroup", "cgroup", {"ro"})),
              AllOf(HasSubstr("mount target=/cg type=tmpfs"),
                    HasSubstr("fd 1 = /sys/fs/cgroup/memory/nexcage/web1\n"),
                    HasSubstr("attach fd=1 target=/cg/memory\n"),
                    HasSubstr("change_mount target=/cg set=0x1\n")));
  EXPECT_THAT(mount_text(make_mount("/cg", "cgroup", "cgroup", {"ro"}), facts_v2()),
              AllOf(HasSubstr("fd 1 = /sys/fs/cgroup/nexcage/web1\n"),
                    HasSubstr("attach fd=1 target=/cg\n"), Not(HasSubstr("tmpfs"))));
}

TEST(CreatePlan, RefusesMountsItCannotDo) {
  auto error_of = [](oci::Mount mount) {
    oci::Spec spec = small_spec();
    spec.mounts = {std::move(mount)};
    auto plan = plan_of(spec);
    return plan ? std::string()
                : std::string(errc_name(plan.error().code())) + " " + plan.error().message();
  };
  EXPECT_THAT(error_of(make_mount("/d", "bind", "/s", {"bind", "idmap"})),
              HasSubstr("InvalidConfig"));
  EXPECT_THAT(error_of(make_mount("/d", "tmpfs", "/s", {"idmap"})), HasSubstr("Unsupported"));
  EXPECT_THAT(error_of(make_mount("/d", "tmpfs", "/s", {"iversion"})),
              HasSubstr("option iversion"));
  EXPECT_EQ(error_of(make_mount("/d", "bind", "/s", {"bind", "mode=755"})), "");
  EXPECT_THAT(error_of(make_mount("/", "tmpfs", "t", {})), HasSubstr("Unsupported"));
  EXPECT_THAT(error_of(make_mount("/d", "", "t", {})), HasSubstr("no type"));
}

TEST(CreatePlan, ABoundDevIsLeftAlone) {
  EXPECT_THAT(mount_text(make_mount("/dev", "bind", "/dev", {"rbind"})),
              AllOf(Not(HasSubstr("device target")), Not(HasSubstr("\nsymlink target=/dev"))));
}

TEST(CreatePlan, InAUserNamespaceDevicesAreBound) {
  oci::Spec spec = small_spec();
  spec.linux_->namespaces.push_back({.type = oci::NamespaceType::user, .path = "/proc/1/ns/user"});
  EXPECT_THAT(text_of(spec),
              AllOf(HasSubstr("fd 1 = /dev/null\n"), HasSubstr("attach fd=1 target=/dev/null\n"),
                    HasSubstr("peer_uid=65534"), Not(HasSubstr("device target"))));
}

TEST(CreatePlan, SysctlOnlyOfOwnNamespaces) {
  oci::Spec spec = small_spec();
  spec.linux_->sysctl["net.ipv4.conf.eth0/1.forwarding"] = "1";
  EXPECT_ERROR(plan_of(spec), Errc::InvalidConfig, HasSubstr("without a network namespace"));
  spec.linux_->namespaces.push_back({.type = oci::NamespaceType::network, .path = ""});
  EXPECT_THAT(text_of(spec), HasSubstr("sysctl file=net/ipv4/conf/eth0.1/forwarding value=1\n"));
  spec.linux_->sysctl["kernel.panic"] = "1";
  EXPECT_ERROR(plan_of(spec), Errc::InvalidConfig, HasSubstr("would change the host"));
}

TEST(CreatePlan, TerminalNeedsATaker) {
  oci::Spec spec = small_spec();
  spec.process->terminal = true;
  spec.process->console_size = oci::Box{.height = 24, .width = 80};
  EXPECT_ERROR(plan_of(spec), Errc::InvalidConfig, HasSubstr("terminal"));
  CreateJob job = job_for(spec);
  job.console_socket = "/tmp/s";
  auto plan = plan_create(job, facts_v1(), "nexcage");
  ASSERT_OK(plan);
  EXPECT_THAT(describe(*plan), HasSubstr("terminal bind_console=yes rows=24 columns=80\n"));
}

TEST(CreatePlan, HooksCarryTheState) {
  oci::Spec spec = small_spec();
  spec.annotations["a"] = "\"pid\":0";
  spec.hooks.create_container = {{.path = "/h", .args = {"h"}, .env = {"A=b"}, .timeout = 3}};
  auto plan = plan_of(spec);
  ASSERT_OK(plan);
  for (const auto& operation : plan->plan.operations) {
    const auto* hooks = std::get_if<sys::plan::RunHooks>(&operation);
    if (hooks == nullptr) continue;
    EXPECT_THAT(hooks->state_before_pid,
                AllOf(HasSubstr("\"status\":\"created\""), ::testing::EndsWith("\"pid\":")));
    auto state = json::parse(hooks->state_before_pid + "17" + hooks->state_after_pid);
    ASSERT_OK(state);
    EXPECT_EQ(state->find("pid")->as_i64(), 17);
    EXPECT_EQ(*state->find("annotations")->find("a")->if_string(), "\"pid\":0");
    EXPECT_EQ(hooks->hooks.at(0).timeout, 3u);
    return;
  }
  FAIL() << "no hooks in the plan";
}

}  // namespace
}  // namespace nexcage::backends::lxc
