#include "nexcage/storage/zfs/dataset.h"

#include <set>

#include "result_matchers.h"

namespace nexcage::storage::zfs {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Parent parent(std::string_view name = "tank/cages") { return Parent::parse(name).value(); }

TEST(ZfsParent, takes_pools_and_what_lies_in_them) {
  for (const char* name : {"tank", "t", "rpool/data", "Tank-1_x.y:z/a/-b/0", "clog/x", "c/d",
                           "log1", "rpool/mirror", "rpool/log", "rpool/c0"}) {
    auto taken = Parent::parse(name);
    ASSERT_OK(taken);
    EXPECT_EQ(taken->name(), name);
  }
  EXPECT_EQ(parent("tank").pool(), "tank");
  EXPECT_EQ(parent("rpool/a/b").pool(), "rpool");
}

TEST(ZfsParent, refuses_what_zfs_does_not_take) {
  for (const char* name :
       {"",          "/",        "/tank",    "tank/",         "tank//a",  "tank/.", "tank/..",
        "tank/../x", ".",        "..",       "tank@a",        "tank/a@b", "tank#a", "tank/%recv",
        "tank/a b",  "tank/a+b", "tank/a\n", "tank/\xc3\xa4", "1tank",    "-r",     "--help",
        "_tank",     ":tank",    "tank,a",   "tank/a'b",      "tank/a\tb"}) {
    SCOPED_TRACE(name);
    EXPECT_ERROR(Parent::parse(name), Errc::ConfigError, HasSubstr("ZFS dataset"));
  }
  EXPECT_ERROR(Parent::parse(std::string_view("tank\0x", 6)), Errc::ConfigError,
               HasSubstr("character"));
}

TEST(ZfsParent, refuses_the_pools_that_zpool_does_not_make) {
  for (const char* name : {"mirror", "mirror1", "raidz", "raidz2", "draid", "draid1:4d", "spare",
                           "spares", "log", "c0", "c1t0d0", "mirror/x", "c9/x"}) {
    SCOPED_TRACE(name);
    EXPECT_ERROR(Parent::parse(name), Errc::ConfigError, HasSubstr("zpool(8) keeps"));
  }
}

TEST(ZfsParent, refuses_names_that_are_too_long_or_too_deep) {
  EXPECT_OK(Parent::parse(std::string(239, 'a')));
  EXPECT_ERROR(Parent::parse(std::string(240, 'a')), Errc::ConfigError, HasSubstr("more than 239"));
  EXPECT_OK(Parent::parse("a/" + std::string(253, 'b')));
  EXPECT_ERROR(Parent::parse("a/" + std::string(254, 'b')), Errc::ConfigError, HasSubstr("longer"));
  std::string deep = "a";
  for (int i = 0; i < 49; ++i) deep += "/a";
  EXPECT_OK(Parent::parse(deep));
  EXPECT_ERROR(Parent::parse(deep + "/a"), Errc::ConfigError, HasSubstr("levels"));
  EXPECT_ERROR(parent(deep).child("a"), Errc::InvalidSpec, HasSubstr("levels"));
}

TEST(ZfsDataset, lies_below_its_parent) {
  auto child = parent().child("nexcage/images/ab12");
  ASSERT_OK(child);
  EXPECT_EQ(child->name(), "tank/cages/nexcage/images/ab12");
  EXPECT_EQ(child->path(), "nexcage/images/ab12");
  EXPECT_EQ(parent("tank").child("mirror")->name(), "tank/mirror");
  EXPECT_EQ(parent("tank").child("-r")->name(), "tank/-r");
}

TEST(ZfsDataset, refuses_a_path_that_leaves_the_parent_or_is_no_dataset) {
  for (const char* path :
       {"",   "/",   "/a",  "a/", "a//b", "..",  "../x", "a/../..", ".",   "a/.", "a@b",
        "@b", "a#b", "a%b", "%",  "a b",  "a+b", "a\n",  "a,b",     "a=b", "\xff"}) {
    SCOPED_TRACE(path);
    EXPECT_ERROR(parent().child(path), Errc::InvalidSpec,
                 AllOf(HasSubstr("below tank/cages"), HasSubstr("name")));
  }
}

TEST(ZfsDataset, counts_the_length_of_the_whole_name) {
  const std::size_t room = kMaxName - std::string("tank/cages/").size();
  auto longest = parent().child(std::string(room, 'x'));
  ASSERT_OK(longest);
  EXPECT_EQ(longest->name().size(), kMaxName);
  EXPECT_ERROR(parent().child(std::string(room + 1, 'x')), Errc::InvalidSpec, HasSubstr("longer"));
  EXPECT_ERROR(longest->snapshot("s"), Errc::InvalidSpec, HasSubstr("longer"));
  EXPECT_OK(parent().child(std::string(room - 2, 'x'))->snapshot("s"));
}

TEST(ZfsSnapshot, has_a_dataset_and_a_label) {
  const Dataset web = parent().child("web1").value();
  auto before = web.snapshot("before-2024.05:1_x");
  ASSERT_OK(before);
  EXPECT_EQ(before->name(), "tank/cages/web1@before-2024.05:1_x");
  EXPECT_EQ(before->dataset(), "tank/cages/web1");
  EXPECT_EQ(before->label(), "before-2024.05:1_x");
  EXPECT_OK(web.snapshot("-r"));
  for (const char* label :
       {"", ".", "..", "a/b", "a@b", "@", "a#b", "%", "a%b", "a,b", "a b", "a+b", "a\n"}) {
    SCOPED_TRACE(label);
    EXPECT_ERROR(web.snapshot(label), Errc::InvalidSpec, HasSubstr("of dataset tank/cages/web1"));
  }
}

TEST(ZfsParent, contains_itself_and_what_lies_below) {
  for (const char* name : {"tank/cages", "tank/cages/a", "tank/cages/a/b"})
    EXPECT_TRUE(parent().contains(name)) << name;
  for (const char* name :
       {"tank", "tank/cages2", "tank/cage", "tank/cages/", "tank/cages@a", "", "x"})
    EXPECT_FALSE(parent().contains(name)) << name;
}

TEST(ZfsParent, is_narrowed_but_never_left) {
  EXPECT_EQ(parent().below("tank/cages/images")->name(), "tank/cages/images");
  EXPECT_EQ(parent().below("tank/cages").value(), parent());
  for (const char* name : {"tank", "rpool/cages", "tank/cages2"}) {
    SCOPED_TRACE(name);
    EXPECT_ERROR(parent().below(name), Errc::ConfigError, HasSubstr("outside of the configured"));
  }
  EXPECT_ERROR(parent().below("tank/cages/../x"), Errc::ConfigError, HasSubstr("component"));
}

TEST(ZfsComponent, differs_for_different_container_ids) {
  EXPECT_EQ(component_of("web+1.a-b_C"), "web:1.a-b_C");
  const std::string characters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.-";
  std::set<std::string> seen;
  for (const char c : characters) {
    const std::string component = component_of(std::string("a") + c);
    EXPECT_TRUE(seen.insert(component).second) << c;
    EXPECT_OK(parent().child(component));
  }
}

}  // namespace
}  // namespace nexcage::storage::zfs
