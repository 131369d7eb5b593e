// A process that owns a part of the root file system swaps the parent of mount destinations between
// a directory and a link to the host, again and again, while containers are created
// (CVE-2021-30465, CVE-2019-19921): whatever it manages, nothing is mounted or made outside of the
// root.
#include <algorithm>
#include <cstdio>

#include "container_fixture.h"
#include "nexcage/sys/mount.h"

namespace nexcage {
namespace {

/// The swapping process; ends with this.
class Swapper {
 public:
  Swapper(const std::string& one, const std::string& other) {
    pid_ = ::fork();
    if (pid_ != 0) return;
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) (void)::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE);
  }
  ~Swapper() {
    if (pid_ <= 0) return;
    (void)::kill(pid_, SIGKILL);
    (void)::waitpid(pid_, nullptr, 0);
  }
  Swapper(const Swapper&) = delete;
  Swapper& operator=(const Swapper&) = delete;
  Swapper(Swapper&&) = delete;
  Swapper& operator=(Swapper&&) = delete;
  bool running() const { return pid_ > 0; }

 private:
  pid_t pid_ = -1;
};

class LxcRace : public testing::ContainerTest {
 protected:
  void add_mount(const std::string& destination, const std::string& type, const std::string& source,
                 std::vector<std::string> options) {
    spec.mounts.push_back({.destination = destination,
                           .type = type,
                           .source = source,
                           .options = std::move(options),
                           .uid_mappings = {},
                           .gid_mappings = {}});
  }
  /// Mounts of the container whose source or root shows that they are the test's.
  static std::size_t visible(pid_t pid, const std::string& mark) {
    auto mounts = sys::read_mountinfo("/proc/" + std::to_string(pid) + "/mountinfo");
    if (!mounts) return 0;
    return static_cast<std::size_t>(std::ranges::count_if(*mounts, [&](const sys::MountInfo& one) {
      return one.source == mark || one.root.ends_with(mark);
    }));
  }
};

TEST_F(LxcRace, NothingLeavesTheRoot) {
  const std::string outside = scratch + "/outside";
  ASSERT_TRUE(std::filesystem::create_directory(outside));
  ASSERT_TRUE(std::filesystem::create_directory(scratch + "/racedir"));
  std::ofstream(scratch + "/racefile") << "x";
  ASSERT_TRUE(std::filesystem::create_directory(rootfs + "/a"));
  std::filesystem::create_symlink(outside, rootfs + "/b");
  add_mount("/a/fs", "tmpfs", "racefs", {});
  add_mount("/a/dir", "bind", scratch + "/racedir", {"bind"});
  add_mount("/a/file", "bind", scratch + "/racefile", {"bind"});
  spec.linux_->masked_paths = {"/a/masked"};
  spec.linux_->devices.push_back({.path = "/a/null",
                                  .type = 'c',
                                  .major = 1,
                                  .minor = 3,
                                  .file_mode = 0666,
                                  .uid = 0,
                                  .gid = 0});
  const Swapper swapper(rootfs + "/a", rootfs + "/b");
  ASSERT_TRUE(swapper.running());
  int made = 0;
  for (int round = 0; round < 25; ++round) {
    auto created = create();
    if (created) {
      ++made;
      // In the root under one name or the other; a mount outside would have gone with the pivot.
      EXPECT_EQ(visible(record.init.pid, "racefs"), 1u);
      EXPECT_EQ(visible(record.init.pid, "/racedir"), 1u);
      EXPECT_EQ(visible(record.init.pid, "/racefile"), 1u);
      ASSERT_OK(backend->remove(record));
      record = {};
    }
    ASSERT_OK(undo.undo());
    ASSERT_TRUE(std::filesystem::is_empty(outside)) << "round " << round;
    EXPECT_EQ(visible(::getpid(), "racefs"), 0u);
  }
  EXPECT_GT(made, 0) << "no container at all was made: nothing was tested";
}

}  // namespace
}  // namespace nexcage
