#include "nexcage/vm/host/host.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/plan_message.h"
#include "nexcage/sys/process.h"
#include "nexcage/vm/host/control.h"
#include "nexcage/vm/protocol/frame.h"
#include "nexcage/vm/protocol/message.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::vm::host {
namespace {

using protocol::Type;
using sys::plan::MessageKind;
using ::testing::HasSubstr;

constexpr std::chrono::seconds kAnswerTime(20);

/// A word of a shell script that printf(1) turns into the frame.
std::string frame(Type type, std::string_view payload = {}) {
  std::string bytes, out;
  protocol::append_frame(bytes, type, protocol::kContainerSession, payload);
  for (const char c : bytes) {
    std::array<char, 5> octal{};
    (void)std::snprintf(octal.data(), octal.size(), "\\%03o", static_cast<unsigned char>(c));
    out += octal.data();
  }
  return out;
}

/// The helper of a machine, in a process of its own, and a script in QEMU's place that says what a
/// guest would.
class HostOfAMachine : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "a machine becomes another user";
    directory_ = scratch_parent() + "/host-XXXXXX";
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);  // the script is run by nobody
    write("kernel", "kernel");
  }
  void TearDown() override {
    if (helper_ > 0) {
      (void)::kill(helper_, SIGKILL);
      (void)::waitpid(helper_, nullptr, 0);
    }
    if (!directory_.empty()) (void)sys::remove_tree(directory_);
  }
  void write(const std::string& name, std::string_view text) const {
    ASSERT_OK(sys::write_file_atomic(directory_ + "/" + name, text, 0755, sys::Durable::no));
  }
  /// Runs one whose guest says these frames and then stands still.
  void run(const std::string& frames) {
    write("qemu", "#!/bin/bash\nprintf '" + frames + "' >&10\nexec sleep 60\n");
    Launch launch;
    launch.qemu = directory_ + "/qemu";
    launch.machine.kernel = directory_ + "/kernel";
    launch.state_dir = directory_;
    launch.start_seconds = 60;
    auto channel = sys::socket_pair();
    ASSERT_OK(channel);
    channel_ = std::move(channel->first);
    helper_ = ::fork();
    ASSERT_GE(helper_, 0);
    if (helper_ == 0) {
      channel_.reset();
      ::_exit(Host(launch, "plan", std::move(channel->second)).run());
    }
  }
  /// The next word to the creator, its kind first.
  std::string word() const {
    const auto message = sys::receive_message(channel_.get());
    return message ? message->data : message.error().message();
  }
  Result<json::Value> ask_for(const char* verb) const {
    json::Object request;
    request.set("verb", verb);
    return ask(directory_, std::move(request), kAnswerTime);
  }
  int ended() {
    int status = 0;
    EXPECT_EQ(::waitpid(std::exchange(helper_, 0), &status, 0) > 0, true);
    return sys::exit_code(status);
  }
  std::string reason() const {
    return sys::read_file(AT_FDCWD, directory_ + "/" + kReasonFile).value_or(std::string());
  }
  std::string directory_;
  UniqueFd channel_;
  pid_t helper_ = 0;
};

const std::string kReady(1, static_cast<char>(MessageKind::ready));

std::string greeting() { return frame(Type::hello, encode(protocol::Hello{})); }

TEST_F(HostOfAMachine, AGuestThatStartsWithoutBeingToldIsLost) {
  run(greeting() + frame(Type::prepared) + frame(Type::started, encode(protocol::Started{1})));
  EXPECT_EQ(word(), kReady);
  EXPECT_EQ(ended(), kLostCode);
  EXPECT_THAT(reason(), HasSubstr("was not to be started"));
}

TEST_F(HostOfAMachine, AMachineIsNotPausedWhileItStarts) {
  run(greeting() + frame(Type::prepared));
  ASSERT_EQ(word(), kReady);
  auto start = connect(directory_);
  ASSERT_OK(start);
  json::Object request;
  request.set("verb", "start");
  ASSERT_OK(tell(start->get(), std::move(request)));
  // The helper hears its clients in the order in which they came.
  EXPECT_ERROR(ask_for("pause"), Errc::InvalidState, HasSubstr("being started"));
  const auto status = ask_for("status");
  ASSERT_OK(status);
  EXPECT_EQ(status->text("status"), "created");
}

TEST_F(HostOfAMachine, AProcessThatHasEndedHasItsCodeThoughTheGuestBreaksOff) {
  run(greeting() + frame(Type::prepared) + frame(Type::exit, encode(protocol::Exit{.code = 7})) +
      frame(Type::hello, encode(protocol::Hello{})));
  EXPECT_EQ(word(), kReady);
  EXPECT_EQ(ended(), 7);
}

}  // namespace
}  // namespace nexcage::vm::host
