#include "nexcage/layerfs/inventory.h"

#include <string>

#include "nexcage/image/sha256.h"
#include "nexcage/layerfs/garbage.h"
#include "result_matchers.h"

namespace nexcage::layerfs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

oci::Digest content(const std::string& name) { return image::sha256_digest(name); }

/// A stack by the names of its layers' contents, lowest first.
std::vector<Layer> stack(const std::vector<std::string>& names) {
  std::vector<oci::Digest> diff_ids;
  diff_ids.reserve(names.size());
  for (const std::string& name : names) diff_ids.push_back(content(name));
  const auto chain_ids = image::chain_ids(diff_ids);
  std::vector<Layer> layers;
  layers.reserve(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) layers.push_back({diff_ids[i], chain_ids[i]});
  return layers;
}

Prepared tar(const std::string& name, std::uint64_t bytes = 1) {
  return {.key = "t-" + std::string(content(name).hex()),
          .kind = "tar",
          .bytes = bytes,
          .entries = 1,
          .diff_ids = {content(name)},
          .chain_id = {},
          .parent = {}};
}

Prepared merged(const std::vector<std::string>& names) {
  Prepared thing{.key = "m-" + std::string(stack(names).back().chain_id.hex()),
                 .kind = "merged",
                 .bytes = 10,
                 .entries = 2,
                 .diff_ids = {},
                 .chain_id = stack(names).back().chain_id,
                 .parent = {}};
  for (const Layer& layer : stack(names)) thing.diff_ids.push_back(layer.diff_id);
  return thing;
}

/// The index of the top-most layer.
Prepared index_of(const std::vector<std::string>& names) {
  const auto layers = stack(names);
  Prepared thing{.key = "i-" + std::string(layers.back().chain_id.hex()),
                 .kind = "index",
                 .bytes = 5,
                 .diff_ids = {layers.back().diff_id},
                 .chain_id = layers.back().chain_id,
                 .parent = {}};
  if (layers.size() > 1) thing.parent = layers[layers.size() - 2].chain_id;
  return thing;
}

std::vector<std::string> keys(const Inventory& inventory, const std::vector<LayerHandle>& things) {
  std::vector<std::string> all;
  all.reserve(things.size());
  for (const LayerHandle thing : things) all.push_back(inventory.things().key(thing));
  return all;
}

std::string flaw_of(const Inventory& inventory, const std::string& key) {
  std::string flaw = "(no such thing)";
  inventory.things().each([&](LayerHandle thing) {
    if (inventory.things().key(thing) == key) flaw = inventory.flaw(thing);
  });
  return flaw;
}

TEST(Inventory, WhatNoImageNeedsIsGarbageFromTheTopDown) {
  Inventory inventory;
  inventory.add_image("web:1", stack({"base", "web"}));
  inventory.add_driver(
      "erofs", {tar("base"), tar("web"), tar("old"), tar("older"), merged({"base", "web"}),
                index_of({"base"}), index_of({"base", "old"}), index_of({"base", "old", "older"}),
                merged({"base", "old"}), merged({"base"})});
  inventory.finish();
  const auto found = keys(inventory, inventory.garbage());
  // The merged form of a mere part of an image's stack serves nobody; its one layer's index does.
  ASSERT_EQ(found.size(), 6u);
  EXPECT_EQ(found[0], index_of({"base", "old", "older"}).key);
  EXPECT_EQ(found[3], merged({"base"}).key);
  const Freed freed = find_garbage(inventory);
  EXPECT_EQ(freed.keys.size(), 6u);
  EXPECT_EQ(freed.keys[0], "erofs/" + found[0]);
  EXPECT_EQ(freed.bytes, 5u + 5 + 10 + 10 + 1 + 1);
}

TEST(Inventory, WhatIsMountedIsNoGarbage) {
  Inventory inventory;
  Prepared used = merged({"a", "b"});
  used.references = 2;
  inventory.add_driver("erofs", {used, tar("a")});
  inventory.finish();
  EXPECT_THAT(keys(inventory, inventory.garbage()), ElementsAre(tar("a").key));
}

TEST(Inventory, DamagedRecordsAreGarbageAndFlawed) {
  Inventory inventory;
  inventory.add_image("web:1", stack({"a"}));
  inventory.add_driver("erofs", {{.key = "t-what", .kind = "damaged"}, tar("a")});
  inventory.finish();
  EXPECT_THAT(keys(inventory, inventory.garbage()), ElementsAre("t-what"));
  EXPECT_THAT(flaw_of(inventory, "t-what"), HasSubstr("cannot be read"));
  EXPECT_EQ(flaw_of(inventory, tar("a").key), "");
}

TEST(Inventory, RecordsThatCannotBeTrueAreFlawed) {
  Inventory inventory;
  inventory.add_image("web:1", stack({"a", "b"}));
  Prepared false_parent = index_of({"a", "b"});
  false_parent.parent = content("x");
  Prepared false_stack = merged({"c", "d"});
  false_stack.diff_ids.pop_back();
  false_stack.diff_ids.push_back(content("e"));
  Prepared on_itself = index_of({"f", "g"});
  on_itself.parent = on_itself.chain_id;
  inventory.add_driver("erofs", {false_parent, false_stack, on_itself, index_of({"h", "i"}),
                                 index_of({"a"}), merged({"a", "b"})});
  inventory.finish();
  EXPECT_THAT(flaw_of(inventory, false_parent.key), HasSubstr("do not belong together"));
  EXPECT_THAT(flaw_of(inventory, false_stack.key), HasSubstr("do not belong together"));
  EXPECT_THAT(flaw_of(inventory, on_itself.key), HasSubstr("lies on itself"));
  EXPECT_THAT(flaw_of(inventory, index_of({"h", "i"}).key), HasSubstr("not known"));
  EXPECT_EQ(flaw_of(inventory, index_of({"a"}).key), "");
  EXPECT_EQ(flaw_of(inventory, merged({"a", "b"}).key), "");
  EXPECT_EQ(inventory.stats().flawed, 4u);
}

TEST(Inventory, SumsUp) {
  Inventory inventory;
  inventory.add_image("web:1", stack({"base", "web"}));
  inventory.add_image("web:2", stack({"base", "web", "more"}));
  inventory.add_driver("erofs", {tar("base", 100), tar("web", 10), tar("gone", 7)});
  inventory.add_driver("overlay", {{.key = "d-1", .kind = "tree", .bytes = 1, .references = 3}});
  inventory.finish();
  const Inventory::Stats stats = inventory.stats();
  EXPECT_EQ(stats.images, 2u);
  EXPECT_EQ(stats.layers, 3u);
  EXPECT_EQ(stats.shared_layers, 2u);
  EXPECT_EQ(stats.deepest, 3u);
  EXPECT_EQ(stats.all.bytes, 118u);
  EXPECT_EQ(stats.unused.bytes, 7u);
  ASSERT_EQ(stats.rows.size(), 2u);
  EXPECT_EQ(stats.rows[0].driver, "erofs");
  EXPECT_EQ(stats.rows[0].all.count, 3u);
  EXPECT_EQ(stats.rows[0].unused.count, 1u);
  EXPECT_EQ(stats.rows[1].references, 3u);
}

TEST(Inventory, TellsWhatBelongsToALayer) {
  Inventory inventory;
  inventory.add_image("web:1", stack({"base", "web"}));
  inventory.add_driver("erofs", {tar("base"), tar("web"), tar("gone"), merged({"base", "web"})});
  inventory.finish();
  const auto top = inventory.graph().find(to_binary(stack({"base", "web"}).back().chain_id));
  ASSERT_NE(top, LayerGraph::kNone);
  EXPECT_THAT(inventory.images_at(top), ElementsAre("web:1"));
  EXPECT_THAT(keys(inventory, inventory.things_at(top)),
              ElementsAre(tar("web").key, merged({"base", "web"}).key));
  EXPECT_THAT(inventory.images_at(inventory.graph().parent(top)), IsEmpty());
  EXPECT_THAT(keys(inventory, inventory.unattached()), ElementsAre(tar("gone").key));
}

TEST(Inventory, OtherAlgorithmsKeepTheirText) {
  const oci::Digest diff = oci::Digest::from_hex("sha512", std::string(128, 'c'));
  Inventory inventory;
  inventory.add_image("web:1", {{diff, diff}});
  Prepared thing{.key = "t-x", .kind = "tar", .diff_ids = {diff}};
  inventory.add_driver("erofs", {thing});
  inventory.finish();
  EXPECT_THAT(inventory.garbage(), IsEmpty());
  inventory.things().each([&](LayerHandle one) {
    EXPECT_EQ(inventory.text(inventory.things().at(one).diff_id), diff.str());
  });
}

TEST(Inventory, NothingAtAll) {
  Inventory inventory;
  inventory.finish();
  EXPECT_THAT(inventory.garbage(), IsEmpty());
  EXPECT_EQ(inventory.stats().all.count, 0u);
}

}  // namespace
}  // namespace nexcage::layerfs
