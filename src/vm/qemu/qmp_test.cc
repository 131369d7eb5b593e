#include "nexcage/vm/qemu/qmp.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>

#include "result_matchers.h"

namespace nexcage::vm::qemu {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr milliseconds kTime(5'000);

/// A QEMU that has said everything before it was asked.
class Monitor : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
  }
  void say(const std::string& text) const {
    ASSERT_EQ(::write(theirs_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  static std::string opened() { return "{\"QMP\": {}}\n{\"return\": {}, \"id\": 1}\n"; }
  UniqueFd ours_, theirs_;
};

TEST_F(Monitor, AnswersAreToldByTheirIds) {
  say(opened() + "{\"event\": \"STOP\", \"id\": 9}\n{\"return\": {\"a\": 1}, \"id\": 2}\n");
  auto monitor = Qmp::open(std::move(ours_), kTime);
  ASSERT_OK(monitor);
  const auto answer = monitor->execute("query-status", kTime);
  ASSERT_OK(answer);
  EXPECT_EQ(answer->find("a")->as_i64(), 1);
}

TEST_F(Monitor, AnAnswerToSomethingElseIsNone) {
  say(opened() + "{\"return\": {}, \"id\": 7}\n");
  auto monitor = Qmp::open(std::move(ours_), kTime);
  ASSERT_OK(monitor);
  EXPECT_ERROR(monitor->execute("stop", kTime), Errc::RuntimeError, HasSubstr("something else"));
}

TEST_F(Monitor, AnErrorIsTold) {
  say(opened() + "{\"error\": {\"desc\": \"no such thing\"}, \"id\": 2}\n");
  auto monitor = Qmp::open(std::move(ours_), kTime);
  ASSERT_OK(monitor);
  EXPECT_ERROR(monitor->execute("stop", kTime), Errc::RuntimeError, HasSubstr("no such thing"));
}

// A full pipe would have QEMU wait for the one who waits for QEMU.
TEST_F(Monitor, OutputIsReadMeanwhile) {
  say("{\"QMP\": {}}\n");
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd output(ends[0]), writer(ends[1]);
  ASSERT_EQ(::write(writer.get(), "x", 1), 1);
  bool read = false;
  const Meanwhile meanwhile{.fd = output.get(), .read = [&] {
                              char byte = 0;
                              read = ::read(output.get(), &byte, 1) == 1;
                              say("{\"return\": {}, \"id\": 1}\n");
                              return true;
                            }};
  EXPECT_OK(Qmp::open(std::move(ours_), kTime, meanwhile));
  EXPECT_TRUE(read);
}

TEST_F(Monitor, SilenceIsATimeout) {
  say("{\"QMP\": {}}\n");
  EXPECT_ERROR(Qmp::open(std::move(ours_), milliseconds(20)), Errc::Timeout,
               HasSubstr("does not answer"));
}

}  // namespace
}  // namespace nexcage::vm::qemu
