// What a record remembers of a guest, and volumes in settings.
#include "nexcage/backends/proxmox/guest_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nexcage/backends/proxmox/volumes.h"
#include "result_matchers.h"

namespace nexcage::backends::proxmox {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

GuestData full_data() {
  GuestData data;
  data.name = {.vmid = 300, .node = "pve1", .token = "abc"};
  json::Object rest;
  rest.set("oci", "1.2.0");
  data.kept.push_back({.volume = "local:300/vm-300-disk-0.raw,size=4G",
                       .image = "app:1",
                       .digest = "sha256:11",
                       .settings = {{"env", std::string("A=1\0B=2", 7)}, {"cmode", "console"}},
                       .rest = rest});
  data.update = SwapJournal{.carrier = GuestName{.vmid = 301, .node = "pve1", .token = "def"},
                            .storage = "local",
                            .stand_in = "vm-301-disk-99.raw",
                            .key = "unused0",
                            .had = {"local:300/vm-300-disk-0.raw"},
                            .new_root = "local:300/vm-300-disk-1.raw",
                            .stops_guest = true,
                            .before = {{"rootfs", "local:300/vm-300-disk-0.raw,size=4G"}},
                            .added = {"cmode"}};
  data.changes = 2;
  data.root = "local:300/vm-300-disk-2.raw";
  data.spare = {"local:300/vm-300-disk-3.raw"};
  return data;
}

TEST(GuestData, ComesBackFromTheRecord) {
  const auto text = json::dump(to_json(full_data()));
  const auto parsed = json::parse(text);
  ASSERT_OK(parsed);
  const auto again = guest_data(*parsed);
  ASSERT_OK(again);
  EXPECT_EQ(json::dump(to_json(*again)), text);
  ASSERT_TRUE(again->update && again->update->carrier);
  EXPECT_EQ(again->update->carrier->vmid, 301U);
  EXPECT_TRUE(again->update->stops_guest);
  EXPECT_EQ(again->changes, 2U);
  EXPECT_THAT(again->update->added, ElementsAre("cmode"));
  EXPECT_THAT(again->update->had, ElementsAre("local:300/vm-300-disk-0.raw"));
  ASSERT_EQ(again->kept.size(), 1U);
  EXPECT_EQ(again->kept[0].settings.at("env"), std::string("A=1\0B=2", 7));
  EXPECT_ERROR(guest_data(json::Value(json::Object())), Errc::InvalidState, HasSubstr("no guest"));
}

TEST(GuestData, NotesShowNoVariablesOfEarlierRoots) {
  const auto notes = pve::print_notes({.token = "abc",
                                       .id = "web",
                                       .image = "app:2",
                                       .digest = "sha256:22",
                                       .rest = {},
                                       .kept = full_data().kept});
  ASSERT_OK(notes);
  EXPECT_THAT(*notes, ::testing::Not(HasSubstr("A=1")));
  const auto parsed = pve::parse_notes(*notes);
  ASSERT_TRUE(parsed);
  ASSERT_EQ(parsed->kept.size(), 1U);
  EXPECT_EQ(parsed->kept[0].digest, "sha256:11");
}

TEST(Volumes, SizesAreRoundedUpToGib) {
  for (const auto& [text, gib] :
       std::vector<std::pair<std::string, std::uint64_t>>{{"a:b,size=4G", 4},
                                                          {"a:b,size=1T,ro=1", 1024},
                                                          {"a:b,size=1536M", 2},
                                                          {"a:b,size=1K", 1},
                                                          {"a:b,size=8589934592", 8},
                                                          {"a:b", 0},
                                                          {"a:b,size=0T", 0}})
    EXPECT_EQ(gib_of(text), gib) << text;
}

TEST(Volumes, UnusedOnesAreFound) {
  const pve::Params config = {{"unused0", "a:b"}, {"unused2", "a:c"}, {"rootfs", "a:d,size=1G"}};
  EXPECT_EQ(free_unused(config), "unused1");
  EXPECT_EQ(unused_of(config, "a:c"), "unused2");
  EXPECT_EQ(unused_of(config, "a:d"), "");
  EXPECT_EQ(with_size("a:d,ro=1,size=1G"), "a:d,size=1G");
  EXPECT_THAT(volumes_in(config), ElementsAre("a:d", "a:b", "a:c"));
}

}  // namespace
}  // namespace nexcage::backends::proxmox
