#include "nexcage/storage/snapshots/snapshots.h"

#include "nexcage/storage/snapshots/parts.h"
#include "result_matchers.h"

namespace nexcage::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(SnapshotName, takes_what_every_storage_can_have) {
  for (const char* name : {"a", "2024-05-01T12:00:00", "before_upgrade", "v1.2", "_"})
    EXPECT_OK(check_snapshot_name(name));
  EXPECT_OK(check_snapshot_name(std::string(128, 'x')));
}

TEST(SnapshotName, refuses_what_leads_elsewhere) {
  for (const char* name : {"", ".", "..", ".hidden", "-rf", "a/b", "a b", "a@b", "a\n", "\xc3\xa4"})
    EXPECT_ERROR(check_snapshot_name(name), Errc::InvalidSpec, HasSubstr("snapshot name"));
  EXPECT_ERROR(check_snapshot_name(std::string(129, 'x')), Errc::InvalidSpec,
               HasSubstr("snapshot name"));
  EXPECT_ERROR(check_snapshot_name(std::string_view("a\0b", 3)), Errc::InvalidSpec,
               HasSubstr("snapshot name"));
}

std::vector<SnapshotInfo> three() {
  return {{.name = "a", .created = 1, .bytes = 0},
          {.name = "b", .created = 2, .bytes = 0},
          {.name = "c", .created = 3, .bytes = 0}};
}

TEST(SnapshotsBeyond, the_oldest_go_first) {
  EXPECT_THAT(beyond(three(), 1), ElementsAre("a", "b"));
  EXPECT_THAT(beyond(three(), 2), ElementsAre("a"));
  EXPECT_THAT(beyond(three(), 0), ElementsAre("a", "b", "c"));
}

TEST(SnapshotsBeyond, nothing_goes_while_there_are_few) {
  EXPECT_THAT(beyond(three(), 3), IsEmpty());
  EXPECT_THAT(beyond(three(), SIZE_MAX), IsEmpty());
  EXPECT_THAT(beyond({}, 0), IsEmpty());
}

Dated dated(const char* name, std::uint64_t created, std::uint64_t ns, std::uint64_t serial) {
  return {.info = {.name = name, .created = created, .bytes = std::nullopt},
          .nanoseconds = ns,
          .serial = serial};
}

TEST(SnapshotsByAge, orders_within_a_second_too) {
  std::vector<std::string> names;
  for (const SnapshotInfo& info :
       by_age({dated("later", 2, 0, 0), dated("z", 1, 5, 1), dated("a", 1, 5, 2),
               dated("c", 1, 6, 0), dated("b", 1, 6, 0), dated("first", 1, 4, 9)}))
    names.push_back(info.name);
  EXPECT_THAT(names, ElementsAre("first", "z", "a", "b", "c", "later"));
}

}  // namespace
}  // namespace nexcage::storage
