// Child and run: what a program that we start sees and how we learn what became of it.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "result_matchers.h"

namespace nexcage::sys {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr milliseconds kTime{20'000};

Command shell(const std::string& script) {
  Command command;
  command.argv = {"/bin/sh", "-c", script};
  command.inherit_env = true;
  return command;
}

Output output_of(const Command& command, std::string_view input = "") {
  auto output = run(command, input, kTime);
  EXPECT_OK(output);
  return output ? *std::move(output) : Output{};
}

UniqueFd file_with(std::string_view text) {
  auto fd = sealed_data(text, "test");
  EXPECT_OK(fd);
  return *std::move(fd);
}

std::size_t open_descriptors() {
  auto dir = open_at(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY);
  return list_dir(dir->get())->size();
}

TEST(Child, a_missing_program_is_named) {
  Command command;
  command.argv = {"/nonexistent/crun"};
  EXPECT_ERROR(Child::spawn(command), Errc::RuntimeNotAvailable, HasSubstr("/nonexistent/crun"));
  command.argv = {"no-such-program-anywhere"};
  EXPECT_ERROR(Child::spawn(command), Errc::RuntimeNotAvailable,
               HasSubstr("no-such-program-anywhere"));
  command.argv = {};
  EXPECT_ERROR(Child::spawn(command), Errc::FileError, HasSubstr("no arguments"));
}

TEST(Child, errors_before_exec_are_told_apart) {
  Command command = shell("true");
  command.cwd = "/nonexistent";
  EXPECT_ERROR(Child::spawn(command), Errc::FileError, HasSubstr("directory /nonexistent"));
  command = shell("true");
  command.fds = {{9999, 5}};
  EXPECT_ERROR(Child::spawn(command), Errc::FileError, HasSubstr("pass descriptors"));
  command = shell("true");
  command.argv[0] = "/etc/passwd";
  EXPECT_ERROR(Child::spawn(command), Errc::PermissionDenied, HasSubstr("execute /etc/passwd"));
}

TEST(Child, failed_starts_leave_no_zombie_and_no_descriptor) {
  const std::size_t before = open_descriptors();
  Command command;
  command.argv = {"/nonexistent"};
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(Child::spawn(command).has_value());
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST(Child, programs_are_found_in_path_but_not_in_the_current_directory) {
  Command command;
  command.argv = {"true"};
  auto child = Child::spawn(command);
  ASSERT_OK(child);
  EXPECT_EQ(*child->wait(), 0);
}

TEST(Child, environment_is_exactly_what_was_given) {
  Command command;
  command.argv = {"/usr/bin/env"};
  command.env = {"A=1", "B=two words"};
  EXPECT_EQ(output_of(command).out, "A=1\nB=two words\n");
}

TEST(Child, own_variables_come_before_inherited_ones) {
  ::setenv("NX_TEST_VARIABLE", "outer", 1);
  Command command = shell("echo $NX_TEST_VARIABLE");
  EXPECT_EQ(output_of(command).out, "outer\n");
  ::unsetenv("NX_TEST_VARIABLE");
}

TEST(Child, only_listed_descriptors_reach_it) {
  UniqueFd leaky(::open("/dev/null", O_RDONLY));  // on purpose without O_CLOEXEC
  UniqueFd wanted = file_with("wanted");
  Command command = shell("ls /proc/self/fd | tr '\\n' ' '; cat <&7");
  command.fds = {{wanted.get(), 7}};
  // 3 is the directory that ls reads.
  EXPECT_EQ(output_of(command).out, "0 1 2 3 7 wanted");
}

TEST(Child, overlapping_descriptor_numbers_are_swapped_right) {
  UniqueFd a = file_with("A");
  UniqueFd b = file_with("B");
  Command command = shell("cat <&" + std::to_string(a.get()) + "; cat <&" +
                          std::to_string(b.get()) + "; cat <&5");
  // Each goes to the other's number, and one of them to a third as well.
  command.fds = {{a.get(), b.get()}, {b.get(), a.get()}, {b.get(), 5}};
  if (a.get() == 5 || b.get() == 5) command.fds.pop_back();
  const std::string out = output_of(command).out;
  // `B` is read through one description by two numbers: the second finds its end.
  EXPECT_EQ(out.substr(0, 2), "BA");
}

TEST(Child, a_descriptor_may_keep_its_number) {
  UniqueFd a = file_with("same");
  Command command = shell("cat <&" + std::to_string(a.get()));
  command.fds = {{a.get(), a.get()}};
  EXPECT_EQ(output_of(command).out, "same");
}

TEST(Child, program_descriptor_survives_being_overwritten) {
  auto program = open_at(AT_FDCWD, "/bin/sh", O_RDONLY);
  ASSERT_OK(program);
  UniqueFd data = file_with("data");
  Command command = shell("cat <&" + std::to_string(program->get()));
  command.exec_fd = program->get();
  command.fds = {{data.get(), program->get()}};
  EXPECT_EQ(output_of(command).out, "data");
}

TEST(Child, a_preserved_range_passes_what_the_caller_gave_and_nothing_of_ours) {
  UniqueFd given(::fcntl(file_with("given").get(), F_DUPFD, 40));
  UniqueFd ours(::fcntl(given.get(), F_DUPFD_CLOEXEC, 41));
  ASSERT_EQ(given.get(), 40);
  ASSERT_EQ(ours.get(), 41);
  Command command = shell("ls /proc/self/fd | tr '\\n' ' '");
  command.keep_from = 40;
  command.keep_count = 3;
  EXPECT_EQ(output_of(command).out, "0 1 2 3 40 ");
}

TEST(Child, signal_state_is_reset_unless_wanted_otherwise) {
  const char* script = "grep -E 'SigBlk|SigIgn' /proc/self/status | tr -d '\\t\\n'";
  sigset_t block, before;
  sigemptyset(&block);
  sigaddset(&block, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &block, &before);
  auto* old = ::signal(SIGUSR2, SIG_IGN);
  Command command = shell(script);
  const std::string reset = output_of(command).out;
  command.reset_signals = false;
  const std::string kept = output_of(command).out;
  (void)::signal(SIGUSR2, old);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(reset, "SigBlk:0000000000000000SigIgn:0000000000000000");
  EXPECT_EQ(kept, "SigBlk:0000000000000200SigIgn:0000000000000800");
}

TEST(Child, sessions_and_groups_are_its_own) {
  Command command = shell("cut -d' ' -f1,5,6 /proc/$$/stat");
  command.new_session = true;
  const std::vector<std::string> leader = split(trim(output_of(command).out), ' ');
  EXPECT_EQ(leader[0], leader[1]);
  EXPECT_EQ(leader[0], leader[2]);
  command.new_session = false;  // run makes a group then
  const std::vector<std::string> grouped = split(trim(output_of(command).out), ' ');
  EXPECT_EQ(grouped[0], grouped[1]);
  EXPECT_EQ(grouped[2], std::to_string(::getsid(0)));
}

TEST(Child, one_without_privileges_has_none_and_gains_none) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: another user";
  Command command = shell("grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs)' /proc/self/status");
  command.unprivileged = Unprivileged{.user = 65534, .group = 65534, .groups = {12}};
  const std::string status = output_of(command).out;
  EXPECT_THAT(status, HasSubstr("Uid:\t65534\t65534\t65534\t65534\n"));
  EXPECT_THAT(status, HasSubstr("Gid:\t65534\t65534\t65534\t65534\n"));
  EXPECT_THAT(status, HasSubstr("Groups:\t12 \n"));
  EXPECT_THAT(status, HasSubstr("CapBnd:\t0000000000000000\n"));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1\n"));
  // Root by name only: exec does not give it anything back.
  command.unprivileged = Unprivileged{};
  EXPECT_THAT(output_of(command).out, HasSubstr("CapEff:\t0000000000000000\n"));
}

TEST(Child, one_without_privileges_dies_with_its_parent_too) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: another user";
  Command command = shell("exec sleep 100");
  command.unprivileged = Unprivileged{.user = 65534, .group = 65534, .groups = {}};
  command.die_with_parent = true;
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    auto child = Child::spawn(command);
    const pid_t pid = child ? child->release() : 0;
    if (write(ends[1], &pid, sizeof pid) < 0) _exit(1);
    _exit(0);
  }
  pid_t pid = 0;
  ASSERT_EQ(read(ends[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
  ASSERT_GT(pid, 0);
  ASSERT_EQ(waitpid(parent, nullptr, 0), parent);
  const auto stat = read_stat(pid);
  ASSERT_OK(stat);
  if (*stat) {
    auto process = open_process({pid, (*stat)->start_time});
    ASSERT_OK(process);
    const bool ended = !*process || *wait_exit((*process)->get(), kTime);
    EXPECT_TRUE(ended);
  }
  close(ends[0]);
  close(ends[1]);
}

TEST(Child, working_directory_is_set) {
  Command command = shell("pwd");
  command.cwd = "/proc/self";
  EXPECT_THAT(output_of(command).out, testing::StartsWith("/proc"));
}

TEST(Child, dies_with_its_parent_when_asked) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t middle = ::fork();
  if (middle == 0) {
    Command command;
    command.argv = {"sleep", "100"};
    command.fds = {{ends[1], 5}};
    command.die_with_parent = true;
    auto child = Child::spawn(command);
    if (child) (void)child->release();
    ::close(ends[1]);
    ::_exit(child ? 0 : 1);
  }
  ::close(ends[1]);
  int status = 0;
  ASSERT_EQ(::waitpid(middle, &status, 0), middle);
  ASSERT_EQ(WEXITSTATUS(status), 0);
  // The last writer of the pipe is the grandchild: its end is ours.
  char byte = 0;
  EXPECT_EQ(::read(ends[0], &byte, 1), 0);
  ::close(ends[0]);
}

TEST(Child, is_killed_and_reaped_when_it_goes_with_its_group) {
  pid_t pid = 0;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  {
    Command command = shell("sleep 100 & sleep 100");
    command.new_process_group = true;
    command.fds = {{ends[1], 5}};
    auto child = Child::spawn(command);
    ASSERT_OK(child);
    pid = child->pid();
    ::close(ends[1]);
  }
  EXPECT_EQ(::waitpid(pid, nullptr, WNOHANG), -1);
  char byte = 0;
  EXPECT_EQ(::read(ends[0], &byte, 1), 0);
  ::close(ends[0]);
}

TEST(Child, waiting_twice_gives_the_same_answer_and_moving_keeps_it) {
  auto child = Child::spawn(shell("exit 3"));
  ASSERT_OK(child);
  EXPECT_EQ(exit_code(*child->wait()), 3);
  EXPECT_EQ(exit_code(*child->wait()), 3);
  Child moved = *std::move(child);
  EXPECT_EQ(exit_code(**moved.wait_for(milliseconds(0))), 3);
  // NOLINTNEXTLINE(bugprone-use-after-move): what is left behind must own nothing.
  EXPECT_ERROR(child->wait(), Errc::FileError, HasSubstr("wait for a child"));
}

TEST(Child, waiting_with_a_limit) {
  auto child = Child::spawn(shell("exec sleep 100"));
  ASSERT_OK(child);
  EXPECT_EQ(*child->wait_for(milliseconds(20)), std::nullopt);
  child->kill_and_wait();
  EXPECT_EQ(exit_code(**child->wait_for(milliseconds(0))), 137);
}

TEST(Child, move_assignment_ends_the_one_it_held) {
  auto first = Child::spawn(shell("exec sleep 100"));
  auto second = Child::spawn(shell("exit 4"));
  const pid_t old = first->pid();
  *first = *std::move(second);
  EXPECT_EQ(::waitpid(old, nullptr, WNOHANG), -1);
  EXPECT_EQ(exit_code(*first->wait()), 4);
}

TEST(Child, a_released_child_lives_on) {
  pid_t pid = 0;
  {
    auto child = Child::spawn(shell("exit 6"));
    ASSERT_OK(child);
    pid = child->release();
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(exit_code(status), 6);
}

TEST(Child, adopts_only_children_of_ours) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(9);
  auto child = Child::adopt(pid);
  ASSERT_OK(child);
  EXPECT_EQ(exit_code(*child->wait()), 9);
  EXPECT_ERROR(Child::adopt(1), Errc::FileError, HasSubstr("take over process 1"));
  EXPECT_ERROR(Child::adopt(0), Errc::FileError, HasSubstr("take over"));
}

TEST(Child, has_an_exit_status_even_if_we_were_started_ignoring_children) {
  auto* before = ::signal(SIGCHLD, SIG_IGN);
  auto output = run(shell("exit 8"), "", kTime);
  (void)::signal(SIGCHLD, before);
  ASSERT_OK(output);
  EXPECT_EQ(exit_code(output->status), 8);
}

TEST(Run, output_input_and_status_come_together) {
  const Output output = output_of(shell("cat; echo err >&2; exit 3"), "input");
  EXPECT_EQ(output.out, "input");
  EXPECT_EQ(output.err, "err\n");
  EXPECT_EQ(exit_code(output.status), 3);
  EXPECT_FALSE(output.truncated);
}

TEST(Run, unread_input_is_no_error) {
  EXPECT_EQ(output_of(shell("true"), std::string(1 << 20, 'x')).status, 0);
}

TEST(Run, more_than_a_pipe_on_both_streams_at_once) {
  const Output output = output_of(
      shell("head -c 300000 /dev/zero | tr '\\0' a; head -c 300000 /dev/zero | tr '\\0' b >&2"));
  EXPECT_EQ(output.out, std::string(300000, 'a'));
  EXPECT_EQ(output.err, std::string(300000, 'b'));
}

TEST(Run, too_much_output_is_cut_and_said_so) {
  auto output = run(shell("head -c 200000 /dev/zero"), "", kTime, 1000);
  ASSERT_OK(output);
  EXPECT_EQ(output->out.size(), 1000u);
  EXPECT_TRUE(output->truncated);
  EXPECT_EQ(output->status, 0);
}

TEST(Run, the_whole_group_is_killed_after_the_time) {
  const std::size_t before = open_descriptors();
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Command command = shell("sleep 100 & sleep 100");
  command.fds = {{ends[1], 5}};
  EXPECT_ERROR(run(command, "", milliseconds(100)), Errc::Timeout,
               AllOf(HasSubstr("/bin/sh"), HasSubstr("100 ms")));
  ::close(ends[1]);
  char byte = 0;
  EXPECT_EQ(::read(ends[0], &byte, 1), 0);
  ::close(ends[0]);
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Run, endless_output_does_not_outrun_the_time) {
  EXPECT_ERROR(run(shell("while :; do echo xxxxxxxx; done"), "", milliseconds(200), 100),
               Errc::Timeout, HasSubstr("200 ms"));
}

TEST(Run, a_background_process_that_holds_the_output_is_not_waited_for) {
  Command command = shell("echo first; sleep 30 & echo $!");
  const auto start = std::chrono::steady_clock::now();
  const Output output = output_of(command);
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(10'000));
  EXPECT_THAT(output.out, testing::StartsWith("first\n"));
  ::kill(std::stoi(output.out.substr(6)), SIGKILL);
}

TEST(Run, a_stream_that_the_caller_directs_stays_directed) {
  UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  Command command = shell("echo out; echo err >&2");
  command.fds = {{null.get(), 2}};
  const Output output = output_of(command);
  EXPECT_EQ(output.out, "out\n");
  EXPECT_EQ(output.err, "");
}

TEST(Run, a_missing_program_is_reported_as_by_spawn) {
  Command command;
  command.argv = {"/nonexistent"};
  EXPECT_ERROR(run(command, "", kTime), Errc::RuntimeNotAvailable,
               AllOf(HasSubstr("/nonexistent"), Not(HasSubstr("pipe"))));
}

}  // namespace
}  // namespace nexcage::sys
