#include "nexcage/layerfs/inventory.h"

#include <algorithm>
#include <array>
#include <ranges>
#include <utility>

namespace nexcage::layerfs {
namespace {

constexpr std::array<std::string_view, 6> kKinds = {"tree",   "tar",  "index",
                                                    "merged", "full", "damaged"};

/// tree: what a driver may say beyond these is shown as one, too.
LayerKind kind_from(std::string_view name) {
  const auto found = std::ranges::find(kKinds, name);
  return found == kKinds.end() ? LayerKind::tree : static_cast<LayerKind>(found - kKinds.begin());
}

template <class Sorted>
auto range_at(const Sorted& sorted, LayerGraph::Node node) {
  return std::ranges::equal_range(sorted, node, {}, [](const auto& item) { return item.node; });
}

}  // namespace

std::string_view kind_name(LayerKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

BinaryDigest Inventory::keep(const oci::Digest& digest) {
  const BinaryDigest binary = to_binary(digest);
  if (digest.algorithm() != "sha256") texts_.emplace(binary, digest.str());
  return binary;
}

std::string Inventory::text(const BinaryDigest& digest) const {
  if (digest.is_none()) return "";
  const auto other = texts_.find(digest);
  return other != texts_.end() ? other->second : "sha256:" + to_hex(digest);
}

LayerGraph::Node Inventory::add_layer(const BinaryDigest& chain, const BinaryDigest& parent,
                                      const BinaryDigest& content) {
  const LayerGraph::Node node = graph_.add(chain, parent);
  contents_.resize(graph_.size());
  uses_.resize(graph_.size());
  if (!content.is_none()) contents_[node] = content;
  return node;
}

void Inventory::add_image(std::string name, const std::vector<Layer>& layers) {
  BinaryDigest below;
  LayerGraph::Node node = LayerGraph::kNone;
  for (const Layer& layer : layers) {
    const BinaryDigest content = keep(layer.diff_id), chain = keep(layer.chain_id);
    node = add_layer(chain, below, content);
    ++uses_[node];
    needed_contents_.insert(content);
    below = chain;
  }
  ends_.push_back({.node = node, .name = static_cast<std::uint32_t>(names_.size())});
  names_.push_back(std::move(name));
}

/// The layers of a thing that serves a whole stack. False when its chain ID is not theirs.
bool Inventory::add_stack(const Prepared& thing) {
  const std::vector<oci::Digest> chain_ids = image::chain_ids(thing.diff_ids);
  if (chain_ids.back() != *thing.chain_id) return false;
  BinaryDigest below;
  for (std::size_t i = 0; i < chain_ids.size(); ++i) {
    const BinaryDigest chain = keep(chain_ids[i]);
    add_layer(chain, below, keep(thing.diff_ids[i]));
    below = chain;
  }
  return true;
}

void Inventory::add(const Prepared& thing, std::uint16_t owner) {
  const std::size_t layers = thing.diff_ids.size();
  const LayerHandle handle =
      pool_.create({.key = thing.key,
                    .kind = kind_from(thing.kind),
                    .diff_id = layers == 1 ? &thing.diff_ids.front() : nullptr,
                    .chain_id = thing.chain_id ? &*thing.chain_id : nullptr,
                    .parent = thing.parent ? &*thing.parent : nullptr,
                    .bytes = thing.bytes,
                    .entries = thing.entries,
                    .references = thing.references,
                    .layers = static_cast<std::uint16_t>(std::min<std::size_t>(layers, UINT16_MAX)),
                    .owner = owner});
  if (layers == 1) keep(thing.diff_ids.front());
  if (!thing.chain_id) {
    if (layers == 1) shared_.emplace(pool_.at(handle).diff_id, handle);
    return;
  }
  const BinaryDigest chain = keep(*thing.chain_id);
  const bool is_stack = layers > 1 && !thing.parent;
  const bool is_true = is_stack ? add_stack(thing) : fits(thing, chain, pool_.at(handle).diff_id);
  if (!is_true) impossible_.push_back(handle);
  LayerGraph::Node node = graph_.find(chain);
  if (node == LayerGraph::kNone) node = add_layer(chain, {}, {});
  placed_.push_back({.node = node, .thing = handle});
}

/// Adds the layer of a thing. False when another parent is known: a chain ID has but one.
bool Inventory::fits(const Prepared& thing, const BinaryDigest& chain,
                     const BinaryDigest& content) {
  if (!thing.parent && thing.diff_ids.empty()) return true;  // the record does not say
  const BinaryDigest parent = thing.parent ? keep(*thing.parent) : BinaryDigest{};
  const LayerGraph::Node known = graph_.find(chain);
  if (known == LayerGraph::kNone) {
    add_layer(chain, parent, content);
    return true;
  }
  const LayerGraph::Node below = graph_.parent(known);
  return (below == LayerGraph::kNone ? BinaryDigest{} : graph_.id(below)) == parent;
}

void Inventory::add_driver(std::string name, const std::vector<Prepared>& things) {
  const auto owner = static_cast<std::uint16_t>(drivers_.size());
  drivers_.push_back(std::move(name));
  for (const Prepared& thing : things) add(thing, owner);
}

void Inventory::finish() {
  std::ranges::sort(ends_, {}, [](const ImageEnd& end) { return std::pair(end.node, end.name); });
  std::ranges::sort(placed_, {}, [](const Placed& at) { return std::pair(at.node, at.thing); });
  std::ranges::sort(impossible_);
  contents_.resize(graph_.size());
  uses_.resize(graph_.size());
  order_ = graph_.order();
  ranks_.assign(graph_.size(), 0);
  fates_.assign(graph_.size(), Fate::sound);
  std::uint32_t rank = 0;
  for (const LayerGraph::Node node : order_.sorted) ranks_[node] = rank++;
  for (const LayerGraph::Node node : order_.orphans) {
    ranks_[node] = rank++;
    fates_[node] = Fate::orphan;
  }
  for (const LayerGraph::Node node : order_.cyclic) fates_[node] = Fate::cyclic;
  graph_.index_children();
}

LayerGraph::Node Inventory::node_of(LayerHandle thing) const {
  const BinaryDigest& chain = pool_.at(thing).chain_id;
  return chain.is_none() ? LayerGraph::kNone : graph_.find(chain);
}

bool Inventory::is_needed(LayerHandle thing) const {
  const LayerPool::Record& record = pool_.at(thing);
  const LayerGraph::Node node = node_of(thing);
  if (node == LayerGraph::kNone) return needed_contents_.contains(record.diff_id);
  const bool whole_stack =
      record.layers > 1 || record.kind == LayerKind::merged || record.kind == LayerKind::full;
  return whole_stack ? !std::ranges::empty(range_at(ends_, node)) : uses_[node] > 0;
}

std::vector<LayerHandle> Inventory::garbage() const {
  std::vector<LayerHandle> found;
  pool_.each([&](LayerHandle thing) {
    if (pool_.at(thing).references == 0 && !is_needed(thing)) found.push_back(thing);
  });
  // What refers to others has a chain ID; what has none (a tar) refers to nothing and goes last.
  const auto height = [&](LayerHandle thing) {
    const LayerGraph::Node node = node_of(thing);
    return node == LayerGraph::kNone ? std::int64_t{-1} : std::int64_t{ranks_[node]};
  };
  std::ranges::sort(found, std::ranges::greater(), height);
  return found;
}

std::string Inventory::flaw(LayerHandle thing) const {
  if (pool_.at(thing).kind == LayerKind::damaged) return "its record cannot be read";
  if (std::ranges::binary_search(impossible_, thing))
    return "its record names layers that do not belong together";
  const LayerGraph::Node node = node_of(thing);
  if (node == LayerGraph::kNone || fates_[node] == Fate::sound) return "";
  if (fates_[node] == Fate::cyclic) return "by its record it lies on itself";
  return "a layer below it is not known any more";
}

std::vector<std::string> Inventory::images_at(LayerGraph::Node node) const {
  std::vector<std::string> names;
  for (const ImageEnd& end : range_at(ends_, node)) names.push_back(names_[end.name]);
  return names;
}

std::vector<LayerHandle> Inventory::things_at(LayerGraph::Node node) const {
  std::vector<LayerHandle> found;
  for (const Placed& at : range_at(placed_, node)) found.push_back(at.thing);
  const auto [begin, end] = shared_.equal_range(contents_[node]);
  for (const auto& [content, thing] : std::ranges::subrange(begin, end)) found.push_back(thing);
  std::ranges::sort(found);
  return found;
}

std::vector<LayerHandle> Inventory::unattached() const {
  const std::unordered_set<BinaryDigest, BinaryDigestHash> known(contents_.begin(),
                                                                 contents_.end());
  std::vector<LayerHandle> found;
  pool_.each([&](LayerHandle thing) {
    const LayerPool::Record& record = pool_.at(thing);
    if (record.chain_id.is_none() && (record.diff_id.is_none() || !known.contains(record.diff_id)))
      found.push_back(thing);
  });
  return found;
}

}  // namespace nexcage::layerfs
