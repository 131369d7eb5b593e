// The lxc backend against the real kernel and liblxc: namespaces, terminals, hooks, and what is
// left behind.
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "container_fixture.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/pty.h"

namespace nexcage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class LxcLife : public testing::ContainerTest {};

TEST_F(LxcLife, NamespaceByPath) {
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

/// liblxc makes one as soon as a namespace is given by path (libexec/nexcage/lxc keeps it from
/// that).
TEST_F(LxcLife, ANamespaceByPathBringsNoCgroupNamespace) {
  const auto cgroup_namespace = [](const std::string& pid) {
    return std::filesystem::read_symlink("/proc/" + pid + "/ns/cgroup");
  };
  spec.linux_->namespaces = {{.type = oci::NamespaceType::mount, .path = ""},
                             {.type = oci::NamespaceType::pid, .path = "/proc/self/ns/pid"}};
  spec.hostname.clear();
  ASSERT_OK(create_and_start());
  EXPECT_EQ(cgroup_namespace(std::to_string(record.init.pid)), cgroup_namespace("self"));
  ASSERT_OK(backend->remove(record));
  id += "b";
  spec.linux_->namespaces.push_back({.type = oci::NamespaceType::cgroup, .path = ""});
  ASSERT_OK(create_and_start());
  EXPECT_NE(cgroup_namespace(std::to_string(record.init.pid)), cgroup_namespace("self"));
}

TEST_F(LxcLife, ANamespaceOfAnotherTypeIsRefused) {
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

/// In a chroot the kernel makes no user namespace, not even for root (user_namespaces(7), EPERM).
bool can_make_user_namespaces() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
  int status = 0;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

TEST_F(LxcLife, UserNamespace) {
  if (!can_make_user_namespaces()) GTEST_SKIP() << "needs user namespaces: not in a chroot";
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

TEST_F(LxcLife, UserNamespaceBelowDirectoriesThatOnlyRootMayEnter) {
  if (!can_make_user_namespaces()) GTEST_SKIP() << "needs user namespaces: not in a chroot";
  give_to(rootfs, 100000);
  spec.linux_->namespaces.push_back({.type = oci::NamespaceType::user, .path = ""});
  spec.linux_->uid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
  spec.linux_->gid_mappings = spec.linux_->uid_mappings;
  ASSERT_OK(create_and_start());
  auto started = backend->exec(record, spec, exec_request({"sh", "-c", "test $(id -u) = 0"}));
  ASSERT_OK(started);
  EXPECT_EQ(sys::exit_code(*started->child.wait()), 0);
}

TEST_F(LxcLife, TerminalGoesToTheCaller) {
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

TEST_F(LxcLife, TerminalGoesToTheConsoleSocket) {
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

TEST_F(LxcLife, ExecWithATerminal) {
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

TEST_F(LxcLife, ExecJoinsCgroupsAndNamespaces) {
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

TEST_F(LxcLife, ProgramOfInitIsASealedCopy) {
  ASSERT_OK(create());
  const std::string exe =
      *sys::read_link(AT_FDCWD, "/proc/" + std::to_string(record.init.pid) + "/exe");
  EXPECT_THAT(exe, HasSubstr("/memfd:nexcage-init"));
  UniqueFd fd(::open(("/proc/" + std::to_string(record.init.pid) + "/exe").c_str(), O_RDWR));
  EXPECT_FALSE(fd) << "must not be writable";
}

TEST_F(LxcLife, HooksInsideRunInOrderInTheRightNamespaces) {
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
          "createContainer mnt:.* yes \\{.*\"status\":\"created\".*\"pid\":1.*\nstartContainer "
          "\\{.*\"status\":\"created\".*\n0\n"));
  const std::string ours = *sys::read_link(AT_FDCWD, "/proc/self/ns/mnt");
  EXPECT_THAT(*text, Not(HasSubstr(ours)));
}

TEST_F(LxcLife, AHookThatHangsIsKilled) {
  oci::Hook hook;
  hook.path = "/bin/sleep";
  hook.args = {"sleep", "100"};
  hook.timeout = 1;
  spec.hooks.create_container = {hook};
  EXPECT_ERROR(create(), Errc::HookError,
               AllOf(HasSubstr("createContainer hook #0"), HasSubstr("timed out after 1 s")));
  ASSERT_OK(undo.undo());
}

TEST_F(LxcLife, AFailingHookInsideSaysWhy) {
  oci::Hook hook;
  hook.path = "/bin/sh";
  hook.args = {"sh", "-c", "echo because >&2; exit 4"};
  spec.hooks.create_container = {hook};
  EXPECT_ERROR(create(), Errc::HookError, HasSubstr("exit status 4: because"));
  ASSERT_OK(undo.undo());
}

TEST_F(LxcLife, AFailingStartHookIsReportedByStart) {
  oci::Hook hook;
  hook.path = "/bin/sh";
  hook.args = {"sh", "-c", "exit 4"};
  spec.hooks.start_container = {hook};
  ASSERT_OK(create());
  EXPECT_ERROR(backend->start(record), Errc::HookError, HasSubstr("startContainer hook #0"));
}

TEST_F(LxcLife, NoPivot) {
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

TEST_F(LxcLife, NothingIsLeftAfterRemove) {
  spec.process->args = {"true"};
  const auto mounts = sys::read_mountinfo()->size();
  ASSERT_OK(run());
  ASSERT_OK(backend->remove(record));
  EXPECT_EQ(directories_of_cgroups(parent), "");
  EXPECT_EQ(sys::read_mountinfo()->size(), mounts);
  EXPECT_TRUE(std::filesystem::is_empty(scratch + "/state"));
  EXPECT_TRUE(!std::filesystem::exists("/run/lxc/lock") ||
              std::filesystem::is_empty("/run/lxc/lock"));
}

TEST_F(LxcLife, KillingTheCreatorLeavesNothingOnceUndone) {
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
  ASSERT_OK(undo.will_create_cgroup(value("cgroup")));
  for (const auto& entry : std::filesystem::directory_iterator("/run/lxc/lock"))
    ASSERT_OK(undo.will_create_file(entry.path()));
  ASSERT_OK(undo.undo());
  EXPECT_EQ(directories_of_cgroups(parent), "");
  EXPECT_TRUE(std::filesystem::is_empty("/run/lxc/lock"));
}

}  // namespace
}  // namespace nexcage
