#include "nexcage/sys/process.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"

namespace nexcage::sys {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

Command shell(const std::string& script) {
  Command command;
  command.argv = {"/bin/sh", "-c", script};
  command.inherit_env = true;
  return command;
}

Child start(const Command& command) {
  auto child = Child::spawn(command);
  EXPECT_OK(child);
  return *std::move(child);
}

TEST(Process, own_stat_says_what_we_are) {
  auto stat = read_stat(::getpid());
  ASSERT_OK(stat);
  ASSERT_TRUE(stat->has_value());
  EXPECT_EQ((*stat)->state, 'R');
  EXPECT_EQ((*stat)->parent, ::getppid());
  EXPECT_GT((*stat)->start_time, 0u);
  EXPECT_FALSE((*stat)->ended());
}

TEST(Process, names_that_look_like_fields_do_not_mislead) {
  const Child child = start(shell("printf ') R 1 2 3' > /proc/$$/comm; kill -STOP $$"));
  int status = 0;
  ASSERT_EQ(::waitpid(child.pid(), &status, WUNTRACED), child.pid());
  auto stat = read_stat(child.pid());
  ASSERT_OK(stat);
  EXPECT_EQ((*stat)->state, 'T');
  EXPECT_EQ((*stat)->parent, ::getpid());
}

TEST(Process, nobody_has_a_pid_that_does_not_exist) {
  for (const pid_t pid : {0, -1, 0x7fffffff}) {
    EXPECT_EQ(read_stat(pid)->has_value(), false) << pid;
    EXPECT_FALSE(*is_alive({pid, 1}));
    EXPECT_FALSE(open_process({pid, 1})->has_value());
  }
}

TEST(Process, a_reused_pid_is_somebody_else) {
  const std::uint64_t start_time = (*read_stat(::getpid()))->start_time;
  EXPECT_TRUE(*is_alive({::getpid(), start_time}));
  EXPECT_FALSE(*is_alive({::getpid(), start_time + 1}));
  EXPECT_TRUE(open_process({::getpid(), start_time})->has_value());
  EXPECT_FALSE(open_process({::getpid(), start_time + 1})->has_value());
}

TEST(Process, a_zombie_has_ended) {
  Child child = start(shell("exit 0"));
  ASSERT_TRUE(*wait_exit(child.pidfd(), milliseconds(5000)));
  auto stat = read_stat(child.pid());
  ASSERT_TRUE(stat->has_value());
  EXPECT_EQ((*stat)->state, 'Z');
  const ProcessId id{child.pid(), (*stat)->start_time};
  EXPECT_FALSE(*is_alive(id));
  EXPECT_FALSE(open_process(id)->has_value());
}

TEST(Process, a_first_thread_that_ended_does_not_end_its_process) {
  ProcessStat stat;
  stat.state = 'Z';
  stat.threads = 2;
  EXPECT_FALSE(stat.ended());
  stat.threads = 1;
  EXPECT_TRUE(stat.ended());
}

TEST(Process, signals_reach_by_pidfd_and_report_who_is_gone) {
  Child child = start(shell("exec sleep 100"));
  EXPECT_FALSE(*wait_exit(child.pidfd(), milliseconds(20)));
  EXPECT_TRUE(*send_signal(child.pidfd(), SIGTERM));
  EXPECT_TRUE(*wait_exit(child.pidfd(), milliseconds(5000)));
  auto status = child.wait();
  ASSERT_OK(status);
  EXPECT_EQ(exit_code(*status), 128 + SIGTERM);
  EXPECT_FALSE(*send_signal(child.pidfd(), SIGTERM));
  EXPECT_ERROR(send_signal(-1, SIGTERM), Errc::FileError, HasSubstr("SIGTERM"));
}

TEST(Process, exit_codes_follow_the_shell) {
  EXPECT_EQ(exit_code(W_EXITCODE(7, 0)), 7);
  EXPECT_EQ(exit_code(W_EXITCODE(0, SIGKILL)), 137);
  EXPECT_EQ(exit_code(W_EXITCODE(0, SIGSEGV) | WCOREFLAG), 139);
}

/// In a process of its own, because being a subreaper does not end. 0 when all went well.
int adopt_an_orphan() {
  if (!become_subreaper()) return 1;
  auto output = run(shell("sleep 0.2 >/dev/null 2>&1 & echo $!"), "", milliseconds(5000));
  if (!output) return 2;
  int status = -1;
  if (::waitpid(std::stoi(output->out), &status, 0) < 0) return 3;
  return status == 0 ? 0 : 4;
}

TEST(Process, orphans_of_a_subreaper_come_to_it) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(adopt_an_orphan());
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(exit_code(status), 0);
}

TEST(Signals, names_in_every_spelling) {
  for (const char* text : {"TERM", "SIGTERM", "sigterm", "Term", "15"})
    EXPECT_EQ(*parse_signal(text), SIGTERM) << text;
  const std::pair<const char*, int> cases[] = {
      {"HUP", 1},          {"SIGKILL", 9}, {"IOT", SIGABRT}, {"CLD", SIGCHLD}, {"POLL", SIGIO},
      {"IO", SIGIO},       {"STKFLT", 16}, {"PWR", SIGPWR},  {"RTMIN", 34},    {"RTMIN+3", 37},
      {"SIGRTMIN+30", 64}, {"RTMAX", 64},  {"rtmax-14", 50}, {"SYS", SIGSYS},  {"0", 0},
      {"64", 64},
  };
  for (const auto& [text, number] : cases) EXPECT_EQ(*parse_signal(text), number) << text;
}

TEST(Signals, anything_else_is_refused) {
  for (const char* text : {"", "SIG", "TERMX", "65", "-9", "+9", "9 ", "RTMIN+31", "RTMIN-1",
                           "RTMAX+1", "RTMIN+", "RTMIN+-1", "SIGSIGTERM", "0x9"})
    EXPECT_ERROR(parse_signal(text), Errc::InvalidSpec, HasSubstr("unknown signal"));
}

TEST(Signals, every_number_has_a_name_that_leads_back) {
  for (int signal = 0; signal <= 64; ++signal)
    EXPECT_EQ(*parse_signal(signal_name(signal)), signal) << signal_name(signal);
  EXPECT_EQ(signal_name(15), "SIGTERM");
  EXPECT_EQ(signal_name(29), "SIGIO");
  EXPECT_EQ(signal_name(37), "SIGRTMIN+3");
}

TEST(Memfd, sealed_data_cannot_be_changed) {
  auto fd = sealed_data("content", "test");
  ASSERT_OK(fd);
  EXPECT_EQ(read_all(fd->get()).value_or("?"), "content");
  EXPECT_EQ(::pwrite(fd->get(), "X", 1, 0), -1);
  EXPECT_EQ(::ftruncate(fd->get(), 0), -1);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd->get(), 0), MAP_FAILED);
  EXPECT_EQ(::fcntl(fd->get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
}

TEST(Memfd, a_sealed_copy_of_a_program_runs) {
  auto program = open_at(AT_FDCWD, "/proc/self/exe", O_RDONLY);
  ASSERT_OK(program);
  const off_t size = stat_fd(program->get())->st_size;
  auto copy = sealed_copy(program->get(), "program");
  ASSERT_OK(copy);
  EXPECT_EQ(stat_fd(copy->get())->st_size, size);
  EXPECT_EQ(::lseek(program->get(), 0, SEEK_CUR), 0);
  Command command;
  command.argv = {"renamed", "--gtest_list_tests"};
  command.exec_fd = copy->get();
  command.inherit_env = true;
  auto output = run(command, "", milliseconds(20000));
  ASSERT_OK(output);
  EXPECT_THAT(output->out, HasSubstr("a_sealed_copy_of_a_program_runs"));
}

TEST(Process, the_directory_of_this_program_holds_it) {
  auto dir = executable_dir();
  ASSERT_OK(dir);
  EXPECT_EQ(*read_link(AT_FDCWD, "/proc/self/exe"), *dir + "/nx_sys_test");
}

}  // namespace
}  // namespace nexcage::sys
