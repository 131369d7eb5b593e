#include "nexcage/runtime/monitor.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>

#include "nexcage/base/text.h"
#include "result_matchers.h"

namespace nexcage::runtime {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class MonitorTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = sys::TempDir::create("/tmp", "monitor");
    ASSERT_OK(made);
    directory_.emplace(*std::move(made));
  }
  std::string write_script(const std::string& text) {
    const std::string path = directory_->path() + "/conmon";
    EXPECT_OK(sys::write_file_atomic(path, "#!/bin/sh\n" + text, 0755, sys::Durable::no));
    return path;
  }
  MonitorJob job() const {
    MonitorJob job;
    job.id = "c1";
    job.bundle = directory_->path();
    job.pid_file = directory_->path() + "/pid";
    job.program = "/usr/bin/nexcage";
    return job;
  }
  std::optional<sys::TempDir> directory_;
};

TEST_F(MonitorTest, command_names_every_path) {
  MonitorJob job = this->job();
  job.program_args = {"--root", "/run/x"};
  job.create_args = {"--prepared"};
  job.exit_args = {"delete", "--force", "c1"};
  const std::vector<std::string> argv = conmon_command(job, "/usr/bin/conmon");
  const std::string line = join(argv, " ");
  EXPECT_THAT(line, AllOf(HasSubstr("--cid c1 "), HasSubstr("--runtime /usr/bin/nexcage "),
                          HasSubstr("--log-path k8s-file:" + job.bundle + "/ctr.log "),
                          HasSubstr("--runtime-arg=--root --runtime-arg=/run/x"),
                          HasSubstr("--runtime-opt=--prepared"),
                          HasSubstr("--exit-command=/usr/bin/nexcage "
                                    "--exit-command-arg=delete --exit-command-arg=--force")));
  EXPECT_THAT(argv, Not(Contains("--terminal")));
  job.terminal = true;
  EXPECT_THAT(conmon_command(job, "conmon"), Contains("--terminal"));
}

TEST_F(MonitorTest, reports_the_pid) {
  Settings settings;
  settings.conmon = write_script("echo '{\"data\": 4711}' >&$_OCI_SYNCPIPE\n");
  const auto pid = start_monitor(job(), settings);
  ASSERT_OK(pid);
  EXPECT_EQ(*pid, 4711);
}

TEST_F(MonitorTest, inner_error_comes_back_as_it_was) {
  Settings settings;
  settings.conmon = write_script(
      "echo '{\"level\":\"error\",\"msg\":\"create: mount: no such file\",\"code\":\"LayerError\","
      "\"errno\":2,\"frames\":[{\"text\":\"mount\"},{\"text\":\"create\"}],\"hint\":\"do it\"}' "
      "> " +
      directory_->path() +
      "/create.log\necho '{\"data\": -1, \"message\": \"x\"}' >&$_OCI_SYNCPIPE\n");
  const auto pid = start_monitor(job(), settings);
  EXPECT_ERROR(pid, Errc::LayerError, HasSubstr("create: mount: no such file or directory"));
  EXPECT_EQ(pid.error().sys_errno(), ENOENT);
  EXPECT_EQ(pid.error().hint(), "do it");
}

TEST_F(MonitorTest, a_silent_or_missing_monitor_is_an_error) {
  Settings settings;
  settings.conmon = write_script("exit 1\n");
  EXPECT_ERROR(start_monitor(job(), settings), Errc::RuntimeNotAvailable,
               HasSubstr("without a report"));
  settings.conmon = write_script("echo '{\"data\": -1, \"message\": \"no\"}' >&$_OCI_SYNCPIPE\n");
  EXPECT_ERROR(start_monitor(job(), settings), Errc::RuntimeNotAvailable, HasSubstr("no"));
  settings.conmon = "no-such-monitor";
  const auto missing = start_monitor(job(), settings);
  EXPECT_ERROR(missing, Errc::RuntimeNotAvailable, HasSubstr("no-such-monitor"));
  EXPECT_THAT(missing.error().hint(), HasSubstr("conmon"));
}

TEST_F(MonitorTest, exit_record_is_read_when_it_is_whole) {
  const auto none = ExitRecord::open(directory_->path(), "c1");
  ASSERT_OK(none);
  EXPECT_FALSE(none->has_value());
  const auto record = ExitRecord::create(directory_->path(), "c1");
  ASSERT_OK(record);
  EXPECT_EQ(*record->read(), std::nullopt);
  EXPECT_ERROR(record->read_soon(std::chrono::milliseconds(5)), Errc::Timeout, HasSubstr("c1"));
  EXPECT_OK(sys::write_file_atomic(directory_->path() + "/exit/c1", "", 0600, sys::Durable::no));
  EXPECT_EQ(*record->read(), std::nullopt);
  ASSERT_OK(record->write(137));
  EXPECT_EQ(*record->read(), 137);
  EXPECT_EQ(*record->read_soon(std::chrono::milliseconds(0)), 137);
}

TEST_F(MonitorTest, exit_record_is_forgotten) {
  const auto record = ExitRecord::create(directory_->path(), "c1");
  ASSERT_OK(record);
  EXPECT_OK(record->forget());
  ASSERT_OK(record->write(3));
  EXPECT_OK(record->forget());
  EXPECT_EQ(*record->read(), std::nullopt);
}

TEST_F(MonitorTest, only_the_containers_own_monitor_is_waited_for) {
  const std::string file = directory_->path() + "/conmon.pid";
  const auto soon = std::chrono::milliseconds(10);
  EXPECT_OK(await_monitor(directory_->path(), soon));  // never had one
  // Another process that has got its pid.
  std::ofstream(file) << getpid();
  EXPECT_OK(await_monitor(directory_->path(), soon));
  sys::Command command;
  command.argv = {"/usr/bin/tail", "-n0", "-f", file};
  auto child = sys::Child::spawn(command);
  ASSERT_OK(child);
  // A child that has just begun to execute has no arguments for a moment.
  const std::string arguments = "/proc/" + std::to_string(child->pid()) + "/cmdline";
  while (std::ifstream(arguments).peek() == std::ifstream::traits_type::eof()) ::sched_yield();
  std::ofstream(file) << child->pid();
  EXPECT_ERROR(await_monitor(directory_->path(), soon), Errc::Timeout, HasSubstr("conmon"));
  child->kill_and_wait();
  EXPECT_OK(await_monitor(directory_->path(), soon));
}

TEST_F(MonitorTest, removal_waits_for_a_reader_but_not_for_ever) {
  const auto record = ExitRecord::create(directory_->path(), "c1");
  ASSERT_OK(record);
  auto lock = record->hold();
  ASSERT_OK(lock);
  const auto before = std::chrono::steady_clock::now();
  record->wait_for_readers(std::chrono::milliseconds(30));
  // The lock is polled, so it may give up a little early.
  EXPECT_GE(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(20));
}

TEST(ErrorFromLog, takes_the_last_error_and_skips_what_is_no_record) {
  EXPECT_FALSE(error_from_log("").has_value());
  EXPECT_FALSE(error_from_log("garbage\n{\"level\":\"info\",\"msg\":\"x\"}\n").has_value());
  const auto error = error_from_log(
      "{\"level\":\"error\",\"msg\":\"a\",\"code\":\"FileError\"}\n"
      "{\"level\":\"error\",\"msg\":\"b\",\"code\":\"HookError\"}\n{\"level\":\"warning\"}\n");
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code(), Errc::HookError);
  EXPECT_EQ(error->message(), "b");
}

}  // namespace
}  // namespace nexcage::runtime
