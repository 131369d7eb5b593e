// Seccomp notifications: the agent behind linux.seccomp.listenerPath gets the descriptor and
// answers.
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <atomic>
#include <thread>

#include "container_fixture.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/pty.h"

namespace nexcage {
namespace {

using ::testing::HasSubstr;

/// Listens for one container after the other, lets every call go on but mkdir, of which it says
/// that it was done.
class Agent {
 public:
  explicit Agent(const std::string& dir) {
    UniqueFd at(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto listener = sys::listen_unix(at.get(), "agent.sock", SOCK_STREAM, 0600);
    if (listener) listener_ = *std::move(listener);
    thread_ = std::thread([this] { serve(); });
  }
  ~Agent() {
    stop_ = true;
    thread_.join();
  }
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  Agent(Agent&&) = delete;
  Agent& operator=(Agent&&) = delete;

  std::vector<std::string> states;  // read after the container has ended
  std::atomic<int> answered = 0;

 private:
  void serve() {
    while (!stop_) {
      std::vector<pollfd> fds = {{.fd = listener_.get(), .events = POLLIN, .revents = 0}};
      for (const UniqueFd& fd : notifications_)
        fds.push_back({.fd = fd.get(), .events = POLLIN, .revents = 0});
      if (::poll(fds.data(), fds.size(), 20) <= 0) continue;
      for (std::size_t i = 1; i < fds.size(); ++i)
        if ((fds[i].revents & POLLIN) != 0) answer(fds[i].fd);
      if (fds[0].revents != 0) accept_one();
    }
  }
  void accept_one() {
    UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    auto message = sys::receive_message(peer.get());
    if (!message) return;
    states.push_back(message->data);
    for (UniqueFd& fd : message->fds) notifications_.push_back(std::move(fd));
  }
  void answer(int fd) {
    seccomp_notif call{};
    if (::ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0) return;
    seccomp_notif_resp reply{};
    reply.id = call.id;
    const bool faked = call.data.nr == SYS_mkdir || call.data.nr == SYS_mkdirat;
    if (!faked) reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    (void)::ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &reply);
    ++answered;
  }

  UniqueFd listener_;
  std::vector<UniqueFd> notifications_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

class LxcNotify : public testing::ContainerTest {
 protected:
  /// Rules also for calls that the first process itself makes between the filter and execve.
  void notify_all() {
    spec.linux_->seccomp = oci::Seccomp{};
    spec.linux_->seccomp->default_action = "SCMP_ACT_ALLOW";
    spec.linux_->seccomp->listener_path = scratch + "/agent.sock";
    spec.linux_->seccomp->listener_metadata = "meta \"data\"";
    spec.linux_->seccomp->flags = {"SECCOMP_FILTER_FLAG_TSYNC"};
    spec.linux_->seccomp->syscalls.push_back(
        {.names = {"mkdir", "mkdirat", "capset", "execve", "sendmsg", "futex", "close"},
         .action = "SCMP_ACT_NOTIFY",
         .errno_ret = {},
         .args = {}});
  }
};

TEST_F(LxcNotify, TheAgentAnswersForTheContainer) {
  notify_all();
  Agent agent(scratch);
  auto text = output_of("mkdir /tmp/faked && echo done; ls /tmp | grep -c faked");
  ASSERT_OK(text);
  EXPECT_EQ(*text, "done\n0\n");
  EXPECT_GT(agent.answered, 1);
  ASSERT_EQ(agent.states.size(), 1u);
  auto state = json::parse(agent.states[0]);
  ASSERT_OK(state);
  EXPECT_EQ(state->find("pid")->as_i64(), record.init.pid);
  EXPECT_EQ(*state->find("metadata")->if_string(), "meta \"data\"");
  EXPECT_THAT(agent.states[0], HasSubstr("\"fds\":[\"seccompFd\"]"));
  EXPECT_EQ(*state->find("state")->find("id")->if_string(), id);
}

TEST_F(LxcNotify, ForAnExecutedProcessToo) {
  notify_all();
  Agent agent(scratch);
  ASSERT_OK(create_and_start());
  auto started = backend->exec(
      record, spec, exec_request({"sh", "-c", "mkdir /tmp/faked && test ! -e /tmp/faked"}));
  ASSERT_OK(started);
  EXPECT_EQ(sys::exit_code(*started->child.wait()), 0);
  ASSERT_EQ(agent.states.size(), 2u);
  auto state = json::parse(agent.states[1]);
  ASSERT_OK(state);
  EXPECT_EQ(state->find("pid")->as_i64(), started->child.pid());
}

TEST_F(LxcNotify, WithoutAnAgentTheContainerDoesNotStart) {
  notify_all();
  ASSERT_OK(create());
  auto started = backend->start(record);
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().message(), HasSubstr("linux.seccomp.listenerPath " + scratch));
  EXPECT_TRUE(testing::eventually([&] { return !*sys::is_alive(record.init); }));
}

}  // namespace
}  // namespace nexcage
