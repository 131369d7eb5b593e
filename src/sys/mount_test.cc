#include "nexcage/sys/mount.h"

#include <sys/mount.h>

#include "result_matchers.h"

namespace nexcage::sys {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

MountOptions parsed(const std::vector<std::string>& words) {
  auto options = parse_mount_options(words);
  EXPECT_OK(options);
  return options.value_or(MountOptions{});
}

TEST(Mountinfo, lines_with_any_number_of_optional_fields) {
  auto mounts = parse_mountinfo(
      "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n"
      "37 36 0:5 / / ro - tmpfs tmpfs rw\n");
  ASSERT_OK(mounts);
  ASSERT_EQ(mounts->size(), 2u);
  const MountInfo& first = mounts->front();
  EXPECT_EQ(first.id, 36);
  EXPECT_EQ(first.parent, 35);
  EXPECT_EQ(first.root, "/mnt1");
  EXPECT_EQ(first.mount_point, "/mnt2");
  EXPECT_EQ(first.options, "rw,noatime");
  EXPECT_EQ(first.fstype, "ext3");
  EXPECT_EQ(first.source, "/dev/root");
  EXPECT_EQ(first.super_options, "rw,errors=continue");
  EXPECT_EQ(mounts->back().fstype, "tmpfs");
}

TEST(Mountinfo, escapes_are_undone_and_lone_backslashes_kept) {
  auto mounts = parse_mountinfo(R"(1 2 0:1 / /a\040b\011c\012d\134e\08 rw - tmpfs  rw)");
  ASSERT_OK(mounts);
  EXPECT_EQ(mounts->front().mount_point, "/a b\tc\nd\\e\\08");
  EXPECT_EQ(mounts->front().source, "");
}

TEST(Mountinfo, a_line_that_is_none_is_an_error) {
  for (const char* bad : {"x", "1 2 0:1 / / rw", "1 2 0:1 / / rw tmpfs tmpfs rw",
                          "a 2 0:1 / / rw - tmpfs tmpfs rw", "1 2 0:1 / / rw - tmpfs tmpfs"})
    EXPECT_ERROR(parse_mountinfo(bad), Errc::FileError, HasSubstr("mountinfo"));
}

TEST(Mountinfo, our_own_can_be_read) {
  auto mounts = read_mountinfo();
  ASSERT_OK(mounts);
  EXPECT_TRUE(std::ranges::any_of(*mounts,
                                  [](const MountInfo& mount) { return mount.mount_point == "/"; }));
}

TEST(MountOptions, plain_words_set_and_clear_attributes) {
  const MountOptions o = parsed({"nosuid", "nodev", "noexec", "ro", "nodiratime", "nosymfollow"});
  EXPECT_EQ(o.set, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY |
                       MOUNT_ATTR_NODIRATIME | MOUNT_ATTR_NOSYMFOLLOW);
  EXPECT_EQ(o.clear, 0u);
  const MountOptions cleared = parsed({"suid", "dev", "exec", "rw", "diratime", "symfollow"});
  EXPECT_EQ(cleared.clear, o.set);
  EXPECT_EQ(cleared.set, 0u);
  EXPECT_THAT(o.data, IsEmpty());
}

TEST(MountOptions, the_last_of_opposite_words_holds) {
  const MountOptions o = parsed({"ro", "rw", "suid", "nosuid"});
  EXPECT_EQ(o.set, std::uint64_t{MOUNT_ATTR_NOSUID});
  EXPECT_EQ(o.clear, std::uint64_t{MOUNT_ATTR_RDONLY});
}

TEST(MountOptions, access_times_are_one_setting) {
  EXPECT_EQ(parsed({"noatime"}).set, std::uint64_t{MOUNT_ATTR_NOATIME});
  EXPECT_EQ(parsed({"noatime", "strictatime"}).set, std::uint64_t{MOUNT_ATTR_STRICTATIME});
  EXPECT_EQ(parsed({"strictatime", "relatime"}).set, 0u);
  EXPECT_EQ(parsed({"noatime", "atime"}).set, 0u);
  EXPECT_EQ(parsed({"strictatime", "nostrictatime"}).set, 0u);
  EXPECT_EQ(parsed({"noatime", "nostrictatime"}).set, std::uint64_t{MOUNT_ATTR_NOATIME});
  EXPECT_EQ(parsed({"noatime", "norelatime"}).set, std::uint64_t{MOUNT_ATTR_NOATIME});
  for (const char* word : {"noatime", "strictatime", "relatime", "atime", "nostrictatime"})
    EXPECT_EQ(parsed({word}).clear, std::uint64_t{MOUNT_ATTR__ATIME}) << word;
  EXPECT_EQ(parsed({"norelatime"}).clear, 0u);
}

TEST(MountOptions, words_with_r_are_recursive) {
  const MountOptions o = parsed({"rro", "rnosuid", "rdev", "rnoatime", "rsymfollow", "rw"});
  EXPECT_EQ(o.rec_set, std::uint64_t{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME});
  EXPECT_EQ(o.rec_clear,
            std::uint64_t{MOUNT_ATTR_NODEV | MOUNT_ATTR__ATIME | MOUNT_ATTR_NOSYMFOLLOW});
  EXPECT_EQ(o.clear, std::uint64_t{MOUNT_ATTR_RDONLY});
  for (const char* word :
       {"rrw", "rsuid", "rnodev", "rexec", "rnoexec", "rdiratime", "rnodiratime", "rrelatime",
        "rnorelatime", "rstrictatime", "rnostrictatime", "ratime", "rnosymfollow"})
    EXPECT_THAT(parsed({word}).data, IsEmpty()) << word;
}

TEST(MountOptions, propagation_kinds) {
  EXPECT_EQ(parsed({"shared"}).propagation, std::uint64_t{MS_SHARED});
  EXPECT_FALSE(parsed({"shared"}).propagation_recursive);
  const std::pair<const char*, std::uint64_t> cases[] = {{"rshared", MS_SHARED},
                                                         {"rslave", MS_SLAVE},
                                                         {"rprivate", MS_PRIVATE},
                                                         {"runbindable", MS_UNBINDABLE}};
  for (const auto& [word, flag] : cases) {
    EXPECT_EQ(parsed({word}).propagation, flag) << word;
    EXPECT_TRUE(parsed({word}).propagation_recursive) << word;
  }
}

TEST(MountOptions, contradictions_are_refused) {
  EXPECT_ERROR(parse_mount_options({"shared", "rprivate"}), Errc::InvalidSpec,
               HasSubstr("\"rprivate\""));
  EXPECT_ERROR(parse_mount_options({"bind", "tmpcopyup"}), Errc::InvalidSpec,
               HasSubstr("tmpcopyup"));
  EXPECT_OK(parse_mount_options({"private", "rprivate"}));
}

TEST(MountOptions, switches) {
  const MountOptions bind = parsed({"bind"});
  EXPECT_TRUE(bind.bind);
  EXPECT_FALSE(bind.recursive_bind);
  const MountOptions all = parsed({"rbind", "remount", "copy-symlink", "ridmap", "sync", "dirsync",
                                   "mand", "iversion", "lazytime", "silent"});
  EXPECT_TRUE(all.bind && all.recursive_bind && all.remount && all.copy_symlink && all.idmap &&
              all.idmap_recursive && all.sync && all.dirsync && all.mandlock && all.iversion &&
              all.lazytime && all.silent);
  const MountOptions none = parsed({"sync", "async", "mand", "nomand", "iversion", "noiversion",
                                    "lazytime", "nolazytime", "silent", "loud", "idmap"});
  EXPECT_FALSE(none.sync || none.mandlock || none.iversion || none.lazytime || none.silent);
  EXPECT_TRUE(none.idmap);
  EXPECT_FALSE(none.idmap_recursive);
  EXPECT_TRUE(parsed({"tmpcopyup"}).tmpcopyup);
}

TEST(MountOptions, everything_else_is_for_the_file_system) {
  const MountOptions o = parsed({"defaults", "size=64k", "", "mode=1777", "rdefaults", "rfoo"});
  EXPECT_THAT(o.data, ElementsAre("size=64k", "mode=1777", "rdefaults", "rfoo"));
  EXPECT_EQ(o.set | o.clear | o.rec_set | o.rec_clear, 0u);
}

}  // namespace
}  // namespace nexcage::sys
