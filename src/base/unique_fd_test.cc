#include "nexcage/base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace nexcage {
namespace {

int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, closes_at_end_of_life) {
  int number = -1;
  {
    UniqueFd fd(open_null());
    number = fd.get();
    ASSERT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, move_assignment_closes_what_it_held) {
  UniqueFd a(open_null());
  UniqueFd b(open_null());
  const int first = a.get();
  const int second = b.get();
  a = std::move(b);
  EXPECT_FALSE(is_open(first));
  EXPECT_EQ(a.get(), second);
  EXPECT_FALSE(b);  // NOLINT(bugprone-use-after-move): empty is the promise
  EXPECT_TRUE(is_open(second));
}

TEST(UniqueFd, self_move_keeps_the_descriptor) {
  UniqueFd a(open_null());
  UniqueFd& same = a;
  a = std::move(same);
  EXPECT_TRUE(is_open(a.get()));
}

TEST(UniqueFd, released_descriptor_stays_open) {
  int number = -1;
  {
    UniqueFd fd(open_null());
    number = fd.release();
    EXPECT_FALSE(fd);
  }
  EXPECT_TRUE(is_open(number));
  ::close(number);
}

TEST(UniqueFd, reset_to_itself_does_not_close) {
  UniqueFd fd(open_null());
  fd.reset(fd.get());
  EXPECT_TRUE(is_open(fd.get()));
}

}  // namespace
}  // namespace nexcage
