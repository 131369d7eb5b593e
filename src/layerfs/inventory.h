// Everything that is prepared on this host together with the images that need it: what lists,
// trees, statistics and garbage collection are made of. Facts only: nothing here touches a disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "nexcage/layerfs/graph.h"
#include "nexcage/layerfs/layer_pool.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs {

/// "tree", "tar", "index", "merged", "full", "damaged".
std::string_view kind_name(LayerKind kind);

class Inventory {
 public:
  /// An image, by what people call it, and its layers, lowest first.
  void add_image(std::string name, const std::vector<Layer>& layers);
  /// What a driver has prepared.
  void add_driver(std::string name, const std::vector<Prepared>& things);
  /// Call it when all is added, before any question.
  void finish();

  const LayerPool& things() const { return pool_; }
  const std::string& driver(LayerHandle thing) const { return drivers_[pool_.at(thing).owner]; }
  /// An image needs it: a whole stack as it is one, a layer for being in its stack.
  bool is_needed(LayerHandle thing) const;
  /// Things that no image needs and no mount uses; what lies on others comes first, so that a
  /// removal that is cut short leaves nothing without what it lies on.
  std::vector<LayerHandle> garbage() const;
  /// What a thing's record says of the layers below it cannot be true, or they are gone: why. Empty
  /// when all is well.
  std::string flaw(LayerHandle thing) const;

  /// Layers that images or prepared things have, each by its chain ID.
  const LayerGraph& graph() const { return graph_; }
  /// Parents first.
  const LayerGraph::Order& order() const { return order_; }
  /// Of a node of the graph: the images that end there, and what is prepared for it alone or (tars)
  /// for every layer of the same content.
  std::vector<std::string> images_at(LayerGraph::Node node) const;
  std::vector<LayerHandle> things_at(LayerGraph::Node node) const;
  /// Things that are of no layer of the graph: of the content of images that are gone.
  std::vector<LayerHandle> unattached() const;

  /// "sha256:..." of a digest of a record or a node; empty for none.
  std::string text(const BinaryDigest& digest) const;

  struct Total {
    std::uint64_t count = 0, bytes = 0, entries = 0;
  };
  struct Stats {
    struct Row {
      std::string driver;
      LayerKind kind;
      Total all, unused;  // unused: garbage()
      std::uint64_t references = 0;
    };
    std::vector<Row> rows;  // by driver and kind, those with anything
    Total all, unused;
    std::uint64_t images = 0;
    std::uint64_t layers = 0;         // different ones, by chain ID
    std::uint64_t shared_layers = 0;  // of these, in more than one image
    std::uint64_t deepest = 0;        // layers of the highest stack
    std::uint64_t flawed = 0;         // things with a flaw()
    std::size_t memory = 0;           // bytes that this takes on the heap
  };
  Stats stats() const;

 private:
  struct ImageEnd {
    LayerGraph::Node node;
    std::uint32_t name;
  };
  struct Placed {
    LayerGraph::Node node;
    LayerHandle thing;
  };
  std::size_t memory() const;
  BinaryDigest keep(const oci::Digest& digest);
  LayerGraph::Node add_layer(const BinaryDigest& chain, const BinaryDigest& parent,
                             const BinaryDigest& content);
  bool add_stack(const Prepared& thing);
  bool fits(const Prepared& thing, const BinaryDigest& chain, const BinaryDigest& content);
  LayerGraph::Node node_of(LayerHandle thing) const;
  void add(const Prepared& thing, std::uint16_t owner);

  LayerPool pool_;
  LayerGraph graph_;
  LayerGraph::Order order_;
  std::vector<std::string> drivers_, names_;
  std::vector<ImageEnd> ends_;          // sorted by node, as placed_ is
  std::vector<Placed> placed_;          // things with a chain ID
  std::vector<BinaryDigest> contents_;  // by node: diff IDs
  std::vector<std::uint32_t> uses_;     // by node: images whose stacks it is in
  std::unordered_set<BinaryDigest, BinaryDigestHash> needed_contents_;           // diff IDs
  std::unordered_multimap<BinaryDigest, LayerHandle, BinaryDigestHash> shared_;  // by diff ID
  std::vector<LayerHandle> impossible_;                                          // sorted
  std::vector<std::uint32_t> ranks_;  // by node: place in the order from the ground up
  enum class Fate : std::uint8_t { sound, orphan, cyclic };
  std::vector<Fate> fates_;                                                // by node
  std::unordered_map<BinaryDigest, std::string, BinaryDigestHash> texts_;  // not SHA-256
};

}  // namespace nexcage::layerfs
