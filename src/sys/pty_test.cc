#include "nexcage/sys/pty.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "result_matchers.h"

namespace nexcage::sys {
namespace {

using testing::HasSubstr;

class PtyTest : public testing::Test {
 protected:
  void SetUp() override {
    master_.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!master_) GTEST_SKIP() << "this host has no /dev/ptmx";
    ASSERT_EQ(::unlockpt(master_.get()), 0);
    char name[64];
    ASSERT_EQ(::ptsname_r(master_.get(), name, sizeof name), 0);
    tty_.reset(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_TRUE(tty_);
  }
  termios settings() const {
    termios state{};
    EXPECT_EQ(::tcgetattr(tty_.get(), &state), 0);
    return state;
  }
  UniqueFd master_, tty_;
};

TEST_F(PtyTest, the_size_set_at_one_end_is_seen_at_the_other) {
  ASSERT_OK(set_window_size(master_.get(), {.rows = 33, .columns = 101}));
  auto size = window_size(tty_.get());
  ASSERT_OK(size);
  EXPECT_EQ(size->rows, 33);
  EXPECT_EQ(size->columns, 101);
}

TEST_F(PtyTest, newlines_stay_newlines_after_disable_onlcr) {
  ASSERT_OK(disable_onlcr(master_.get()));
  EXPECT_EQ(settings().c_oflag & ONLCR, 0u);
  ASSERT_EQ(::write(tty_.get(), "a\n", 2), 2);
  char out[8];
  EXPECT_EQ(::read(master_.get(), out, sizeof out), 2);
}

TEST_F(PtyTest, raw_mode_ends_with_its_owner) {
  const termios before = settings();
  {
    auto raw = RawTerminal::enter(tty_.get());
    ASSERT_OK(raw);
    EXPECT_EQ(settings().c_lflag & (ICANON | ECHO | ISIG), 0u);
    EXPECT_NE(settings().c_oflag & OPOST, 0u);
    const RawTerminal moved = *std::move(raw);
    EXPECT_EQ(settings().c_lflag & ICANON, 0u);
  }
  EXPECT_EQ(settings().c_lflag, before.c_lflag);
  EXPECT_EQ(settings().c_iflag, before.c_iflag);
}

TEST_F(PtyTest, a_hidden_line_is_read_and_not_shown) {
  const termios before = settings();
  std::thread typist([&] {
    // The settings are changed with what was typed before thrown away: wait for them.
    while ((settings().c_lflag & ECHO) != 0) std::this_thread::yield();
    EXPECT_EQ(::write(master_.get(), "open sesame\n", 12), 12);
  });
  const auto line = read_hidden_line(tty_.get(), tty_.get(), "? ");
  typist.join();
  ASSERT_OK(line);
  EXPECT_EQ(*line, "open sesame");
  EXPECT_EQ(settings().c_lflag, before.c_lflag);
  char shown[64];
  const ssize_t n = ::read(master_.get(), shown, sizeof shown);
  ASSERT_GT(n, 0);
  const std::string_view all(shown, static_cast<std::size_t>(n));
  EXPECT_THAT(all, HasSubstr("? "));
  EXPECT_THAT(all, testing::Not(HasSubstr("sesame")));
}

TEST_F(PtyTest, a_signal_ends_the_program_with_the_terminal_as_it_was) {
  const termios before = settings();
  const pid_t child = ::fork();
  if (child == 0) {
    (void)read_hidden_line(tty_.get(), tty_.get(), "? ");
    ::_exit(0);
  }
  while ((settings().c_lflag & ECHO) != 0) std::this_thread::yield();
  ASSERT_EQ(::kill(child, SIGINT), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
  EXPECT_EQ(settings().c_lflag, before.c_lflag);
}

TEST_F(PtyTest, what_is_no_terminal_is_refused) {
  UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_ERROR(RawTerminal::enter(null.get()), Errc::FileError, HasSubstr("terminal"));
  EXPECT_ERROR(window_size(null.get()), Errc::FileError, HasSubstr("terminal"));
  EXPECT_ERROR(set_window_size(null.get(), {}), Errc::FileError, HasSubstr("terminal"));
  EXPECT_ERROR(disable_onlcr(null.get()), Errc::FileError, HasSubstr("terminal"));
  EXPECT_ERROR(read_hidden_line(null.get(), null.get(), ""), Errc::FileError,
               HasSubstr("terminal"));
}

}  // namespace
}  // namespace nexcage::sys
