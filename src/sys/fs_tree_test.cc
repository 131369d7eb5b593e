#include "nexcage/sys/fs_tree.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::sys {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TreeTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = TempDir::create("/tmp", "nexcage-tree-test");
    ASSERT_OK(made);
    dir_.emplace(*std::move(made));
  }
  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }
  int fd() const { return dir_->fd(); }
  void put(const std::string& name) const {
    ASSERT_OK(write_file_atomic(fd(), name, "x", 0644, Durable::no));
  }
  /// So many directories, each in the one before, with names of 200 bytes.
  void make_deep(const std::string& name, int depth) const {
    ASSERT_OK(mkdirs(path(name), 0755));
    auto at = open_at(fd(), name, O_PATH | O_DIRECTORY);
    const std::string inner(200, 'd');
    for (int i = 0; i < depth; ++i) {
      ASSERT_EQ(::mkdirat(at->get(), inner.c_str(), 0755), 0);
      at = open_at(at->get(), inner, O_PATH | O_DIRECTORY);
      ASSERT_OK(at);
    }
  }
  std::optional<TempDir> dir_;
};

TEST_F(TreeTest, everything_below_goes_and_links_are_not_followed) {
  ASSERT_OK(mkdirs(path("keep"), 0755));
  put("keep/file");
  ASSERT_OK(mkdirs(path("tree/a/b"), 0755));
  ASSERT_OK(mkdirs(path("tree/empty"), 0755));
  put("tree/a/f");
  ASSERT_EQ(::symlink("../../keep", path("tree/a/link").c_str()), 0);
  ASSERT_EQ(::symlink("/nowhere", path("tree/dangling").c_str()), 0);
  ASSERT_EQ(::mkfifo(path("tree/a/b/fifo").c_str(), 0644), 0);
  EXPECT_OK(remove_tree(fd(), "tree"));
  EXPECT_THAT(*list_dir(fd()), ElementsAre("keep"));
  EXPECT_TRUE(*exists(fd(), "keep/file"));
}

TEST_F(TreeTest, missing_names_files_and_links_are_fine) {
  EXPECT_OK(remove_tree(fd(), "none"));
  EXPECT_OK(remove_tree(path("none/below")));
  ASSERT_OK(mkdirs(path("keep"), 0755));
  put("file");
  ASSERT_EQ(::symlink("keep", path("link").c_str()), 0);
  EXPECT_OK(remove_tree(fd(), "file"));
  EXPECT_OK(remove_tree(fd(), "link"));
  EXPECT_THAT(*list_dir(fd()), ElementsAre("keep"));
}

TEST_F(TreeTest, names_that_mean_another_directory_are_refused) {
  for (const char* name : {"", ".", "..", "/", "a/..", "//"})
    EXPECT_ERROR(remove_tree(fd(), name), Errc::FileError, HasSubstr("invalid argument"));
}

TEST_F(TreeTest, a_path_of_several_components_removes_the_last) {
  ASSERT_OK(mkdirs(path("a/b/c"), 0755));
  EXPECT_OK(remove_tree(fd(), "a/b/"));
  EXPECT_THAT(*list_dir(fd()), ElementsAre("a"));
  EXPECT_FALSE(*exists(fd(), "a/b"));
}

TEST_F(TreeTest, a_tree_deeper_than_any_path_costs_no_descriptors) {
  make_deep("deep", 200);  // 40,000 bytes of path
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit few = before;
  few.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  EXPECT_OK(remove_tree(fd(), "deep"));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(*list_dir(fd()), IsEmpty());
}

TEST_F(TreeTest, a_directory_wider_than_one_read_goes_whole) {
  ASSERT_OK(mkdirs(path("wide"), 0755));
  auto wide = open_at(fd(), "wide", O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 600; ++i) {
    const std::string name = std::string(200, 'n') + std::to_string(i);
    if (i % 3 == 0)
      ASSERT_EQ(::mkdirat(wide->get(), name.c_str(), 0755), 0);
    else
      ASSERT_OK(open_at(wide->get(), name, O_WRONLY | O_CREAT, 0644));
  }
  EXPECT_OK(remove_tree(fd(), "wide"));
  EXPECT_FALSE(*exists(fd(), "wide"));
}

TEST_F(TreeTest, directories_without_permissions_go_too) {
  ASSERT_OK(mkdirs(path("tree/closed/inner"), 0755));
  put("tree/closed/inner/f");
  ASSERT_EQ(::chmod(path("tree/closed/inner").c_str(), 0), 0);
  ASSERT_EQ(::chmod(path("tree/closed").c_str(), 0500), 0);
  EXPECT_OK(remove_tree(fd(), "tree"));
  EXPECT_FALSE(*exists(fd(), "tree"));
}

TEST_F(TreeTest, a_walk_visits_parents_first_and_changes_nothing) {
  ASSERT_OK(mkdirs(path("tree/a/b"), 0755));
  put("tree/a/f");
  std::vector<ino_t> visited;
  const TreeWalk walk{TreeWalk::Removal::nothing, [&](int directory) -> Result<> {
                        visited.push_back(stat_fd(directory)->st_ino);
                        return {};
                      }};
  EXPECT_OK(walk_tree(fd(), "tree", walk));
  EXPECT_THAT(visited,
              ElementsAre((*stat_at(fd(), "tree"))->st_ino, (*stat_at(fd(), "tree/a"))->st_ino,
                          (*stat_at(fd(), "tree/a/b"))->st_ino));
  EXPECT_TRUE(*exists(fd(), "tree/a/f"));
}

TEST_F(TreeTest, a_failing_visit_ends_the_walk) {
  ASSERT_OK(mkdirs(path("tree/a"), 0755));
  int calls = 0;
  const TreeWalk walk{TreeWalk::Removal::everything, [&](int) -> Result<> {
                        ++calls;
                        return fail(Errc::HookError, "visit");
                      }};
  EXPECT_ERROR(walk_tree(fd(), "tree", walk), Errc::HookError, HasSubstr("visit"));
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(*exists(fd(), "tree/a"));
}

TEST_F(TreeTest, removing_directories_only_stops_at_files) {
  ASSERT_OK(mkdirs(path("tree/a"), 0755));
  EXPECT_OK(walk_tree(fd(), "tree", {TreeWalk::Removal::directories, {}}));
  EXPECT_FALSE(*exists(fd(), "tree"));
  ASSERT_OK(mkdirs(path("tree/a"), 0755));
  put("tree/a/f");
  EXPECT_ERROR(walk_tree(fd(), "tree", {TreeWalk::Removal::directories, {}}), Errc::FileError,
               HasSubstr("directory not empty"));
  EXPECT_TRUE(*exists(fd(), "tree/a/f"));
}

}  // namespace
}  // namespace nexcage::sys
