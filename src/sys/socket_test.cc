// Messages, descriptors and unix sockets.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "nexcage/sys/pty.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::sys {
namespace {

using testing::HasSubstr;

std::size_t open_descriptors() {
  auto dir = open_at(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY);
  return list_dir(dir->get())->size();
}

SocketPair pair() {
  auto made = socket_pair();
  EXPECT_OK(made);
  return *std::move(made);
}

TEST(Message, text_descriptors_and_sender_arrive_together) {
  SocketPair ends = pair();
  auto one = sealed_data("one", "one");
  auto two = sealed_data("two", "two");
  const int fds[] = {one->get(), two->get()};
  ASSERT_OK(send_message(ends.second.get(), "hello", fds));
  auto message = receive_message(ends.first.get());
  ASSERT_OK(message);
  EXPECT_EQ(message->data, "hello");
  EXPECT_EQ(message->sender, ::getpid());
  ASSERT_EQ(message->fds.size(), 2u);
  EXPECT_EQ(read_all(message->fds[0].get()).value_or("?"), "one");
  EXPECT_EQ(read_all(message->fds[1].get()).value_or("?"), "two");
  EXPECT_EQ(::fcntl(message->fds[0].get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST(Message, the_sender_is_who_sent_not_who_made_the_socket) {
  SocketPair ends = pair();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(send_message(ends.second.get(), "x") ? 0 : 1);
  auto message = receive_message(ends.first.get());
  ASSERT_OK(message);
  EXPECT_EQ(message->sender, child);
  ::waitpid(child, nullptr, 0);
}

TEST(Message, boundaries_are_kept) {
  SocketPair ends = pair();
  ASSERT_OK(send_message(ends.first.get(), "a"));
  ASSERT_OK(send_message(ends.first.get(), "bc"));
  EXPECT_EQ(receive_message(ends.second.get())->data, "a");
  EXPECT_EQ(receive_message(ends.second.get())->data, "bc");
}

TEST(Message, the_end_of_the_connection_is_an_empty_message) {
  SocketPair ends = pair();
  ends.second.reset();
  auto message = receive_message(ends.first.get());
  ASSERT_OK(message);
  EXPECT_EQ(message->data, "");
  EXPECT_TRUE(message->fds.empty());
  EXPECT_EQ(message->sender, std::nullopt);
  EXPECT_ERROR(send_message(ends.first.get(), "x"), Errc::FileError, HasSubstr("broken pipe"));
}

TEST(Message, too_long_is_refused_and_its_descriptors_are_closed) {
  SocketPair ends = pair();
  auto file = sealed_data("x", "x");
  const int fds[] = {file->get()};
  ASSERT_OK(send_message(ends.second.get(), "12345", fds));
  const std::size_t before = open_descriptors();
  EXPECT_ERROR(receive_message(ends.first.get(), 4), Errc::FileError, HasSubstr("too long"));
  EXPECT_EQ(open_descriptors(), before);
  ASSERT_OK(send_message(ends.second.get(), "1234"));
  EXPECT_EQ(receive_message(ends.first.get(), 4)->data, "1234");
}

TEST(Message, the_limit_of_descriptors_is_the_kernels) {
  SocketPair ends = pair();
  std::vector<int> fds(253, STDIN_FILENO);
  ASSERT_OK(send_message(ends.second.get(), "x", fds));
  EXPECT_EQ(receive_message(ends.first.get())->fds.size(), 253u);
  fds.push_back(STDIN_FILENO);
  EXPECT_ERROR(send_message(ends.second.get(), "x", fds), Errc::FileError, HasSubstr("253"));
  EXPECT_ERROR(send_message(ends.second.get(), ""), Errc::FileError, HasSubstr("empty"));
}

TEST(Message, a_stream_takes_more_than_its_buffer_and_descriptors_once) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  UniqueFd here(ends[0]);
  UniqueFd there(ends[1]);
  const std::string data(1 << 20, 'z');
  const pid_t child = ::fork();
  if (child == 0) {
    const int fds[] = {STDIN_FILENO};
    ::_exit(send_message(there.get(), data, fds) ? 0 : 1);
  }
  there.reset();
  std::size_t bytes = 0;
  std::size_t fds = 0;
  for (;;) {
    auto message = receive_message(here.get());
    ASSERT_OK(message);
    if (message->data.empty()) break;
    bytes += message->data.size();
    fds += message->fds.size();
  }
  EXPECT_EQ(bytes, data.size());
  EXPECT_EQ(fds, 1u);
  ::waitpid(child, nullptr, 0);
}

class UnixSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = TempDir::create(scratch_parent(), "nexcage-socket-test");
    ASSERT_OK(made);
    dir_.emplace(*std::move(made));
  }
  std::optional<TempDir> dir_;
};

TEST_F(UnixSocketTest, has_the_wanted_mode_and_takes_connections) {
  const mode_t before = ::umask(0);
  auto listener = listen_unix(dir_->fd(), "sock", SOCK_SEQPACKET, 0600);
  ::umask(before);
  ASSERT_OK(listener);
  EXPECT_EQ((*stat_at(dir_->fd(), "sock"))->st_mode & 07777, 0600u);
  auto client = connect_unix(dir_->path() + "/sock", SOCK_SEQPACKET);
  ASSERT_OK(client);
  UniqueFd server(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_OK(send_message(client->get(), "ping"));
  EXPECT_EQ(receive_message(server.get())->data, "ping");
}

TEST_F(UnixSocketTest, paths_longer_than_an_address_work) {
  std::string deep = dir_->path();
  for (int i = 0; i < 8; ++i) deep += "/" + std::string(100, 'p');
  ASSERT_OK(mkdirs(deep, 0755));
  auto dir = open_at(AT_FDCWD, deep, O_PATH | O_DIRECTORY);
  auto listener = listen_unix(dir->get(), "sock", SOCK_STREAM, 0666);
  ASSERT_OK(listener);
  EXPECT_EQ((*stat_at(dir->get(), "sock"))->st_mode & 07777, 0666u);
  EXPECT_OK(connect_unix(deep + "/sock", SOCK_STREAM));
  auto by_path = listen_unix(AT_FDCWD, deep + "/other", SOCK_STREAM, 0600);
  ASSERT_OK(by_path);
  EXPECT_TRUE(*exists(dir->get(), "other"));
}

TEST_F(UnixSocketTest, failures_name_the_path) {
  EXPECT_ERROR(connect_unix(dir_->path() + "/none", SOCK_STREAM), Errc::FileError,
               HasSubstr("/none: no such file"));
  EXPECT_ERROR(connect_unix("", SOCK_STREAM), Errc::FileError, HasSubstr("connect to"));
  ASSERT_OK(listen_unix(dir_->fd(), "sock", SOCK_STREAM, 0600));
  EXPECT_ERROR(listen_unix(dir_->fd(), "sock", SOCK_STREAM, 0600), Errc::FileError,
               HasSubstr("listen on sock: address already in use"));
  // Nobody listens any more: the file alone is no service.
  EXPECT_ERROR(connect_unix(dir_->path() + "/sock", SOCK_STREAM), Errc::FileError,
               HasSubstr("connection refused"));
}

TEST_F(UnixSocketTest, a_console_is_sent_as_engines_expect_it) {
  UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!master) GTEST_SKIP() << "this host has no /dev/ptmx";
  auto listener = listen_unix(dir_->fd(), "console", SOCK_STREAM, 0600);
  ASSERT_OK(listener);
  ASSERT_OK(send_console(dir_->path() + "/console", master.get()));
  UniqueFd server(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
  auto message = receive_message(server.get());
  ASSERT_OK(message);
  EXPECT_THAT(message->data, testing::StartsWith("/dev/pts/"));
  ASSERT_EQ(message->fds.size(), 1u);
  ASSERT_OK(set_window_size(message->fds[0].get(), {.rows = 7, .columns = 9}));
  EXPECT_EQ(window_size(master.get())->rows, 7);
  EXPECT_EQ(receive_message(server.get())->data, "");
}

}  // namespace
}  // namespace nexcage::sys
