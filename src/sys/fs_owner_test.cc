#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::sys {
namespace {

using testing::HasSubstr;

TEST(TempDir, goes_with_its_content_and_is_private) {
  std::string path;
  {
    auto dir = TempDir::create("/tmp", "nexcage-test");
    ASSERT_OK(dir);
    path = dir->path();
    EXPECT_THAT(path, testing::StartsWith("/tmp/.nexcage-test-"));
    EXPECT_EQ(stat_fd(dir->fd())->st_mode & 07777, 0700u);
    ASSERT_OK(mkdirs(path + "/a/b", 0755));
  }
  EXPECT_FALSE(*exists(AT_FDCWD, path));
}

TEST(TempDir, kept_directory_stays) {
  std::string path;
  {
    auto dir = TempDir::create("/tmp", "nexcage-test");
    ASSERT_OK(dir);
    path = dir->keep();
  }
  EXPECT_TRUE(*exists(AT_FDCWD, path));
  EXPECT_OK(remove_tree(path));
}

TEST(TempDir, move_assignment_removes_what_it_owned) {
  auto first = TempDir::create("/tmp", "nexcage-test");
  auto second = TempDir::create("/tmp", "nexcage-test");
  ASSERT_OK(first);
  ASSERT_OK(second);
  const std::string old = first->path();
  const std::string kept = second->path();
  *first = *std::move(second);
  EXPECT_FALSE(*exists(AT_FDCWD, old));
  EXPECT_EQ(first->path(), kept);
  EXPECT_TRUE(*exists(AT_FDCWD, kept));
}

TEST(TempDir, a_missing_parent_is_an_error) {
  EXPECT_ERROR(TempDir::create("/nonexistent", "x"), Errc::FileError, HasSubstr("/nonexistent"));
}

class LockTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = TempDir::create("/tmp", "nexcage-lock-test");
    ASSERT_OK(made);
    dir_.emplace(*std::move(made));
  }
  int fd() const { return dir_->fd(); }
  std::optional<TempDir> dir_;
};

TEST_F(LockTest, exclusive_excludes_and_shared_shares) {
  using Kind = FileLock::Kind;
  {
    auto held = FileLock::acquire(fd(), "lock", Kind::exclusive, 1000);
    ASSERT_OK(held);
    EXPECT_FALSE(FileLock::try_acquire(fd(), "lock", Kind::exclusive)->has_value());
    EXPECT_FALSE(FileLock::try_acquire(fd(), "lock", Kind::shared)->has_value());
  }
  auto one = FileLock::try_acquire(fd(), "lock", Kind::shared);
  auto two = FileLock::try_acquire(fd(), "lock", Kind::shared);
  EXPECT_TRUE(one->has_value());
  EXPECT_TRUE(two->has_value());
  EXPECT_FALSE(FileLock::try_acquire(fd(), "lock", Kind::exclusive)->has_value());
}

TEST_F(LockTest, a_directory_is_locked_until_its_holder_removes_it) {
  using Kind = FileLock::Kind;
  constexpr auto kOn = FileLock::On::directory;
  EXPECT_EQ(FileLock::acquire(fd(), "d", Kind::shared, 1000, kOn).error().sys_errno(), ENOENT);
  ASSERT_EQ(::mkdirat(fd(), "d", 0700), 0);
  auto held = FileLock::acquire(fd(), "d", Kind::exclusive, 1000, kOn);
  ASSERT_OK(held);
  EXPECT_FALSE(FileLock::try_acquire(fd(), "d", Kind::shared, kOn)->has_value());
  std::jthread waiter([&] {
    const auto gone = FileLock::acquire(fd(), "d", Kind::exclusive, 10'000, kOn);
    EXPECT_FALSE(gone.has_value());
    EXPECT_EQ(gone.error().sys_errno(), ENOENT);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  ASSERT_EQ(::unlinkat(fd(), "d", AT_REMOVEDIR), 0);
  {
    const FileLock let_go = *std::move(held);
  }
  waiter.join();
}

TEST_F(LockTest, waiting_ends_in_time_and_names_the_lock) {
  auto held = FileLock::acquire(fd(), "lock", FileLock::Kind::exclusive, 1000);
  ASSERT_OK(held);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_ERROR(FileLock::acquire(fd(), "lock", FileLock::Kind::exclusive, 60), Errc::Timeout,
               HasSubstr("lock"));
  const auto waited = std::chrono::steady_clock::now() - start;
  EXPECT_GE(waited, std::chrono::milliseconds(60));
  EXPECT_LT(waited, std::chrono::seconds(5));
}

TEST_F(LockTest, is_free_when_its_holder_was_killed) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto held = FileLock::acquire(fd(), "lock", FileLock::Kind::exclusive, 1000);
    (void)!::write(ends[1], held ? "y" : "n", 1);
    for (;;) ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ends[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_FALSE(FileLock::try_acquire(fd(), "lock", FileLock::Kind::exclusive)->has_value());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_OK(FileLock::acquire(fd(), "lock", FileLock::Kind::exclusive, 1000));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(LockTest, a_lock_on_a_removed_file_excludes_nobody_and_is_not_given) {
  // The waiter has the old file open when its holder removes it and lets go.
  auto held = FileLock::acquire(fd(), "lock", FileLock::Kind::exclusive, 1000);
  ASSERT_OK(held);
  const pid_t child = ::fork();
  if (child == 0) {
    auto got = FileLock::acquire(fd(), "lock", FileLock::Kind::exclusive, 5000);
    if (!got) ::_exit(1);
    const auto named = stat_at(fd(), "lock");
    const auto locked = stat_fd(got->fd());
    ::_exit(named && *named && locked && (*named)->st_ino == locked->st_ino ? 0 : 2);
  }
  ::usleep(20'000);
  EXPECT_OK(remove_file(fd(), "lock"));
  {
    const FileLock gone = *std::move(held);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(LockTest, a_symlink_in_place_of_the_lock_is_refused) {
  ASSERT_EQ(::symlink("/etc/passwd", (dir_->path() + "/lock").c_str()), 0);
  EXPECT_ERROR(FileLock::try_acquire(fd(), "lock", FileLock::Kind::shared), Errc::FileError,
               HasSubstr("lock"));
}

}  // namespace
}  // namespace nexcage::sys
