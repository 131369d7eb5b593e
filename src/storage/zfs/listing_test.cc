#include "nexcage/storage/zfs/listing.h"

#include "result_matchers.h"

namespace nexcage::storage::zfs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

Parent parent() { return Parent::parse("tank/cages").value(); }
Dataset web() { return parent().child("web1").value(); }

TEST(ZfsListing, gives_the_snapshots_in_their_order) {
  EXPECT_THAT(parse_snapshots("tank/cages/web1@a\t1700000000\t12288\t98304\t0\n"
                              "tank/cages/web1@b\t1700000001\t0\t18446744073709551615\t2\n",
                              web())
                  .value(),
              ElementsAre(SnapshotInfo{"a", 1700000000, 12288, 98304, 0},
                          SnapshotInfo{"b", 1700000001, 0, UINT64_MAX, 2}));
  EXPECT_THAT(parse_snapshots("", web()).value(), IsEmpty());
}

TEST(ZfsListing, refuses_snapshots_of_others_and_lines_of_another_form) {
  for (const char* text : {"tank/cages/web2@a\t1\t1\t1\t0\n", "tank/cages/web1\t1\t1\t1\t0\n",
                           "tank/cages/web1@\t1\t1\t1\t0\n", "tank/cages/web1@a\t1\t1\t1\n",
                           "tank/cages/web1@a\t1\t1\t1\t0\t0\n", "tank/cages/web1@a\t1\t1K\t1\t0\n",
                           "tank/cages/web1@a\t-\t1\t1\t0\n", "\n", "no datasets available\n"}) {
    SCOPED_TRACE(text);
    EXPECT_ERROR(parse_snapshots(text, web()), Errc::ZFSError, HasSubstr("list of snapshots"));
  }
}

TEST(ZfsListing, gives_what_lies_below_and_not_the_dataset_itself) {
  const std::string text =
      "tank/cages\tfilesystem\t500\t1000\t24\t/cages\t-\n"
      "tank/cages/img\tfilesystem\t400\t1000\t300\tlegacy\t-\n"
      "tank/cages/web 1\tfilesystem\t8\t1000\t300\tnone\ttank/cages/img@base\n"
      "tank/cages/vol\tvolume\t64\t1000\t56\t-\t-\n";
  EXPECT_THAT(parse_datasets(text, parent(), "tank/cages").value(),
              ElementsAre(DatasetInfo{"img", false, 400, 1000, 300, "legacy", ""},
                          DatasetInfo{"web 1", false, 8, 1000, 300, "none", "tank/cages/img@base"},
                          DatasetInfo{"vol", true, 64, 1000, 56, "", ""}));
  EXPECT_THAT(parse_datasets("tank/cages/img\tfilesystem\t4\t1\t3\tlegacy\t-\n"
                             "tank/cages/img/x\tfilesystem\t4\t1\t3\tlegacy\t-\n",
                             parent(), "tank/cages/img")
                  .value(),
              ElementsAre(DatasetInfo{"img/x", false, 4, 1, 3, "legacy", ""}));
}

TEST(ZfsListing, refuses_datasets_outside_of_the_parent) {
  for (const char* text :
       {"tank\tfilesystem\t4\t1\t3\tlegacy\t-\n", "tank/cages2\tfilesystem\t4\t1\t3\tx\t-\n",
        "tank/cages/a\tfilesystem\t4\t1\t3\tx\n", "tank/cages/a\tfilesystem\t4\t1\t-\tx\t-\n"}) {
    SCOPED_TRACE(text);
    EXPECT_ERROR(parse_datasets(text, parent(), "tank/cages"), Errc::ZFSError,
                 HasSubstr("list of datasets"));
  }
}

TEST(ZfsListing, gives_the_properties_that_are_set) {
  const std::vector<std::string> names = {"mountpoint", "org.nexcage:id", "origin", "quota"};
  EXPECT_THAT(
      parse_properties("mountpoint\tlegacy\norg.nexcage:id\ta\tb \norigin\t-\nquota\t0\n", names)
          .value(),
      ElementsAre(Pair("mountpoint", "legacy"), Pair("org.nexcage:id", "a\tb "),
                  Pair("quota", "0")));
}

TEST(ZfsListing, lets_no_value_pass_for_another_property) {
  const std::vector<std::string> names = {"a:a", "a:b"};
  for (const char* text : {"a:a\tx\na:b\tforged\na:b\ty\n", "a:b\tx\na:a\ty\n", "a:a\tx\n",
                           "a:a\tx\na:bb\ty\n", "a:a\na:b\ty\n", ""}) {
    SCOPED_TRACE(text);
    EXPECT_ERROR(parse_properties(text, names), Errc::ZFSError, HasSubstr("list of properties"));
  }
}

TEST(ZfsListing, gives_a_pool_even_without_its_devices) {
  EXPECT_EQ(parse_pool("tank\tONLINE\t1006632960\t182272\t1006450688\n").value(),
            (PoolInfo{"tank", "ONLINE", 1006632960, 182272, 1006450688}));
  EXPECT_EQ(parse_pool("tank\tUNAVAIL\t-\t-\t-\n").value(), (PoolInfo{"tank", "UNAVAIL", 0, 0, 0}));
  for (const char* text :
       {"", "tank\n", "tank\tONLINE\t1G\t1\t1\n", "a\tONLINE\t1\t1\t1\nb\tONLINE\t1\t1\t1\n"}) {
    SCOPED_TRACE(text);
    EXPECT_ERROR(parse_pool(text), Errc::ZFSError, HasSubstr("list of pools"));
  }
}

TEST(ZfsListing, gives_the_space_of_a_dataset) {
  EXPECT_EQ(parse_space({{"used", "5"}, {"available", "7"}, {"quota", "0"}}).value(),
            (Space{5, 7, 0}));
  EXPECT_ERROR(parse_space({{"used", "5"}, {"available", "7"}}), Errc::ZFSError,
               HasSubstr("quota"));
  EXPECT_ERROR(parse_space({{"used", "5"}, {"available", "none"}, {"quota", "0"}}), Errc::ZFSError,
               HasSubstr("available"));
}

}  // namespace
}  // namespace nexcage::storage::zfs
