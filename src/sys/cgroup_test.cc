#include "nexcage/sys/cgroup.h"

#include <fcntl.h>
#include <unistd.h>

#include "nexcage/sys/fs.h"
#include "result_matchers.h"
#include "scratch.h"

namespace nexcage::sys {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kHybridMounts =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
constexpr std::string_view kHybridOwn =
    "9:name=systemd:/user\n4:memory:/a/b\n1:cpu,cpuacct:/\n0::/user/x\n";

TEST(CgroupLayout, one_hierarchy_per_controller_and_version_2_beside) {
  const CgroupLayout layout = parse_cgroups(kHybridMounts, kHybridOwn, "hugetlb rdma\n");
  EXPECT_EQ(layout.mode(), CgroupMode::hybrid);
  ASSERT_NE(layout.with("cpuacct"), nullptr);
  EXPECT_EQ(layout.with("cpuacct"), layout.with("cpu"));
  EXPECT_THAT(layout.with("cpu")->controllers, ElementsAre("cpu", "cpuacct"));
  EXPECT_EQ(layout.with("memory")->mount_point, "/sys/fs/cgroup/memory");
  EXPECT_EQ(layout.with("name=systemd")->mount_point, "/sys/fs/cgroup/systemd");
  EXPECT_EQ(layout.with("hugetlb")->mount_point, "/sys/fs/cgroup/unified");
  EXPECT_TRUE(layout.with("rdma")->v2());
  EXPECT_TRUE(layout.with("")->v2());
  EXPECT_EQ(layout.with("io"), nullptr);
}

TEST(CgroupLayout, pure_version_2) {
  const CgroupLayout layout =
      parse_cgroups("25 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n", "0::/\n",
                    "cpuset cpu io memory pids\n");
  EXPECT_EQ(layout.mode(), CgroupMode::v2);
  EXPECT_EQ(layout.with("memory")->mount_point, "/sys/fs/cgroup");
  EXPECT_EQ(layout.with("freezer"), nullptr);
}

TEST(CgroupLayout, pure_version_1_and_nothing) {
  const CgroupLayout v1 = parse_cgroups(
      "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", kHybridOwn, "");
  EXPECT_EQ(v1.mode(), CgroupMode::v1);
  EXPECT_EQ(v1.hierarchies.size(), 1u);
  EXPECT_EQ(v1.with(""), nullptr);
  EXPECT_EQ(parse_cgroups("", kHybridOwn, "").mode(), CgroupMode::none);
  EXPECT_EQ(parse_cgroups(kHybridMounts, "", "").mode(), CgroupMode::none);
}

TEST(CgroupLayout, a_mount_of_the_whole_hierarchy_is_preferred) {
  const CgroupLayout layout = parse_cgroups(
      "90 1 0:32 /c1 /var/c1/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "91 1 0:32 / /mnt rw - cgroup cgroup rw,memory\n",
      "4:memory:/\n", "");
  EXPECT_EQ(layout.with("memory")->mount_point, "/sys/fs/cgroup/memory");
}

TEST(CgroupLayout, similar_words_do_not_match) {
  const CgroupLayout layout =
      parse_cgroups("35 31 0:32 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n",
                    "1:cpu:/\n2:cpuset:/\nnonsense\n", "");
  EXPECT_EQ(layout.with("cpu"), nullptr);
  EXPECT_NE(layout.with("cpuset"), nullptr);
}

TEST(CgroupLayout, the_hosts_own_can_be_read) {
  auto layout = detect_cgroups();
  ASSERT_OK(layout);
  for (const CgroupHierarchy& hierarchy : layout->hierarchies)
    EXPECT_TRUE(*exists(AT_FDCWD, hierarchy.mount_point + "/cgroup.procs"))
        << hierarchy.mount_point;
}

TEST(CgroupLayout, our_own_paths_can_be_read) {
  auto paths = read_process_cgroups(::getpid());
  ASSERT_OK(paths);
  for (const auto& [id, path] : *paths) EXPECT_THAT(path, testing::StartsWith("/")) << id;
  EXPECT_ERROR(read_process_cgroups(0x7fffffff), Errc::FileError, HasSubstr("no such file"));
}

/// Plain directories in place of cgroupfs: what only reads and writes files needs no kernel.
class FakeCgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = TempDir::create(scratch_parent(), "nexcage-cgroup-test");
    ASSERT_OK(made);
    dir_.emplace(*std::move(made));
    layout_.hierarchies = {{1, {"memory"}, path("memory")}, {0, {"hugetlb"}, path("unified")}};
  }
  std::string path(const std::string& name) const { return dir_->path() + "/" + name; }
  void put(const std::string& name, std::string_view text) const {
    ASSERT_OK(write_file_atomic(path(name), text, 0644, Durable::no));
  }
  std::string get(const std::string& name) const {
    return read_file(AT_FDCWD, path(name)).value_or("?");
  }
  std::optional<TempDir> dir_;
  CgroupLayout layout_;
};

TEST_F(FakeCgroupTest, directories_follow_the_controllers) {
  const Cgroup cgroup(layout_, "/nexcage//web1/");
  EXPECT_EQ(cgroup.path(), "nexcage/web1");
  EXPECT_EQ(cgroup.dir("memory"), path("memory/nexcage/web1"));
  EXPECT_EQ(cgroup.dir(""), path("unified/nexcage/web1"));
  EXPECT_EQ(cgroup.dir("cpu"), "");
  EXPECT_THAT(cgroup.existing_dirs(), IsEmpty());
  ASSERT_OK(mkdirs(path("unified/nexcage/web1"), 0755));
  EXPECT_THAT(cgroup.existing_dirs(), ElementsAre(path("unified/nexcage/web1")));
}

TEST_F(FakeCgroupTest, a_path_cannot_leave_the_hierarchies) {
  EXPECT_EQ(Cgroup(layout_, "../../etc").path(), "etc");
  EXPECT_EQ(Cgroup(layout_, "a/../../b").path(), "b");
}

TEST_F(FakeCgroupTest, nothing_acts_on_the_root_of_the_host) {
  ASSERT_OK(mkdirs(path("memory"), 0755));
  put("memory/cgroup.procs", std::to_string(::getpid()) + "\n");
  for (const char* name : {"", "/", "..", "a/.."}) {
    const Cgroup root(layout_, name);
    EXPECT_ERROR(root.signal_all(SIGKILL), Errc::InvalidState, HasSubstr("root cgroup"));
    EXPECT_ERROR(root.destroy(milliseconds(0)), Errc::InvalidState, HasSubstr("root cgroup"));
    EXPECT_ERROR(root.processes(), Errc::InvalidState, HasSubstr("root cgroup"));
    EXPECT_ERROR(root.freeze(), Errc::InvalidState, HasSubstr("root cgroup"));
    EXPECT_ERROR(root.thaw(), Errc::InvalidState, HasSubstr("root cgroup"));
    EXPECT_ERROR(root.add_process(1), Errc::InvalidState, HasSubstr("root cgroup"));
  }
}

TEST_F(FakeCgroupTest, processes_of_all_hierarchies_and_levels_come_once_and_sorted) {
  ASSERT_OK(mkdirs(path("memory/c/deep/er"), 0755));
  ASSERT_OK(mkdirs(path("unified/c"), 0755));
  put("memory/c/cgroup.procs", "30\n4\n0\n");
  put("memory/c/deep/er/cgroup.procs", "100\n");
  put("unified/c/cgroup.procs", "4\n5\n");
  EXPECT_THAT(*Cgroup(layout_, "c").processes(), ElementsAre(4, 5, 30, 100));
  EXPECT_THAT(*Cgroup(layout_, "none").processes(), IsEmpty());
}

TEST_F(FakeCgroupTest, a_process_is_added_everywhere) {
  ASSERT_OK(mkdirs(path("memory/c"), 0755));
  ASSERT_OK(mkdirs(path("unified/c"), 0755));
  put("memory/c/cgroup.procs", "");
  put("unified/c/cgroup.procs", "");
  ASSERT_OK(Cgroup(layout_, "c").add_process(77));
  EXPECT_EQ(get("memory/c/cgroup.procs"), "77");
  EXPECT_EQ(get("unified/c/cgroup.procs"), "77");
  EXPECT_ERROR(Cgroup(layout_, "none").add_process(77), Errc::InvalidState,
               HasSubstr("none does not exist"));
}

TEST_F(FakeCgroupTest, files_are_written_and_read_where_the_controller_is) {
  ASSERT_OK(mkdirs(path("memory/c"), 0755));
  put("memory/c/memory.limit_in_bytes", "0\n");
  const Cgroup cgroup(layout_, "c");
  ASSERT_OK(cgroup.write("memory", "memory.limit_in_bytes", "64"));
  EXPECT_EQ(*cgroup.read("memory", "memory.limit_in_bytes"), "64");
  EXPECT_ERROR(cgroup.write("cpu", "cpu.shares", "1"), Errc::Unsupported, HasSubstr("\"cpu\""));
  EXPECT_ERROR(cgroup.read("cpu", "cpu.shares"), Errc::Unsupported, HasSubstr("\"cpu\""));
  // A file of a cgroup is never created.
  EXPECT_ERROR(cgroup.write("memory", "memory.none", "1"), Errc::FileError,
               HasSubstr("no such file"));
}

TEST_F(FakeCgroupTest, freezing_needs_a_freezer_and_a_cgroup) {
  EXPECT_ERROR(Cgroup(layout_, "c").freeze(), Errc::InvalidState, HasSubstr("does not exist"));
  ASSERT_OK(mkdirs(path("memory/c"), 0755));
  EXPECT_ERROR(Cgroup(layout_, "c").freeze(), Errc::Unsupported, HasSubstr("no freezer"));
  EXPECT_ERROR(Cgroup(layout_, "c").frozen(), Errc::Unsupported, HasSubstr("no freezer"));
}

TEST_F(FakeCgroupTest, version_2_is_frozen_when_its_events_say_so) {
  ASSERT_OK(mkdirs(path("unified/c"), 0755));
  put("unified/c/cgroup.freeze", "0\n");
  put("unified/c/cgroup.events", "populated 1\nfrozen 1\n");
  EXPECT_TRUE(*Cgroup(layout_, "c").frozen());
  EXPECT_OK(Cgroup(layout_, "c").freeze());
  EXPECT_EQ(get("unified/c/cgroup.freeze")[0], '1');
  put("unified/c/cgroup.events", "populated 1\nfrozen 0\n");
  EXPECT_FALSE(*Cgroup(layout_, "c").frozen());
}

TEST_F(FakeCgroupTest, destroying_what_is_missing_is_success) {
  EXPECT_OK(Cgroup(layout_, "nexcage/none").destroy(milliseconds(100)));
}

}  // namespace
}  // namespace nexcage::sys
