// The agent in a virtual machine that is really booted (emulated), spoken to over its virtio-serial
// port as the vm helper does.
#include <gtest/gtest.h>

#include <csignal>

#include "agent_fixture.h"

namespace nexcage {
namespace {

using nexcage::testing::AgentMachine;
using nexcage::testing::container_plan;
using nexcage::testing::exec_plan;
using vm::protocol::Stream;
using vm::protocol::Type;

class VmAgent : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    for (const char* tool : {"qemu-system-x86_64", "mke2fs", "depmod", "dpkg-deb", "lz4"})
      if (!sys::find_program(tool)) GTEST_SKIP() << "needs " << tool;
    if (::access("/bin/busybox", X_OK) != 0) GTEST_SKIP() << "needs busybox-static";
    const auto booted = machine_.boot();
    ASSERT_OK(booted);
  }
  void TearDown() override {
    if (HasFailure())
      (void)std::fprintf(stderr, "%s\n%s\n", machine_.trouble.c_str(), machine_.console().c_str());
  }
  void prepared(const std::string& script, bool terminal = false) {
    machine_.prepare(container_plan(script, terminal));
    ASSERT_TRUE(machine_.until([&] { return seen().prepared || seen().over(); }));
    ASSERT_FALSE(seen().failure) << seen().failure->text;
    ASSERT_TRUE(seen().prepared);
  }
  void running(const std::string& script, bool terminal = false) {
    ASSERT_NO_FATAL_FAILURE(prepared(script, terminal));
    machine_.mux.send(Type::start, 0);
    ASSERT_TRUE(machine_.until([&] { return seen().started || seen().over(); }));
  }
  bool ended(std::uint32_t session = 0) {
    return machine_.until([&] { return machine_.seen[session].over(); });
  }
  void send_signal(std::uint32_t session, int number, bool all = false) {
    machine_.mux.send(
        Type::signal, session,
        encode(vm::protocol::Signal{.number = static_cast<std::uint32_t>(number), .all = all}));
  }
  testing::Seen& seen(std::uint32_t session = 0) { return machine_.seen[session]; }
  static std::pair<std::uint32_t, std::uint32_t> how(const testing::Seen& seen) {
    return {seen.exit.value().code, seen.exit.value().signal};
  }

  AgentMachine machine_;
};

using End = std::pair<std::uint32_t, std::uint32_t>;

TEST_F(VmAgent, a_process_runs_and_its_output_and_exit_status_arrive) {
  ASSERT_NO_FATAL_FAILURE(running("hostname; echo wrong >&2; echo $$; exit 7"));
  ASSERT_TRUE(ended());
  RecordProperty("seconds", std::to_string(machine_.seconds()));
  EXPECT_EQ(seen().out, "guest\n1\n");
  EXPECT_EQ(seen().err, "wrong\n");
  EXPECT_EQ(how(seen()), (End{7, 0}));
  EXPECT_TRUE(machine_.shut_down());
}

TEST_F(VmAgent, further_processes_are_in_the_container_and_streams_are_their_own) {
  ASSERT_NO_FATAL_FAILURE(running("echo one >/tmp/file; echo there; exec sleep 1000"));
  ASSERT_TRUE(machine_.until([&] { return seen().out == "there\n"; }));
  machine_.exec(5, exec_plan("cat /tmp/file; sh -c 'echo $PPID' >/dev/null; cat; exit 3"));
  ASSERT_TRUE(machine_.until([&] { return seen(5).started || seen(5).over(); }));
  machine_.mux.send_data(5, Stream::in, "typed\n");
  machine_.mux.send_eof(5, Stream::in);
  ASSERT_TRUE(ended(5));
  ASSERT_TRUE(seen(5).exit) << seen(5).failure->text;
  EXPECT_EQ(seen(5).out, "one\ntyped\n");
  EXPECT_EQ(how(seen(5)), (End{3, 0}));
  // Ended by a signal; a program that is not there; and the container still runs.
  machine_.exec(6, exec_plan("sleep 1000"));
  ASSERT_TRUE(machine_.until([&] { return seen(6).started; }));
  send_signal(6, SIGTERM);
  ASSERT_TRUE(ended(6));
  EXPECT_EQ(how(seen(6)), (End{0, SIGTERM}));
  sys::plan::Plan missing = exec_plan("");
  missing.process.args = {"nothere"};
  machine_.exec(7, missing);
  ASSERT_TRUE(ended(7));
  ASSERT_TRUE(seen(7).failure);
  EXPECT_THAT(seen(7).failure->text, ::testing::HasSubstr("executable file not found in $PATH"));
  EXPECT_FALSE(seen(0).over());
  send_signal(0, SIGKILL);
  ASSERT_TRUE(ended());
  EXPECT_EQ(how(seen()), (End{0, SIGKILL}));
  EXPECT_TRUE(machine_.shut_down());
}

TEST_F(VmAgent, terminals_have_a_size_and_echo) {
  ASSERT_NO_FATAL_FAILURE(
      running("stty size; read line; stty size; echo \"got $line\"; exit 4", true));
  ASSERT_TRUE(machine_.until([&] { return seen().out.find("33 99\n") != std::string::npos; }));
  machine_.mux.send(Type::winsize, 0, encode(vm::protocol::WindowSize{.rows = 20, .columns = 60}));
  machine_.mux.send_data(0, Stream::in, "word\n");
  ASSERT_TRUE(ended());
  EXPECT_EQ(seen().out, "33 99\nword\n20 60\ngot word\n");
  EXPECT_EQ(how(seen()), (End{4, 0}));
}

TEST_F(VmAgent, much_output_arrives_whole_and_a_slow_reader_stops_its_writer_only) {
  constexpr std::size_t kSize = 100u << 20;
  ASSERT_NO_FATAL_FAILURE(prepared("head -c 104857600 /dev/zero; echo end"));
  machine_.read_slowly = true;
  machine_.mux.send(Type::start, 0);
  ASSERT_TRUE(machine_.until([&] { return seen().out.size() == vm::protocol::kWindow; }));
  machine_.exec(1, exec_plan("echo aside"));
  ASSERT_TRUE(ended(1));
  EXPECT_EQ(seen(1).out, "aside\n");
  EXPECT_EQ(seen().out.size(), vm::protocol::kWindow);
  machine_.read_slowly = false;
  const double before = machine_.seconds();
  machine_.mux.consumed(0, Stream::out, vm::protocol::kWindow);
  ASSERT_TRUE(ended());
  RecordProperty("seconds", std::to_string(machine_.seconds() - before));
  EXPECT_EQ(seen().out.size(), kSize + 4);
  EXPECT_EQ(seen().out.find_first_not_of('\0'), kSize);
  EXPECT_TRUE(seen().out.ends_with("end\n"));
}

TEST_F(VmAgent, input_waits_for_its_reader) {
  ASSERT_NO_FATAL_FAILURE(running("read line; echo $line; wc -c"));
  std::string left(1u << 20, 'x');
  left[0] = '\n';
  machine_.mux.send_data(0, Stream::in, "first");
  ASSERT_TRUE(machine_.until([&] {
    const std::size_t now = std::min(left.size(), machine_.mux.window(0, Stream::in));
    machine_.mux.send_data(0, Stream::in, left.substr(0, now));
    left.erase(0, now);
    return left.empty();
  }));
  machine_.mux.send_eof(0, Stream::in);
  ASSERT_TRUE(ended());
  EXPECT_EQ(seen().out, "first\n1048575\n");
}

TEST_F(VmAgent, a_waiting_container_can_be_ended_and_errors_of_its_making_are_told) {
  ASSERT_NO_FATAL_FAILURE(prepared("true"));
  send_signal(0, SIGTERM);
  ASSERT_TRUE(ended());
  EXPECT_EQ(how(seen()), (End{0, SIGTERM}));
  EXPECT_FALSE(seen().started);
  EXPECT_TRUE(machine_.shut_down());
}

TEST_F(VmAgent, a_program_that_is_missing_is_an_error_of_create) {
  sys::plan::Plan plan = container_plan("");
  plan.process.args = {"/nothere"};
  machine_.prepare(plan);
  ASSERT_TRUE(ended());
  ASSERT_TRUE(seen().failure);
  EXPECT_EQ(seen().failure->error, ENOENT);
  EXPECT_THAT(seen().failure->text, ::testing::HasSubstr("exec: \"/nothere\""));
}

}  // namespace
}  // namespace nexcage
