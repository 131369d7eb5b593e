#include "nexcage/runtime/undo.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <stop_token>
#include <thread>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage::runtime {
namespace {

using testing::HasSubstr;
using Kind = UndoEntry::Kind;

class Undo : public testing::Test {
 protected:
  void SetUp() override {
    auto dir = sys::TempDir::create("/tmp", "undo-test");
    ASSERT_OK(dir);
    dir_.emplace(std::move(*dir));
  }
  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }
  void make_dir_with_file(const std::string& name) const {
    ASSERT_OK(sys::mkdirs(path(name), 0700));
    std::ofstream(path(name) + "/file") << "x";
  }
  bool exists(const std::string& name) const { return access(path(name).c_str(), F_OK) == 0; }
  std::vector<std::string> logs() const {
    auto names = sys::list_dir(dir_->fd());
    return names ? *names : std::vector<std::string>{"unreadable"};
  }

  std::optional<sys::TempDir> dir_;
};

TEST(UndoText, survives_a_round_trip_with_any_path) {
  const UndoEntry odd{Kind::dir, "/a b/\n\t\"x"};
  const UndoEntry cgroup{Kind::cgroup, "nexcage/web"};
  const auto read = decode_undo_log(encode(odd) + encode(cgroup));
  EXPECT_EQ(read, (std::vector<UndoEntry>{odd, cgroup}));
}

TEST(UndoText, ignores_a_record_that_a_crash_cut_short) {
  const UndoEntry whole{Kind::file, "/a"};
  const auto read = decode_undo_log(encode(whole) + "d/half");
  EXPECT_EQ(read, std::vector<UndoEntry>{whole});
}

TEST(UndoText, ignores_unknown_kinds_and_empty_records) {
  EXPECT_TRUE(decode_undo_log(std::string("z/a\0\0", 5)).empty());
}

TEST_F(Undo, layers_of_an_unknown_driver_do_not_keep_the_log) {
  auto log = FileUndoLog::create(dir_->path(), "c1");
  ASSERT_OK(log);
  ASSERT_OK(log->will_mount_layers(dir_->path() + "/layers",
                                   {.driver = "of-tomorrow",
                                    .at = {.target = dir_->path() + "/target", .upper = {}},
                                    .key = "k",
                                    .method = {}}));
  EXPECT_OK(log->roll_back());
}

TEST_F(Undo, takes_back_everything_when_it_is_dropped) {
  {
    auto log = FileUndoLog::create(dir_->path(), "c1");
    ASSERT_OK(log);
    ASSERT_OK(log->will_create_dir(path("d")));
    make_dir_with_file("d");
    ASSERT_OK(log->will_create_file(path("f")));
    std::ofstream(path("f")) << "x";
  }
  EXPECT_THAT(logs(), testing::IsEmpty());
}

TEST_F(Undo, keeps_everything_after_commit) {
  {
    auto log = FileUndoLog::create(dir_->path(), "c1");
    ASSERT_OK(log);
    ASSERT_OK(log->will_create_dir(path("d")));
    make_dir_with_file("d");
    ASSERT_OK(log->commit());
  }
  EXPECT_THAT(logs(), testing::ElementsAre("d"));
}

TEST_F(Undo, undoes_in_reverse_order) {
  {
    auto log = FileUndoLog::create(dir_->path(), "c1");
    ASSERT_OK(log);
    // The file lies in the directory: the other way round its removal would have to fail.
    ASSERT_OK(log->will_create_dir(path("d")));
    make_dir_with_file("d");
    ASSERT_OK(log->will_create_file(path("d/file")));
    ASSERT_OK(log->roll_back());
  }
  EXPECT_THAT(logs(), testing::IsEmpty());
}

TEST_F(Undo, what_is_undone_so_far_is_not_undone_again) {
  auto log = FileUndoLog::create(dir_->path(), "c1");
  ASSERT_OK(log);
  ASSERT_OK(log->will_create_dir(path("former")));
  make_dir_with_file("former");
  ASSERT_OK(log->undo_so_far());
  EXPECT_FALSE(exists("former"));
  EXPECT_ERROR(FileUndoLog::create(dir_->path(), "c1"), Errc::ContainerExists, HasSubstr("c1"));
  make_dir_with_file("former");
  ASSERT_OK(log->will_create_dir(path("later")));
  make_dir_with_file("later");
  ASSERT_OK(log->roll_back());
  EXPECT_THAT(logs(), testing::ElementsAre("former"));
}

TEST_F(Undo, what_cannot_be_undone_so_far_stays_in_the_log) {
  auto log = FileUndoLog::create(dir_->path(), "c1");
  ASSERT_OK(log);
  make_dir_with_file("d");
  ASSERT_OK(log->will_create_file(path("d")));  // a directory: no file to remove
  EXPECT_FALSE(log->undo_so_far());
  ASSERT_EQ(rename(path("d").c_str(), path("e").c_str()), 0);
  ASSERT_OK(log->undo_so_far());
  ASSERT_OK(log->commit());
}

TEST_F(Undo, a_state_directory_that_is_used_again_is_that_of_an_ended_container_again) {
  ASSERT_OK(sys::mkdirs(path("state"), 0700));
  for (const char* name : {"state.json", "config.json", "lock"})
    std::ofstream(path("state/") + name) << "of the former run";
  auto log = FileUndoLog::create(dir_->path(), "c1");
  ASSERT_OK(log);
  ASSERT_OK(log->will_reuse_state(path("state"), "{\"ended\": \"\n\"}"));
  std::ofstream(path("state/state.json")) << "creating";
  std::ofstream(path("state/start.sock")) << "";
  make_dir_with_file("state/helper");
  ASSERT_OK(log->roll_back());
  const auto text = [&](const std::string& name) {
    return sys::read_file(dir_->fd(), name).value_or("(missing)");
  };
  EXPECT_EQ(text("state/state.json"), "{\"ended\": \"\n\"}");
  EXPECT_EQ(text("state/config.json"), "of the former run");
  EXPECT_TRUE(exists("state/lock"));
  EXPECT_FALSE(exists("state/start.sock"));
  EXPECT_FALSE(exists("state/helper"));
}

TEST_F(Undo, a_state_directory_that_is_gone_does_not_come_back) {
  auto log = FileUndoLog::create(dir_->path(), "c1");
  ASSERT_OK(log);
  ASSERT_OK(log->will_reuse_state(path("state"), "{}"));
  ASSERT_OK(log->roll_back());
  EXPECT_FALSE(exists("state"));
}

TEST(UndoEntries, a_damaged_state_record_touches_nothing) {
  EXPECT_OK(undo({Kind::state, "no JSON"}));
  EXPECT_OK(undo({Kind::state, "{\"dir\": \"/\"}"}));
  EXPECT_OK(undo({Kind::state, "{\"dir\": \"relative\", \"record\": \"{}\"}"}));
}

TEST_F(Undo, a_process_is_handed_over_to_the_log_of_who_asked_for_it) {
  auto asked = FileUndoLog::create(dir_->path(), "c1@start");
  ASSERT_OK(asked);
  auto log = FileUndoLog::create(dir_->path(), "c1");
  ASSERT_OK(log);
  sys::Command command;
  command.argv = {"/bin/sleep", "60"};
  auto child = sys::Child::spawn(command);
  ASSERT_OK(child);
  auto stat = sys::read_stat(child->pid());
  ASSERT_OK(stat);
  ASSERT_TRUE(stat->has_value());
  ASSERT_OK(log->hand_over("c1@start", {child->pid(), (*stat)->start_time}));
  ASSERT_OK(log->commit());
  ASSERT_OK(asked->roll_back());
  auto status = child->wait();
  ASSERT_OK(status);
  EXPECT_EQ(WTERMSIG(*status), SIGKILL);
}

TEST_F(Undo, nothing_is_handed_over_to_a_command_that_is_gone) {
  auto log = FileUndoLog::create(dir_->path(), "c1");
  ASSERT_OK(log);
  EXPECT_ERROR(log->hand_over("c1@start", {1, 1}), Errc::InvalidState, HasSubstr("has ended"));
}

TEST_F(Undo, reserves_its_name) {
  auto log = FileUndoLog::create(dir_->path(), "c1");
  ASSERT_OK(log);
  EXPECT_ERROR(FileUndoLog::create(dir_->path(), "c1"), Errc::ContainerExists, HasSubstr("c1"));
  EXPECT_OK(FileUndoLog::create(dir_->path(), "c2"));
}

TEST_F(Undo, leaves_the_log_of_a_live_process_alone) {
  auto log = FileUndoLog::create(dir_->path(), "c1");
  ASSERT_OK(log);
  ASSERT_OK(log->will_create_dir(path("d")));
  make_dir_with_file("d");
  recover(dir_->path());
  EXPECT_TRUE(exists("d/file"));
  ASSERT_OK(log->commit());
}

/// A child that makes a directory under a log and is killed.
void leave_a_dead_log(const std::string& undo_dir, const std::string& made) {
  const pid_t child = fork();
  if (child == 0) {
    auto log = FileUndoLog::create(undo_dir, "dead");
    if (!log || !log->will_create_dir(made)) _exit(1);
    if (!sys::mkdirs(made, 0700)) _exit(1);
    (void)raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
}

TEST_F(Undo, the_next_command_finishes_what_a_killed_one_left) {
  leave_a_dead_log(dir_->path(), path("d"));
  ASSERT_TRUE(exists("d"));
  recover(dir_->path());
  EXPECT_THAT(logs(), testing::IsEmpty());
}

TEST_F(Undo, a_new_log_of_the_same_name_finishes_the_dead_one_first) {
  leave_a_dead_log(dir_->path(), path("d"));
  auto log = FileUndoLog::create(dir_->path(), "dead");
  ASSERT_OK(log);
  EXPECT_FALSE(exists("d"));
  ASSERT_OK(log->commit());
}

TEST_F(Undo, logs_are_made_while_other_commands_recover) {
  std::jthread sweeper([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) recover(dir_->path());
  });
  for (int round = 0; round < 2000; ++round) {
    auto log = FileUndoLog::create(dir_->path(), "c1");
    ASSERT_OK(log);
    ASSERT_OK(log->commit());
  }
}

TEST_F(Undo, kills_only_the_process_that_was_recorded) {
  sys::Command command;
  command.argv = {"/bin/sleep", "60"};
  auto child = sys::Child::spawn(command);
  ASSERT_OK(child);
  auto stat = sys::read_stat(child->pid());
  ASSERT_OK(stat);
  ASSERT_TRUE(stat->has_value());
  const auto start = (*stat)->start_time;

  const auto entry = [&](std::uint64_t time) {
    return UndoEntry{Kind::process, std::to_string(child->pid()) + " " + std::to_string(time)};
  };
  ASSERT_OK(undo(entry(start + 1)));  // a reused pid
  auto alive = sys::is_alive({child->pid(), start});
  ASSERT_OK(alive);
  EXPECT_TRUE(*alive);
  ASSERT_OK(undo(entry(start)));
  auto status = child->wait();
  ASSERT_OK(status);
  EXPECT_EQ(WTERMSIG(*status), SIGKILL);
}

TEST_F(Undo, another_runtime_takes_its_container_away) {
  const std::string state = dir_->path() + "/@crun/c1";
  const std::string asked = dir_->path() + "/asked";
  {
    auto log = FileUndoLog::create(dir_->path(), "c1");
    ASSERT_OK(log);
    ASSERT_OK(log->will_create_foreign(
        {.state_dir = state, .remove = {"/bin/sh", "-c", "echo $0 $1 > " + asked, "a b", "c"}}));
    // Nothing of it was made: nobody is asked.
    ASSERT_OK(log->roll_back());
    EXPECT_FALSE(*sys::exists(AT_FDCWD, asked));
  }
  ASSERT_OK(sys::mkdirs(state, 0700));
  auto log = FileUndoLog::create(dir_->path(), "c1");
  ASSERT_OK(log);
  ASSERT_OK(log->will_create_foreign(
      {.state_dir = state, .remove = {"/bin/sh", "-c", "echo $0 $1 > " + asked, "a b", "c"}}));
  ASSERT_OK(log->roll_back());
  EXPECT_EQ(*sys::read_file(AT_FDCWD, asked), "a b c\n");
  // What the runtime did not remove goes all the same.
  EXPECT_FALSE(*sys::exists(AT_FDCWD, state));
}

TEST_F(Undo, a_unit_is_stopped_and_its_cgroup_goes) {
  const std::string asked = dir_->path() + "/asked";
  auto log = FileUndoLog::create(dir_->path(), "c1");
  ASSERT_OK(log);
  ASSERT_OK(log->will_create_unit({.stop = {"/bin/sh", "-c", "echo $0 > " + asked, "x.scope"},
                                   .cgroup = "nexcage-no.slice/x.scope"}));
  ASSERT_OK(log->roll_back());
  EXPECT_EQ(*sys::read_file(AT_FDCWD, asked), "x.scope\n");
}

TEST(UndoEntries, a_damaged_foreign_record_runs_nothing) {
  EXPECT_OK(undo({Kind::unit, "[\"a\", {}]"}));
  EXPECT_OK(undo({Kind::foreign, "no JSON"}));
  EXPECT_OK(undo({Kind::foreign, "[\"/\"]"}));
  EXPECT_OK(undo({Kind::foreign, "[\"/\", 5]"}));
}

TEST(UndoEntries, a_damaged_process_record_kills_nothing) {
  EXPECT_OK(undo({Kind::process, "1 0"}));
  EXPECT_OK(undo({Kind::process, "-1 5"}));
  EXPECT_OK(undo({Kind::process, "garbage"}));
}

}  // namespace
}  // namespace nexcage::runtime
