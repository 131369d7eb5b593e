// The lxc backend against the real kernel and liblxc: what a container sees and what stays outside.
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <set>

#include "container_fixture.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/pty.h"

namespace nexcage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Lxc : public testing::ContainerTest {};

TEST_F(Lxc, OnlyStandardDescriptorsReachTheProcess) {
  auto text = output_of("ls /proc/self/fd | sort -n | head -3; ls /proc/self/fd | wc -l");
  ASSERT_OK(text);
  EXPECT_EQ(*text, "0\n1\n2\n4\n");  // the fourth is ls's own
}

TEST_F(Lxc, PreservedDescriptorsReachTheProcess) {
  UniqueFd file(::open("/etc/hostname", O_RDONLY));
  const int theirs = ::dup2(file.get(), 3);
  ASSERT_EQ(theirs, 3);
  spec.process->args = {"sh", "-c", "test -r /proc/self/fd/3 && test ! -e /proc/self/fd/4"};
  auto wanted = job();
  wanted.preserve_fds = 1;
  ASSERT_OK(create(wanted));
  ASSERT_OK(backend->start(record));
  EXPECT_EQ(*wait_for_init(), 0);
  ::close(3);
}

TEST_F(Lxc, InitIsPidOneWithItsOwnNamespaces) {
  spec.hostname = "inside";
  spec.domainname = "example";
  auto text = output_of(
      "echo $$; hostname; cat /proc/sys/kernel/domainname; cat /proc/net/dev | wc -l; cat "
      "/proc/1/cgroup | grep memory");
  ASSERT_OK(text);
  EXPECT_EQ(text->substr(0, 19), "1\ninside\nexample\n3\n");
  EXPECT_THAT(*text, HasSubstr("memory:/\n"));  // its own cgroup namespace
}

TEST_F(Lxc, DevicesAndLinksOfTheSpec) {
  auto text = output_of(
      "for d in null zero full random urandom tty; do stat -c '%n %t:%T %a' /dev/$d; done;"
      "for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done; echo x >/dev/null && echo "
      "written");
  ASSERT_OK(text);
  EXPECT_EQ(
      *text,
      "/dev/null 1:3 666\n/dev/zero 1:5 666\n/dev/full 1:7 666\n/dev/random 1:8 666\n/dev/urandom "
      "1:9 666\n"
      "/dev/tty 5:0 "
      "666\n/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\nwritten\n");
}

TEST_F(Lxc, MakesTheDevicesOfTheSpec) {
  spec.linux_->devices.push_back({.path = "/dev/loopish",
                                  .type = 'b',
                                  .major = 7,
                                  .minor = 0,
                                  .file_mode = 0640,
                                  .uid = 5,
                                  .gid = 6});
  spec.linux_->devices.push_back({.path = "/dev/pipe",
                                  .type = 'p',
                                  .major = 0,
                                  .minor = 0,
                                  .file_mode = 0600,
                                  .uid = 0,
                                  .gid = 0});
  auto text = output_of("stat -c '%F %t:%T %a %u:%g' /dev/loopish /dev/pipe");
  ASSERT_OK(text);
  EXPECT_EQ(*text, "block special file 7:0 640 5:6\nfifo 0:0 600 0:0\n");
}

TEST_F(Lxc, LimitsAreInTheCgroupFiles) {
  spec.linux_->resources->memory = oci::MemoryLimits{};
  spec.linux_->resources->memory->limit = 64 << 20;
  spec.linux_->resources->pids_limit = 33;
  spec.linux_->resources->cpu = oci::CpuLimits{};
  spec.linux_->resources->cpu->shares = 512;
  ASSERT_OK(create());
  auto layout = sys::detect_cgroups();
  ASSERT_OK(layout);
  sys::Cgroup cgroup(*layout, parent + "/" + id);
  const bool memory2 = layout->with("memory")->v2();
  EXPECT_EQ(*cgroup.read("memory", memory2 ? "memory.max" : "memory.limit_in_bytes"), "67108864");
  EXPECT_EQ(*cgroup.read("pids", "pids.max"), "33");
  if (!layout->with("cpu")->v2()) {
    EXPECT_EQ(*cgroup.read("cpu", "cpu.shares"), "512");
  }
}

TEST_F(Lxc, DevicesOutsideTheListAreDenied) {
  spec.linux_->resources->devices = {
      {.allow = false, .type = 'a', .major = {}, .minor = {}, .access = "rwm"}};
  spec.linux_->devices.push_back({.path = "/dev/kmsg",
                                  .type = 'c',
                                  .major = 1,
                                  .minor = 11,
                                  .file_mode = 0666,
                                  .uid = 0,
                                  .gid = 0});
  auto text = output_of("head -c1 /dev/kmsg; head -c2 /dev/zero | wc -c");
  ASSERT_OK(text);
  EXPECT_THAT(*text, AllOf(HasSubstr("Operation not permitted"), HasSubstr("2\n")));
}

TEST_F(Lxc, MaskedAndReadonlyPaths) {
  spec.linux_->masked_paths = {"/root", "/etc/passwd", "/nowhere"};
  spec.linux_->readonly_paths = {"/proc/sys", "/nowhere"};
  auto text = output_of(
      "cat /etc/passwd | wc -c; ls /root | wc -l; "
      "stat -c '%t:%T' /etc/passwd; touch /root/x; echo 1 > /proc/sys/net/ipv4/ip_forward");
  ASSERT_OK(text);
  EXPECT_THAT(*text, HasSubstr("0\n0\n1:3\n"));
  EXPECT_THAT(*text, HasSubstr("touch: /root/x: Read-only file system"));
  EXPECT_THAT(*text,
              HasSubstr("can't create /proc/sys/net/ipv4/ip_forward: Read-only file system"));
}

TEST_F(Lxc, SysctlOfANamespace) {
  spec.linux_->sysctl["net.ipv4.ip_forward"] = "1";
  spec.linux_->sysctl["kernel.msgmax"] = "8193";
  auto text = output_of("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax");
  ASSERT_OK(text);
  EXPECT_EQ(*text, "1\n8193\n");
}

TEST_F(Lxc, CapabilitiesUserGroupsUmask) {
  oci::Capabilities caps;
  caps.bounding = {"CAP_KILL", "CAP_CHOWN"};
  caps.permitted = {"CAP_KILL"};
  caps.effective = {"CAP_KILL"};
  caps.inheritable = {"CAP_KILL"};
  caps.ambient = {"CAP_KILL"};
  spec.process->capabilities = caps;
  spec.process->user = {
      .uid = 1000, .gid = 1001, .umask = 077, .additional_gids = {7, 8}, .username = ""};
  auto text = output_of(
      "grep -E '^(Cap|NoNewPrivs|Groups|Umask)' /proc/self/status; id -u; id -g; echo $HOME");
  ASSERT_OK(text);
  EXPECT_THAT(
      *text,
      HasSubstr("CapInh:\t0000000000000020\nCapPrm:\t0000000000000020\nCapEff:\t0000000000000020\n"
                "CapBnd:\t0000000000000021\nCapAmb:\t0000000000000020\nNoNewPrivs:\t0\n"));
  EXPECT_THAT(*text, HasSubstr("Umask:\t0077\n"));
  EXPECT_THAT(*text, HasSubstr("Groups:\t7 8 \n"));
  EXPECT_THAT(*text, HasSubstr("1000\n1001\n/home/www\n"));
}

TEST_F(Lxc, ExecHasNoInheritableCapabilities) {
  ASSERT_OK(create_and_start());
  auto request =
      exec_request({"sh", "-c", "grep -q 'CapInh:.*0000000000000000' /proc/self/status"});
  auto started = backend->exec(record, spec, request);
  ASSERT_OK(started);
  EXPECT_EQ(sys::exit_code(*started->child.wait()), 0);
}

TEST_F(Lxc, Rlimits) {
  spec.process->rlimits = {{.type = "RLIMIT_NOFILE", .soft = 100, .hard = 200},
                           {.type = "RLIMIT_CORE", .soft = 0, .hard = 0}};
  auto text = output_of("grep -E 'open files|core' /proc/self/limits");
  ASSERT_OK(text);
  EXPECT_THAT(*text, HasSubstr("Max core file size        0                    0 "));
  EXPECT_THAT(*text, HasSubstr("Max open files            100                  200 "));
}

TEST_F(Lxc, OomScoreAdjustment) {
  spec.process->oom_score_adj = 500;
  auto text = output_of("cat /proc/self/oom_score_adj");
  ASSERT_OK(text);
  EXPECT_EQ(*text, "500\n");
}

TEST_F(Lxc, ReadOnlyRootKeepsItsMountsWritable) {
  spec.root->readonly = true;
  auto text =
      output_of("touch /x; touch /tmp/x; touch /dev/shm/x && echo shm; touch /out/x && echo out");
  ASSERT_OK(text);
  EXPECT_THAT(*text, AllOf(HasSubstr("touch: /x: Read-only"), HasSubstr("touch: /tmp/x: Read-only"),
                           HasSubstr("shm\nout\n")));
}

TEST_F(Lxc, CwdIsMadeAndEntered) {
  spec.process->cwd = "/srv/app";
  auto text = output_of("pwd");
  ASSERT_OK(text);
  EXPECT_EQ(*text, "/srv/app\n");
}

TEST_F(Lxc, CwdThroughADescriptorOfTheRuntimeDoesNotLeadOut) {
  for (int fd : {3, 7, 8, 9}) {
    spec.process->cwd = "/proc/self/fd/" + std::to_string(fd);
    spec.process->args = {"sh", "-c", "ls ../../../../etc/hostname"};
    auto created = create();
    if (created) {
      ASSERT_OK(backend->start(record));
      EXPECT_NE(*wait_for_init(), 0) << fd;
      ASSERT_OK(backend->remove(record));
    }
    ASSERT_OK(undo.undo());
  }
}

TEST_F(Lxc, SeccompDenies) {
  spec.linux_->seccomp = oci::Seccomp{};
  spec.linux_->seccomp->default_action = "SCMP_ACT_ALLOW";
  spec.linux_->seccomp->syscalls.push_back(
      {.names = {"mkdir", "mkdirat"}, .action = "SCMP_ACT_ERRNO", .errno_ret = 95, .args = {}});
  auto text = output_of("mkdir /tmp/x; grep Seccomp: /proc/self/status");
  ASSERT_OK(text);
  EXPECT_THAT(*text, AllOf(HasSubstr("Operation not supported"), HasSubstr("Seccomp:\t2\n")));
}

TEST_F(Lxc, SeccompWithoutPrivilegesAsUserAndForExec) {
  spec.linux_->seccomp = oci::Seccomp{};
  spec.linux_->seccomp->default_action = "SCMP_ACT_ALLOW";
  spec.linux_->seccomp->syscalls.push_back(
      {.names = {"mkdir", "mkdirat"}, .action = "SCMP_ACT_ERRNO", .errno_ret = {}, .args = {}});
  spec.process->user.uid = 1000;
  ASSERT_OK(create_and_start());
  auto started = backend->exec(record, spec, exec_request({"sh", "-c", "mkdir /tmp/x || exit 9"}));
  ASSERT_OK(started);
  EXPECT_EQ(sys::exit_code(*started->child.wait()), 9);
}

TEST_F(Lxc, CopyUpKeepsWhatTheImageHas) {
  spec.mounts.push_back({.destination = "/etc",
                         .type = "tmpfs",
                         .source = "tmpfs",
                         .options = {"tmpcopyup", "ro"},
                         .uid_mappings = {},
                         .gid_mappings = {}});
  auto text = output_of("grep -c www /etc/passwd; touch /etc/x");
  ASSERT_OK(text);
  EXPECT_THAT(*text, AllOf(HasSubstr("1\n"), HasSubstr("Read-only")));
}

TEST_F(Lxc, BindOfAFileMakesItsPlace) {
  std::ofstream(scratch + "/hosts") << "content\n";
  spec.mounts.push_back({.destination = "/new/place/hosts",
                         .type = "bind",
                         .source = scratch + "/hosts",
                         .options = {"bind", "ro"},
                         .uid_mappings = {},
                         .gid_mappings = {}});
  auto text = output_of("cat /new/place/hosts; echo x >> /new/place/hosts");
  ASSERT_OK(text);
  EXPECT_THAT(*text, AllOf(HasSubstr("content\n"), HasSubstr("Read-only file system")));
}

TEST_F(Lxc, MountTargetsAreResolvedInTheRoot) {
  std::filesystem::create_symlink("/../../../../../../tmp", rootfs + "/link");
  spec.mounts.push_back({.destination = "/link/inner",
                         .type = "tmpfs",
                         .source = "tmpfs",
                         .options = {},
                         .uid_mappings = {},
                         .gid_mappings = {}});
  auto text = output_of("grep ' /tmp/inner ' /proc/self/mountinfo | wc -l");
  ASSERT_OK(text);
  EXPECT_EQ(*text, "1\n");
  EXPECT_TRUE(std::filesystem::exists(rootfs + "/tmp/inner"));
}

TEST_F(Lxc, DevAsASymbolicLinkIsRefused) {
  std::filesystem::remove(rootfs + "/dev");
  std::filesystem::create_symlink("/tmp", rootfs + "/dev");
  EXPECT_ERROR(create(), Errc::InvalidRootfs, HasSubstr("/dev of the image is a symbolic link"));
  ASSERT_OK(undo.undo());
}

TEST_F(Lxc, ProcAsASymbolicLinkIsRefused) {
  std::filesystem::remove(rootfs + "/proc");
  std::filesystem::create_symlink("/tmp", rootfs + "/proc");
  EXPECT_ERROR(create(), Errc::InvalidRootfs, HasSubstr("/proc of the image is a symbolic link"));
  ASSERT_OK(undo.undo());
}

TEST_F(Lxc, CgroupMountShowsTheContainersOwn) {
  auto text = output_of(
      "ls /sys/fs/cgroup | grep -c memory; cat /sys/fs/cgroup/memory/cgroup.procs | head -1; touch "
      "/sys/fs/cgroup/x");
  ASSERT_OK(text);
  if (sys::detect_cgroups()->mode() == sys::CgroupMode::v2) GTEST_SKIP() << "cgroup v1 only";
  EXPECT_THAT(*text, HasSubstr("1\n1\n"));
  EXPECT_THAT(*text, HasSubstr("Read-only"));
}

}  // namespace
}  // namespace nexcage
