#include "nexcage/sys/fs.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nexcage/sys/read_once.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::sys {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class FsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = TempDir::create("/tmp", "nexcage-fs-test");
    ASSERT_OK(made);
    dir_.emplace(*std::move(made));
  }
  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }
  int fd() const { return dir_->fd(); }
  void put(const std::string& name, std::string_view text) const {
    ASSERT_OK(write_file_atomic(fd(), name, text, 0644, Durable::no));
  }
  std::string get(const std::string& name) const {
    auto text = read_file(fd(), name);
    EXPECT_OK(text);
    return text.value_or("?");
  }
  std::optional<TempDir> dir_;
};

TEST_F(FsTest, descriptors_are_closed_on_exec) {
  put("f", "x");
  auto plain = open_at(fd(), "f", O_RDONLY);
  auto inside = open_in_root(fd(), "f", O_RDONLY);
  auto beneath = open_beneath(fd(), "f", O_RDONLY);
  for (const auto* opened : {&plain, &inside, &beneath}) {
    ASSERT_OK(*opened);
    EXPECT_EQ(::fcntl(opened->value().get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  }
}

TEST_F(FsTest, a_root_cannot_be_left_by_any_link) {
  ASSERT_OK(mkdirs(path("root/etc"), 0755));
  put("root/etc/passwd", "inside");
  put("passwd", "outside");
  ASSERT_EQ(::symlink("/etc/passwd", path("root/absolute").c_str()), 0);
  ASSERT_EQ(::symlink("../../../../../../etc/passwd", path("root/dots").c_str()), 0);
  ASSERT_EQ(::symlink("/etc", path("root/dir").c_str()), 0);
  auto root = open_at(fd(), "root", O_PATH | O_DIRECTORY);
  ASSERT_OK(root);
  for (const char* name : {"etc/passwd", "/etc/passwd", "../etc/passwd", "absolute", "dots",
                           "dir/passwd", "dir/../../etc/passwd"}) {
    auto opened = open_in_root(root->get(), name, O_RDONLY);
    ASSERT_OK(opened);
    EXPECT_EQ(read_all(opened->get()).value_or("?"), "inside") << name;
  }
}

TEST_F(FsTest, magic_links_are_no_way_out_of_a_root) {
  auto proc = open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY);
  ASSERT_OK(proc);
  EXPECT_ERROR(open_in_root(proc->get(), "self/root/etc", O_PATH), Errc::FileError,
               HasSubstr("too many levels of symbolic links"));
}

TEST_F(FsTest, beneath_refuses_links_and_dots) {
  put("f", "x");
  ASSERT_EQ(::symlink("f", path("link").c_str()), 0);
  EXPECT_OK(open_beneath(fd(), "f", O_RDONLY));
  EXPECT_ERROR(open_beneath(fd(), "link", O_RDONLY), Errc::FileError, HasSubstr("open link"));
  EXPECT_ERROR(open_beneath(fd(), "..", O_PATH), Errc::FileError, HasSubstr("cross-device"));
  EXPECT_ERROR(open_beneath(fd(), "/etc", O_PATH), Errc::FileError, HasSubstr("cross-device"));
}

TEST_F(FsTest, created_files_get_their_mode) {
  const mode_t before = ::umask(0);
  auto made = open_in_root(fd(), "f", O_WRONLY | O_CREAT | O_EXCL, 0640);
  ::umask(before);
  ASSERT_OK(made);
  EXPECT_EQ(stat_fd(made->get())->st_mode & 07777, 0640u);
}

TEST_F(FsTest, directories_are_made_inside_the_root_through_links) {
  ASSERT_OK(mkdirs(path("root/real"), 0755));
  ASSERT_EQ(::symlink("/real", path("root/link").c_str()), 0);
  auto root = open_at(fd(), "root", O_PATH | O_DIRECTORY);
  ASSERT_OK(root);
  auto made = mkdirs_in_root(root->get(), "/link/./a//b/", 0755);
  ASSERT_OK(made);
  EXPECT_TRUE(*exists(fd(), "root/real/a/b"));
  EXPECT_EQ(stat_fd(made->get())->st_ino, (*stat_at(fd(), "root/real/a/b"))->st_ino);
  EXPECT_OK(mkdirs_in_root(root->get(), "link/a/b", 0755));
  EXPECT_OK(mkdirs_in_root(root->get(), "/", 0755));
}

TEST_F(FsTest, directories_are_not_made_through_files_dangling_links_or_new_dots) {
  put("file", "x");
  ASSERT_EQ(::symlink("/nowhere", path("dangling").c_str()), 0);
  EXPECT_ERROR(mkdirs_in_root(fd(), "file/a", 0755), Errc::FileError, HasSubstr("not a directory"));
  EXPECT_ERROR(mkdirs_in_root(fd(), "file", 0755), Errc::FileError, HasSubstr("not a directory"));
  EXPECT_ERROR(mkdirs_in_root(fd(), "dangling/a", 0755), Errc::FileError, HasSubstr("dangling"));
  EXPECT_ERROR(mkdirs_in_root(fd(), "new/../x", 0755), Errc::FileError, HasSubstr(".."));
}

TEST_F(FsTest, mkdirs_makes_what_is_missing_and_leaves_the_rest) {
  ASSERT_OK(mkdirs(path("a"), 0700));
  ASSERT_OK(mkdirs(path("a/b//c/"), 0755));
  EXPECT_EQ((*stat_at(fd(), "a"))->st_mode & 07777, 0700u);
  EXPECT_TRUE(*exists(fd(), "a/b/c"));
  EXPECT_OK(mkdirs(path("a/b/c"), 0755));
  put("f", "x");
  EXPECT_ERROR(mkdirs(path("f"), 0755), Errc::FileError, HasSubstr("not a directory"));
  EXPECT_ERROR(mkdirs(path("f/x"), 0755), Errc::FileError, HasSubstr("not a directory"));
  EXPECT_ERROR(mkdirs("", 0755), Errc::FileError, HasSubstr("no such file"));
}

TEST_F(FsTest, reopen_gives_the_same_file_with_other_flags) {
  put("f", "text");
  auto handle = open_at(fd(), "f", O_PATH);
  ASSERT_OK(handle);
  auto readable = reopen(handle->get(), O_RDONLY);
  ASSERT_OK(readable);
  EXPECT_EQ(read_all(readable->get()).value_or("?"), "text");
  EXPECT_ERROR(reopen(-1, O_RDONLY), Errc::FileError, HasSubstr("reopen"));
}

TEST_F(FsTest, reading_stops_at_the_limit) {
  put("f", std::string(1000, 'x'));
  EXPECT_EQ(read_file(fd(), "f", 1000)->size(), 1000u);
  EXPECT_ERROR(read_file(fd(), "f", 999), Errc::FileError, HasSubstr("999 B"));
  EXPECT_EQ(*read_file(fd(), "f", 4096), std::string(1000, 'x'));
  EXPECT_EQ(read_file(fd(), "f", SIZE_MAX)->size(), 1000u);
}

TEST_F(FsTest, files_without_a_size_are_read_whole) {
  auto maps = read_file(AT_FDCWD, "/proc/self/smaps");
  ASSERT_OK(maps);
  EXPECT_GT(maps->size(), 4096u);
  EXPECT_EQ(maps->back(), '\n');
}

TEST_F(FsTest, a_missing_file_is_named) {
  EXPECT_ERROR(read_file(fd(), "nope"), Errc::FileError,
               testing::Eq("open nope: no such file or directory"));
}

TEST_F(FsTest, write_all_waits_for_a_slow_non_blocking_reader) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const std::string data(1 << 20, 'y');
  const pid_t child = ::fork();
  if (child == 0) ::_exit(write_all(write_end.get(), data) ? 0 : 1);
  write_end.reset();
  std::size_t total = 0;
  std::string buffer(4096, '\0');
  for (ssize_t n; (n = ::read(read_end.get(), buffer.data(), buffer.size())) != 0;)
    total += n > 0 ? static_cast<std::size_t>(n) : 0;
  EXPECT_EQ(total, data.size());
  ::waitpid(child, nullptr, 0);
}

TEST_F(FsTest, atomic_write_replaces_content_and_mode_and_leaves_no_temporary) {
  put("f", "old");
  const mode_t before = ::umask(077);
  EXPECT_OK(write_file_atomic(fd(), "f", "new", 0644, Durable::yes));
  ::umask(before);
  EXPECT_EQ(get("f"), "new");
  EXPECT_EQ((*stat_at(fd(), "f"))->st_mode & 07777, 0644u);
  EXPECT_THAT(*list_dir(fd()), ElementsAre("f"));
}

TEST_F(FsTest, atomic_write_replaces_a_link_instead_of_following_it) {
  put("target", "old");
  ASSERT_EQ(::symlink("target", path("link").c_str()), 0);
  EXPECT_OK(write_file_atomic(path("link"), "new", 0644, Durable::no));
  EXPECT_EQ(get("target"), "old");
  EXPECT_EQ(get("link"), "new");
}

TEST_F(FsTest, failed_atomic_write_leaves_nothing) {
  ASSERT_OK(mkdirs(path("busy"), 0755));
  EXPECT_ERROR(write_file_atomic(fd(), "busy", "x", 0644, Durable::no), Errc::FileError,
               HasSubstr("write busy: rename into place"));
  EXPECT_THAT(*list_dir(fd()), ElementsAre("busy"));
  EXPECT_ERROR(write_file_atomic(fd(), "no/f", "x", 0644, Durable::no), Errc::FileError,
               HasSubstr("no such file"));
}

TEST_F(FsTest, list_dir_leaves_the_callers_offset_and_takes_path_descriptors) {
  put("a", "");
  put("b", "");
  EXPECT_THAT(*list_dir(fd()), UnorderedElementsAre("a", "b"));
  EXPECT_THAT(*list_dir(fd()), UnorderedElementsAre("a", "b"));
  auto handle = open_at(AT_FDCWD, dir_->path(), O_PATH | O_DIRECTORY);
  EXPECT_THAT(*list_dir(handle->get()), UnorderedElementsAre("a", "b"));
}

TEST_F(FsTest, questions_about_names) {
  put("f", "");
  ASSERT_EQ(::symlink("nowhere", path("link").c_str()), 0);
  EXPECT_TRUE(*exists(fd(), "f"));
  EXPECT_FALSE(*exists(fd(), "link"));
  EXPECT_FALSE(*exists(fd(), "f/below"));
  EXPECT_TRUE(S_ISLNK((*stat_at(fd(), "link"))->st_mode));
  EXPECT_EQ(*stat_at(fd(), "none"), std::nullopt);
  EXPECT_EQ(*read_link(fd(), "link"), "nowhere");
  EXPECT_ERROR(read_link(fd(), "f"), Errc::FileError, HasSubstr("read link f"));
}

TEST_F(FsTest, long_link_targets_are_read_whole) {
  const std::string target(3000, 't');
  ASSERT_EQ(::symlink(target.c_str(), path("link").c_str()), 0);
  EXPECT_EQ(*read_link(fd(), "link"), target);
}

TEST_F(FsTest, file_systems_are_known_by_their_magic) {
  auto proc = open_at(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY);
  ASSERT_OK(proc);
  EXPECT_TRUE(*is_fs(proc->get(), PROC_SUPER_MAGIC));
  EXPECT_FALSE(*is_fs(fd(), PROC_SUPER_MAGIC));
}

TEST_F(FsTest, removing_a_missing_file_is_success) {
  put("f", "");
  EXPECT_OK(remove_file(fd(), "f"));
  EXPECT_OK(remove_file(fd(), "f"));
  EXPECT_THAT(*list_dir(fd()), IsEmpty());
}

TEST(CleanPath, is_purely_textual) {
  const std::pair<const char*, const char*> cases[] = {
      {"/a//b/../c", "/a/c"},
      {"", "."},
      {".", "."},
      {"/", "/"},
      {"//", "/"},
      {"/..", "/"},
      {"/../../a", "/a"},
      {"..", ".."},
      {"../../a", "../../a"},
      {"a/../..", ".."},
      {"a/..", "."},
      {"./a/./b/", "a/b"},
      {"a/../../b", "../b"},
  };
  for (const auto& [in, out] : cases) EXPECT_EQ(clean_path(in), out) << in;
}

TEST(ReadOnce, ReadsAllOfShortAndOfLongFiles) {
  auto dir = TempDir::create("/tmp", "read-once");
  ASSERT_OK(dir);
  const std::string path = dir->path() + "/file";
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{100}, std::size_t{4096}, std::size_t{9000}}) {
    const std::string content(size, 'x');
    ASSERT_OK(write_file_atomic(path, content, 0600, Durable::no));
    EXPECT_EQ(*read_once(path), content);
  }
  EXPECT_EQ(read_once(dir->path() + "/none").error().sys_errno(), ENOENT);
}

}  // namespace
}  // namespace nexcage::sys
