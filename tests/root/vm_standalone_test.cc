// Machines that stand alone, really booted (emulated) from a boot disk, with what Proxmox VE gives
// them: no helper, a console, and the port of the QEMU guest agent.
#include <gtest/gtest.h>

#include "nexcage/sys/plan.h"
#include "standalone_fixture.h"

namespace nexcage {
namespace {

using nexcage::testing::exec_plan;
using nexcage::testing::run_tool;
using nexcage::testing::SocketClient;
using nexcage::testing::StandaloneMachine;
using ::testing::HasSubstr;

/// Shell words for `guest-exec`, with these further members.
std::string shell(const std::string& script, const std::string& more = "\"capture-output\":true") {
  json::Array words;
  for (const std::string& word : {std::string("sh"), std::string("-c"), script})
    words.emplace_back(word);
  return R"({"path":"/bin/busybox","arg":)" + json::dump(json::Value(std::move(words))) + "," +
         more + "}";
}

std::string decoded(const json::Value& status, std::string_view name) {
  return base64_decode(status.text(name)).value_or("(no Base64)");
}

class VmStandalone : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    for (const char* tool : {"qemu-system-x86_64", "mke2fs", "depmod", "dpkg-deb", "lz4",
                             "mkfs.vfat", "mcopy", "syslinux"})
      if (!sys::find_system_program(tool)) GTEST_SKIP() << "needs " << tool;
    if (::access("/bin/busybox", X_OK) != 0) GTEST_SKIP() << "needs busybox-static";
  }
  void TearDown() override {
    if (HasFailure() && machine) std::fprintf(stderr, "%s\n", machine->console().c_str());
  }
  StandaloneMachine& make(const std::string& script, bool terminal = false) {
    machine.emplace(script, terminal);
    return *machine;
  }
  /// What dumpe2fs says of the root's disk.
  std::string file_system() const {
    return run_tool({"dumpe2fs", "-h", machine->path("root.raw")}).value_or("(none)");
  }

  std::optional<StandaloneMachine> machine;
};

TEST_F(VmStandalone, output_and_end_are_on_the_console_and_the_machine_turns_itself_off) {
  make(
      "echo out; echo wrong >&2; echo kept >/etc/kept; head -c 100000 /dev/zero | tr '\\0' x; exit "
      "7");
  machine->with_agent_port = false;
  ASSERT_OK(machine->boot());
  EXPECT_TRUE(machine->off());
  const std::string console = machine->console();
  EXPECT_THAT(console, HasSubstr("out\nwrong\n" + std::string(100000, 'x') +
                                 "nexcage: ended with exit status 7\n"));
  EXPECT_THAT(file_system(), HasSubstr("Block count:              16384\n"));
  EXPECT_THAT(file_system(), ::testing::Not(HasSubstr("needs_recovery")));
  EXPECT_EQ(run_tool({"debugfs", "-R", "cat /etc/kept", machine->path("root.raw")}).value_or(""),
            "kept\n");
}

TEST_F(VmStandalone, a_container_that_cannot_be_made_says_why) {
  make("");
  sys::plan::Plan plan = nexcage::testing::container_plan("");
  plan.process.args = {"/nothere"};
  machine->record.prepare.plan = sys::plan::encode(plan);
  ASSERT_OK(machine->boot());
  EXPECT_TRUE(machine->off());
  EXPECT_THAT(machine->console(), HasSubstr("nexcage: "));
  EXPECT_THAT(machine->console(), HasSubstr("/nothere"));
}

TEST_F(VmStandalone, a_terminal_is_the_console) {
  make("stty size; read line; echo \"got $line\"; exit 4", true);
  ASSERT_OK(machine->boot());
  ASSERT_TRUE(machine->console_says("33 99"));
  SocketClient client = machine->console_client();
  ASSERT_TRUE(client);
  client.send("word\r");
  EXPECT_TRUE(machine->off());
  EXPECT_THAT(machine->console(),
              HasSubstr("33 99\nword\ngot word\nnexcage: ended with exit status 4\n"));
}

TEST_F(VmStandalone, one_that_does_not_listen_is_killed_in_time) {
  make("trap '' TERM; echo ready; while :; do sleep 0.1; done");
  machine->record.stop_seconds = 1;
  ASSERT_OK(machine->boot());
  ASSERT_TRUE(machine->console_says("ready"));
  SocketClient client = machine->agent_client();
  client.send("{\"execute\":\"guest-shutdown\",\"arguments\":{\"mode\":\"powerdown\"}}\n");
  EXPECT_TRUE(machine->off());
  EXPECT_THAT(machine->console(), HasSubstr("nexcage: ended by SIGKILL\n"));
}

/// One machine for all of this: booting it is what takes the time.
class VmGuestAgent : public VmStandalone {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(VmStandalone::SetUp());
    if (IsSkipped()) return;
    make(
        "trap 'echo stopping; exit 3' TERM; echo one >/tmp/file; echo ready; "
        "while :; do sleep 0.1; done");
    machine->root_size = "64M";
    ASSERT_OK(machine->boot());
    ASSERT_TRUE(machine->console_says("ready"));
  }
  void conversation();
  void processes();
  void own_plans();
  void much_output();
};

void VmGuestAgent::conversation() {
  // Whatever a client leaves behind, the next one is served.
  for (const std::string& garbage :
       {std::string("garbage\n"), std::string("{\"execute\":"), std::string(3u << 20, 'x'),
        std::string(1000, '\0'), std::string("\xff\xfe\n[[[[[[\n{}\n")}) {
    const json::Value answer = machine->ask("guest-ping", "{}", garbage + "\xff");
    ASSERT_NE(answer.find("return"), nullptr) << json::dump(answer);
  }
  EXPECT_THAT(json::dump(machine->ask("guest-info")), HasSubstr("\"guest-exec-status\""));
  EXPECT_THAT(json::dump(machine->ask("guest-file-open")), HasSubstr("CommandNotFound"));
  EXPECT_THAT(
      json::dump(machine->ask("guest-network-get-interfaces")),
      HasSubstr("{\"ip-address\":\"127.0.0.1\",\"ip-address-type\":\"ipv4\",\"prefix\":8}"));
  EXPECT_THAT(json::dump(machine->ask("guest-get-osinfo")), HasSubstr("kernel-release"));
  EXPECT_THAT(json::dump(machine->ask("guest-exec-status", "{\"pid\":4000}")),
              HasSubstr("does not exist"));
}

void VmGuestAgent::processes() {
  const json::Value status =
      machine->run(shell("cat /tmp/file; cat; echo \"$NAME\" >&2; exit 7",
                         R"("capture-output":true,"input-data":"dHlwZWQK","env":["NAME=value"])"));
  EXPECT_THAT(json::dump(status), HasSubstr("\"exitcode\":7,"));
  EXPECT_EQ(decoded(status, "out-data"), "one\ntyped\n");
  EXPECT_EQ(decoded(status, "err-data"), "value\n");
  const json::Value killed = machine->run(shell("kill -TERM $$", "\"capture-output\":\"merged\""));
  EXPECT_EQ(json::dump(killed), R"({"exited":true,"signal":15})");
  const json::Value merged =
      machine->run(shell("echo out; echo err >&2", "\"capture-output\":\"merged\""));
  EXPECT_EQ(decoded(merged, "out-data"), "out\nerr\n");
  const json::Value missing = machine->run(R"({"path":"/nothere"})");
  EXPECT_THAT(json::dump(missing), HasSubstr("\"GenericError\""));
  EXPECT_THAT(json::dump(missing), HasSubstr("/nothere"));
}

void VmGuestAgent::own_plans() {
  sys::plan::Plan plan = exec_plan("id -u; id -g; pwd");
  plan.process.uid = 1000;
  plan.process.gid = 1001;
  plan.process.cwd = "/tmp";
  const auto given = [](const sys::plan::Plan& one) {
    const std::string bytes = encode(vm::protocol::Exec{.plan = sys::plan::encode(one)});
    return R"({"path":"nexcage-exec","capture-output":true,"arg":[")" + base64_encode(bytes) +
           "\"]}";
  };
  const json::Value status = machine->run(given(plan));
  EXPECT_EQ(decoded(status, "out-data"), "1000\n1001\n/tmp\n") << json::dump(status);
  EXPECT_THAT(json::dump(machine->run(given(exec_plan("", true)))), HasSubstr("terminal"));
  EXPECT_THAT(json::dump(machine->run(R"({"path":"nexcage-exec","arg":["bm9uZQ=="]})")),
              HasSubstr("damaged exec"));
}

void VmGuestAgent::much_output() {
  const json::Value status = machine->run(shell("head -c 17000000 /dev/zero; exit 1"));
  EXPECT_EQ(decoded(status, "out-data").size(), 16u << 20);
  ASSERT_NE(status.find("out-truncated"), nullptr);
  EXPECT_EQ(status.find("err-truncated"), nullptr);
  const json::Value after = machine->run(shell("df -k / | tail -1"));
  EXPECT_THAT(decoded(after, "out-data"), HasSubstr("/\n"));
}

TEST_F(VmGuestAgent, serves_its_clients_and_shuts_down) {
  ASSERT_NO_FATAL_FAILURE(conversation());
  ASSERT_NO_FATAL_FAILURE(processes());
  ASSERT_NO_FATAL_FAILURE(own_plans());
  ASSERT_NO_FATAL_FAILURE(much_output());
  (void)machine->ask("guest-shutdown", "{}", {}, std::chrono::seconds(1));
  EXPECT_TRUE(machine->off());
  EXPECT_THAT(machine->console(), HasSubstr("stopping\nnexcage: ended with exit status 3\n"));
  // The file system has the size of its disk, and was left in order.
  EXPECT_THAT(file_system(), HasSubstr("Block count:              65536\n"));
  EXPECT_THAT(file_system(), ::testing::Not(HasSubstr("needs_recovery")));
  EXPECT_OK(run_tool({"e2fsck", "-fn", machine->path("root.raw")}));
}

}  // namespace
}  // namespace nexcage
