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
using ::testing::Not;

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

TEST_F(Lxc, NamespaceByPath) {
  spec.process->args = {"sleep", "100"};
  ASSERT_OK(create_and_start());
  const backends::Record first = record;
  struct stat ours{};
  ASSERT_EQ(::stat(("/proc/" + std::to_string(first.init.pid) + "/ns/net").c_str(), &ours), 0);
  id += "b";
  for (oci::Namespace& ns : spec.linux_->namespaces)
    if (ns.type == oci::NamespaceType::network || ns.type == oci::NamespaceType::pid)
      ns.path = "/proc/" + std::to_string(first.init.pid) + "/ns/" +
                (ns.type == oci::NamespaceType::pid ? "pid" : "net");
  ASSERT_OK(create_and_start());
  struct stat theirs{};
  ASSERT_EQ(::stat(("/proc/" + std::to_string(record.init.pid) + "/ns/net").c_str(), &theirs), 0);
  EXPECT_EQ(ours.st_ino, theirs.st_ino);
  ASSERT_OK(backend->remove(record));
  record = first;
}

TEST_F(Lxc, ANamespaceOfAnotherTypeIsRefused) {
  for (oci::Namespace& ns : spec.linux_->namespaces)
    if (ns.type == oci::NamespaceType::network) ns.path = "/proc/self/ns/uts";
  EXPECT_ERROR(create(), Errc::InvalidConfig, HasSubstr("not a namespace of this type"));
}

/// The caller prepares what a user namespace is to own; here by changing the owner.
void give_to(const std::string& tree, uid_t owner) {
  ASSERT_EQ(::lchown(tree.c_str(), owner, owner), 0);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(tree))
    ASSERT_EQ(::lchown(entry.path().c_str(), owner, owner), 0) << entry.path();
}

TEST_F(Lxc, UserNamespace) {
  give_to(rootfs, 100000);
  spec.linux_->namespaces.push_back({.type = oci::NamespaceType::user, .path = ""});
  spec.linux_->uid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
  spec.linux_->gid_mappings = spec.linux_->uid_mappings;
  ASSERT_EQ(::chmod(scratch.c_str(), 0755), 0);
  auto text = output_of(
      "cat /proc/self/uid_map; id -u; stat -c %t:%T /dev/null; echo x >/dev/null && echo ok");
  ASSERT_OK(text);
  EXPECT_THAT(*text, HasSubstr("0     100000      65536\n0\n1:3\nok\n"));
  struct stat info{};
  ASSERT_EQ(::stat((scratch + "/out/text").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 100000u);
}

TEST_F(Lxc, UserNamespaceBelowDirectoriesThatOnlyRootMayEnter) {
  give_to(rootfs, 100000);
  spec.linux_->namespaces.push_back({.type = oci::NamespaceType::user, .path = ""});
  spec.linux_->uid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
  spec.linux_->gid_mappings = spec.linux_->uid_mappings;
  ASSERT_OK(create_and_start());
  auto started = backend->exec(record, spec, exec_request({"sh", "-c", "test $(id -u) = 0"}));
  ASSERT_OK(started);
  EXPECT_EQ(sys::exit_code(*started->child.wait()), 0);
}

TEST_F(Lxc, TerminalGoesToTheCaller) {
  spec.process->terminal = true;
  spec.process->console_size = oci::Box{.height = 33, .width = 77};
  spec.process->args = {"sh", "-c", "tty; stty size; stat -c %t /dev/console; exit 5"};
  auto created = create();
  ASSERT_OK(created);
  ASSERT_TRUE(created->pty_master);
  ASSERT_OK(backend->start(record));
  std::string text;
  char buffer[256];
  for (ssize_t n; (n = ::read(created->pty_master.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  EXPECT_THAT(text, HasSubstr("/dev/pts/0"));
  EXPECT_THAT(text, HasSubstr("33 77"));
  EXPECT_THAT(text, HasSubstr("88"));  // major of a pty slave: /dev/console is bound to it
  EXPECT_EQ(*wait_for_init(), 5);
}

TEST_F(Lxc, TerminalGoesToTheConsoleSocket) {
  UniqueFd dir(::open(scratch.c_str(), O_RDONLY | O_DIRECTORY));
  auto listener = sys::listen_unix(dir.get(), "console.sock", SOCK_STREAM, 0600);
  ASSERT_OK(listener);
  spec.process->terminal = true;
  auto wanted = job();
  wanted.keep_master = false;
  wanted.console_socket = scratch + "/console.sock";
  ASSERT_OK(create(wanted));
  UniqueFd peer(::accept(listener->get(), nullptr, nullptr));
  auto message = sys::receive_message(peer.get());
  ASSERT_OK(message);
  ASSERT_EQ(message->fds.size(), 1u);
  EXPECT_TRUE(::isatty(message->fds[0].get()));
}

TEST_F(Lxc, ExecWithATerminal) {
  ASSERT_OK(create_and_start());
  auto request = exec_request({"sh", "-c", "tty; exit 3"});
  request.process.terminal = true;
  request.keep_master = true;
  auto started = backend->exec(record, spec, request);
  ASSERT_OK(started);
  ASSERT_TRUE(started->pty_master);
  std::string text;
  char buffer[256];
  for (ssize_t n; (n = ::read(started->pty_master.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  EXPECT_THAT(text, HasSubstr("/dev/pts/"));
  EXPECT_EQ(sys::exit_code(*started->child.wait()), 3);
}

TEST_F(Lxc, ExecJoinsCgroupsAndNamespaces) {
  ASSERT_OK(create_and_start());
  auto started = backend->exec(record, spec, exec_request({"sh", "-c", "sleep 100"}));
  ASSERT_OK(started);
  const auto processes = *backend->processes(record);
  EXPECT_THAT(processes, ::testing::Contains(started->child.pid()));
  for (const char* ns : {"pid", "mnt", "net", "ipc", "uts", "cgroup"}) {
    auto link = [&](pid_t pid) {
      return *sys::read_link(AT_FDCWD, "/proc/" + std::to_string(pid) + "/ns/" + ns);
    };
    EXPECT_EQ(link(started->child.pid()), link(record.init.pid)) << ns;
  }
}

TEST_F(Lxc, ProgramOfInitIsASealedCopy) {
  ASSERT_OK(create());
  const std::string exe =
      *sys::read_link(AT_FDCWD, "/proc/" + std::to_string(record.init.pid) + "/exe");
  EXPECT_THAT(exe, HasSubstr("/memfd:nexcage-init"));
  UniqueFd fd(::open(("/proc/" + std::to_string(record.init.pid) + "/exe").c_str(), O_RDWR));
  EXPECT_FALSE(fd) << "must not be writable";
}

TEST_F(Lxc, HooksInsideRunInOrderInTheRightNamespaces) {
  std::ofstream(scratch + "/hook.sh")
      << "#!/bin/sh\n"
         "echo \"$1 $(readlink /proc/self/ns/mnt) $MARK $(cat)\" >> "
      << scratch << "/out/hooks\n";
  ASSERT_EQ(::chmod((scratch + "/hook.sh").c_str(), 0755), 0);
  oci::Hook hook;
  hook.path = scratch + "/hook.sh";
  hook.args = {"hook.sh", "createContainer"};
  hook.env = {"MARK=yes", "PATH=/bin:/usr/bin"};
  spec.hooks.create_container = {hook};
  oci::Hook inside;
  inside.path = "/bin/sh";
  inside.args = {"sh", "-c", "echo startContainer $(cat) >> /out/hooks; id -u >> /out/hooks"};
  inside.env = {"PATH=/bin"};
  spec.hooks.start_container = {inside};
  spec.process->user.uid = 1000;
  auto text = output_of("cat /out/hooks");
  ASSERT_OK(text);
  EXPECT_THAT(
      *text,
      ::testing::MatchesRegex(
          "createContainer mnt:.* yes \\{.*\"status\":\"creating\".*\"pid\":1.*\nstartContainer "
          "\\{.*\"status\":\"created\".*\n0\n"));
  const std::string ours = *sys::read_link(AT_FDCWD, "/proc/self/ns/mnt");
  EXPECT_THAT(*text, Not(HasSubstr(ours)));
}

TEST_F(Lxc, AHookThatHangsIsKilled) {
  oci::Hook hook;
  hook.path = "/bin/sleep";
  hook.args = {"sleep", "100"};
  hook.timeout = 1;
  spec.hooks.create_container = {hook};
  EXPECT_ERROR(create(), Errc::HookError,
               AllOf(HasSubstr("createContainer hook #0"), HasSubstr("timed out after 1 s")));
  ASSERT_OK(undo.undo());
}

TEST_F(Lxc, AFailingHookInsideSaysWhy) {
  oci::Hook hook;
  hook.path = "/bin/sh";
  hook.args = {"sh", "-c", "echo because >&2; exit 4"};
  spec.hooks.create_container = {hook};
  EXPECT_ERROR(create(), Errc::HookError, HasSubstr("exit status 4: because"));
  ASSERT_OK(undo.undo());
}

TEST_F(Lxc, AFailingStartHookIsReportedByStart) {
  oci::Hook hook;
  hook.path = "/bin/sh";
  hook.args = {"sh", "-c", "exit 4"};
  spec.hooks.start_container = {hook};
  ASSERT_OK(create());
  EXPECT_ERROR(backend->start(record), Errc::HookError, HasSubstr("startContainer hook #0"));
}

TEST_F(Lxc, NoPivot) {
  auto wanted = job();
  wanted.pivot = backends::Pivot::move_mount;
  spec.process->args = {"sh", "-c", "test -x /bin/busybox && test ! -e /etc/hostname"};
  ASSERT_OK(create(wanted));
  ASSERT_OK(backend->start(record));
  EXPECT_EQ(*wait_for_init(), 0);
}

std::string directories_of_cgroups(const std::string& word) {
  std::string found;
  const sys::CgroupLayout layout = *sys::detect_cgroups();
  for (const auto& hierarchy : layout.hierarchies)
    for (const auto& entry : std::filesystem::directory_iterator(hierarchy.mount_point))
      if (entry.path().filename().string().find(word) != std::string::npos)
        found += entry.path().string() + " ";
  return found;
}

TEST_F(Lxc, NothingIsLeftAfterRemove) {
  spec.process->args = {"true"};
  const auto mounts = sys::read_mountinfo()->size();
  ASSERT_OK(run());
  ASSERT_OK(backend->remove(record));
  EXPECT_EQ(directories_of_cgroups("nxtest"), "");
  EXPECT_EQ(directories_of_cgroups("nexcage-"), "");
  EXPECT_EQ(sys::read_mountinfo()->size(), mounts);
  EXPECT_TRUE(std::filesystem::is_empty(scratch + "/state"));
  EXPECT_TRUE(!std::filesystem::exists("/run/lxc/lock") ||
              std::filesystem::is_empty("/run/lxc/lock"));
}

TEST_F(Lxc, KillingTheCreatorLeavesNothingOnceUndone) {
  // The creator is stopped inside the createRuntime hook, where cgroups, helper and init exist.
  int pipe_fds[2];
  ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
  pid_t creator = ::fork();
  ASSERT_GE(creator, 0);
  if (creator == 0) {
    hooks = [&](backends::HookPoint, const oci::State& state) -> Result<> {
      (void)::write(pipe_fds[1], &state.pid, sizeof state.pid);
      ::pause();
      return {};
    };
    (void)create();
    ::_exit(1);
  }
  pid_t init = 0;
  ASSERT_EQ(::read(pipe_fds[0], &init, sizeof init), static_cast<ssize_t>(sizeof init));
  ASSERT_EQ(::kill(creator, SIGKILL), 0);
  ASSERT_EQ(::waitpid(creator, nullptr, 0), creator);
  // Helper and init end by themselves: the one by its parent's death, the other by the closed
  // channel.
  EXPECT_TRUE(testing::eventually([&] {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    return ::kill(init, 0) < 0;
  }));
  auto configured = backend->configure(job());
  ASSERT_OK(configured);
  // What the creator had announced before it died, as the log on disk would have kept it.
  const std::string text = (*configured)->describe();
  auto value = [&](const std::string& key) {
    const std::size_t at = text.find(key + " = ") + key.size() + 3;
    return text.substr(at, text.find('\n', at) - at);
  };
  ASSERT_OK(undo.will_create_cgroup(value("lxc.cgroup.dir.container")));
  ASSERT_OK(undo.will_create_cgroup(value("lxc.cgroup.dir.monitor")));
  const std::string monitor = value("lxc.cgroup.dir.monitor");
  ASSERT_OK(undo.will_create_file("/run/lxc/lock/." + monitor.substr(0, monitor.rfind('.'))));
  ASSERT_OK(undo.undo());
  EXPECT_EQ(directories_of_cgroups("nxtest"), "");
  EXPECT_EQ(directories_of_cgroups("nexcage-"), "");
  EXPECT_TRUE(std::filesystem::is_empty("/run/lxc/lock"));
}

}  // namespace
}  // namespace nexcage
