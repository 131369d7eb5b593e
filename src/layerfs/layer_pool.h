// Objects of prepared layers, many of them in little memory: fixed-size records in chunks, given
// out and taken back in O(1) without the heap; digests are binary, names that say more than their
// digest lie in one arena of text.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/layerfs/binary_digest.h"
#include "nexcage/oci/digest.h"

namespace nexcage::layerfs {

/// What a prepared thing is (Prepared::kind).
enum class LayerKind : std::uint8_t { tree, tar, index, merged, full, damaged };

/// What an object is made of. Nothing is kept of the views after create().
struct LayerData {
  std::string_view key;  // the driver's name for it
  LayerKind kind = LayerKind::tree;
  const oci::Digest* diff_id = nullptr;   // nullptr: not of one layer
  const oci::Digest* chain_id = nullptr;  // nullptr: the same in every stack
  const oci::Digest* parent = nullptr;    // chain ID of what is below; nullptr: nothing, or unknown
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
  std::uint32_t references = 0;  // mounts that use it
  std::uint16_t layers = 1;      // how many it serves
  std::uint16_t owner = 0;       // a number of the caller's own
};

using LayerHandle = std::uint32_t;
inline constexpr LayerHandle kNoLayer = UINT32_MAX;

/// Not thread-safe. Handles stay valid until released; the record's address as long.
class LayerPool {
 public:
  struct Record {
    BinaryDigest diff_id, chain_id, parent;  // none: BinaryDigest::is_none()
    std::uint64_t bytes, entries;
    std::uint32_t references;
    std::uint32_t key;  // where its text begins in the arena; of a free record, the next free one
    std::uint16_t key_size, layers, owner;
    LayerKind kind;
    std::uint8_t form;  // of the key, see layer_pool.cc
  };

  LayerPool() = default;
  LayerPool(LayerPool&&) noexcept = default;
  LayerPool& operator=(LayerPool&&) noexcept = default;
  LayerPool(const LayerPool&) = delete;
  LayerPool& operator=(const LayerPool&) = delete;
  ~LayerPool() = default;

  LayerHandle create(const LayerData& data);
  /// The handle is of no use any more. Of one that has been released already: nothing.
  void release(LayerHandle layer);

  const Record& at(LayerHandle layer) const { return chunks_[layer / kChunk][layer % kChunk]; }
  std::string key(LayerHandle layer) const;

  /// Objects that are there.
  std::size_t size() const { return live_; }
  /// Calls `visit(handle)` for each, in the order of the handles.
  template <class Visit>
  void each(Visit visit) const {
    for (LayerHandle i = 0; i < used_; ++i)
      if (at(i).form != 0) visit(i);
  }
  /// Bytes on the heap.
  std::size_t memory() const;

 private:
  static constexpr std::uint32_t kChunk = 512;

  Record& slot(LayerHandle layer) { return chunks_[layer / kChunk][layer % kChunk]; }
  void keep_key(Record& record, const LayerData& data);
  void compact_keys();

  std::vector<std::unique_ptr<Record[]>> chunks_;
  LayerHandle used_ = 0;  // slots that have been given out once
  LayerHandle free_ = kNoLayer;
  std::size_t live_ = 0;
  std::string keys_;
  std::size_t dead_text_ = 0;  // bytes of keys_ whose objects are gone
};

}  // namespace nexcage::layerfs
