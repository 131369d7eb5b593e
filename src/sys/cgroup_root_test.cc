// Cgroups of the real kernel, whichever versions it has.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage::sys {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr milliseconds kTime{10'000};

class CgroupRootTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: cgroups";
    auto layout = detect_cgroups();
    ASSERT_OK(layout);
    layout_ = *std::move(layout);
    if (layout_.mode() == CgroupMode::none) GTEST_SKIP() << "needs cgroups: none are mounted";
    parent_ = "nexcage-test-" + std::to_string(::getpid());
    cgroup_.emplace(layout_, parent_ + "/c1");
    if (auto made = cgroup_->create(); !made)
      GTEST_SKIP() << "needs root: " << made.error().message();
  }
  void TearDown() override {
    if (cgroup_) EXPECT_OK(cgroup_->destroy(kTime));
    for (const CgroupHierarchy& hierarchy : layout_.hierarchies)
      EXPECT_FALSE(*exists(AT_FDCWD, hierarchy.mount_point + "/" + parent_));
  }

  /// A shell in the cgroup: it joins before it does anything else.
  Child member(const std::string& script) {
    int gate[2];
    EXPECT_EQ(::pipe2(gate, O_CLOEXEC), 0);
    UniqueFd wait(gate[0]);
    UniqueFd go(gate[1]);
    Command command;
    command.argv = {"/bin/sh", "-c", "read line <&5; exec 5<&-; " + script};
    command.inherit_env = true;
    command.fds = {{wait.get(), 5}};
    auto child = Child::spawn(command);
    EXPECT_OK(child);
    EXPECT_OK(cgroup_->add_process(child->pid()));
    EXPECT_EQ(::write(go.get(), "\n", 1), 1);
    return *std::move(child);
  }

  /// A member that has done `first` before this returns, and goes on with `then`.
  Child ready_member(const std::string& first, const std::string& then) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    UniqueFd ready(ends[0]);
    UniqueFd to(ends[1]);
    const std::string report =
        "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(to.get());
    Child child = member(first + "; echo ready > " + report + "; " + then);
    char byte = 0;
    EXPECT_EQ(::read(ready.get(), &byte, 1), 1);
    return child;
  }

  CgroupLayout layout_;
  std::string parent_;
  /// Where a process is; "" when nowhere.
  static std::string path_in(const CgroupHierarchy& hierarchy, pid_t pid) {
    const auto paths = read_process_cgroups(pid);
    EXPECT_OK(paths);
    for (const auto& [id, path] : *paths)
      if (id == hierarchy.id) return path;
    return "";
  }

  std::optional<Cgroup> cgroup_;
};

TEST_F(CgroupRootTest, members_are_listed_and_killed_to_the_last) {
  Child child = member("for i in 1 2 3 4 5; do sleep 100 & done; wait");
  EXPECT_EQ(cgroup_->existing_dirs().size(), layout_.hierarchies.size());
  for (int tries = 0; tries < 200 && cgroup_->processes()->size() < 6; ++tries) ::usleep(10'000);
  EXPECT_EQ(cgroup_->processes()->size(), 6u);
  ASSERT_OK(cgroup_->signal_all(SIGKILL));
  EXPECT_EQ(exit_code(*child.wait()), 137);
  ASSERT_OK(cgroup_->destroy(kTime));
  EXPECT_THAT(cgroup_->existing_dirs(), IsEmpty());
}

TEST_F(CgroupRootTest, any_signal_goes_to_every_member_once) {
  Child child = ready_member("trap 'exit 5' USR1", "while :; do sleep 0.05; done 2>/dev/null");
  ASSERT_OK(cgroup_->signal_all(SIGUSR1));
  auto status = child.wait_for(kTime);
  ASSERT_OK(status);
  ASSERT_TRUE(status->has_value());
  EXPECT_EQ(exit_code(**status), 5);
}

TEST_F(CgroupRootTest, frozen_members_stand_still_until_thawed) {
  // A caught signal: version 2 lets those that kill through to frozen processes.
  Child child = ready_member("trap 'exit 5' TERM", "while :; do sleep 0.01; done");
  ASSERT_OK(cgroup_->freeze());
  EXPECT_TRUE(*cgroup_->frozen());
  EXPECT_TRUE(*send_signal(child.pidfd(), SIGTERM));
  EXPECT_FALSE(*wait_exit(child.pidfd(), milliseconds(100)));
  ASSERT_OK(cgroup_->thaw());
  EXPECT_FALSE(*cgroup_->frozen());
  EXPECT_TRUE(*wait_exit(child.pidfd(), kTime));
  EXPECT_EQ(exit_code(*child.wait()), 5);
}

TEST_F(CgroupRootTest, a_frozen_cgroup_can_be_destroyed) {
  Child child = member("exec sleep 100");
  ASSERT_OK(cgroup_->freeze());
  ASSERT_OK(cgroup_->destroy(kTime));
  EXPECT_THAT(cgroup_->existing_dirs(), IsEmpty());
  EXPECT_EQ(exit_code(*child.wait()), 137);
}

TEST_F(CgroupRootTest, cgroups_made_inside_go_with_it) {
  for (const CgroupHierarchy& hierarchy : layout_.hierarchies)
    ASSERT_OK(mkdirs(hierarchy.mount_point + "/" + cgroup_->path() + "/x/y/z", 0755));
  Child child = member("exec sleep 100");
  // In one hierarchy only, and deep: it must be found all the same.
  const std::string deep =
      layout_.hierarchies.back().mount_point + "/" + cgroup_->path() + "/x/y/z/cgroup.procs";
  auto procs = open_at(AT_FDCWD, deep, O_WRONLY);
  ASSERT_OK(procs);
  ASSERT_OK(write_all(procs->get(), std::to_string(child.pid())));
  EXPECT_THAT(*cgroup_->processes(), ElementsAre(child.pid()));
  ASSERT_OK(cgroup_->destroy(kTime));
  EXPECT_EQ(exit_code(*child.wait()), 137);
}

TEST_F(CgroupRootTest, a_process_that_forks_all_the_time_is_drained) {
  Child child = member("f() { sleep 100 & sleep 0.01; }; while :; do f; done");
  ::usleep(200'000);
  ASSERT_OK(cgroup_->destroy(kTime));
  EXPECT_THAT(cgroup_->existing_dirs(), IsEmpty());
}

TEST_F(CgroupRootTest, a_zombie_does_not_hold_it) {
  Child child = member("exit 0");
  ASSERT_TRUE(*wait_exit(child.pidfd(), kTime));
  ASSERT_OK(cgroup_->destroy(kTime));
  EXPECT_THAT(cgroup_->existing_dirs(), IsEmpty());
}

TEST_F(CgroupRootTest, the_parent_stays_while_it_has_other_children) {
  const Cgroup sibling(layout_, parent_ + "/c2");
  ASSERT_OK(mkdirs(layout_.hierarchies.front().mount_point + "/" + parent_ + "/c2", 0755));
  ASSERT_OK(cgroup_->destroy(kTime));
  EXPECT_EQ(sibling.existing_dirs().size(), 1u);
  ASSERT_OK(sibling.destroy(kTime, false));
  EXPECT_TRUE(*exists(AT_FDCWD, layout_.hierarchies.front().mount_point + "/" + parent_));
  ASSERT_OK(cgroup_->destroy(kTime));
}

TEST_F(CgroupRootTest, members_show_their_cgroup) {
  const Child child = member("exec sleep 100");
  for (const CgroupHierarchy& hierarchy : layout_.hierarchies)
    EXPECT_THAT(path_in(hierarchy, child.pid()), testing::EndsWith(cgroup_->path()));
}

TEST_F(CgroupRootTest, a_child_is_born_in_version_2_and_enters_the_others_by_itself) {
  const auto directory = cgroup_->create_v2();
  ASSERT_OK(directory);
  Command command;
  command.argv = {"/bin/sh", "-c", "for f; do echo 0 > $f; done; echo; exec sleep 100", "sh"};
  for (const std::string& file : cgroup_->v1_thread_files()) command.argv.push_back(file);
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const UniqueFd from(ready[0]);
  UniqueFd to(ready[1]);
  command.fds = {{to.get(), 1}};
  command.inherit_env = true;
  command.cgroup = directory->get();
  auto child = Child::spawn(command);
  ASSERT_OK(child);
  to.reset();
  char byte = 0;
  ASSERT_EQ(::read(from.get(), &byte, 1), 1);
  EXPECT_EQ(child->in_cgroup(), static_cast<bool>(*directory));
  for (const CgroupHierarchy& hierarchy : layout_.hierarchies)
    EXPECT_THAT(path_in(hierarchy, child->pid()), testing::EndsWith(cgroup_->path()));
}

TEST_F(CgroupRootTest, a_child_that_cannot_be_born_there_is_an_error) {
  const UniqueFd somewhere(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  Command command;
  command.argv = {"/bin/true"};
  command.cgroup = somewhere.get();
  EXPECT_FALSE(Child::spawn(command).has_value());
}

TEST_F(CgroupRootTest, detection_is_cheap) {
  // The best of many: a busy host must not make this test fail.
  auto best = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < 50; ++i) {
    const auto start = std::chrono::steady_clock::now();
    ASSERT_OK(detect_cgroups());
    best = std::min(best, std::chrono::steady_clock::now() - start);
  }
  // The aim is 0.3 ms without sanitizers.
  EXPECT_LT(best, milliseconds(3));
}

}  // namespace
}  // namespace nexcage::sys
