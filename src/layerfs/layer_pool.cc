#include "nexcage/layerfs/layer_pool.h"

#include <cstring>
#include <utility>

namespace nexcage::layerfs {
namespace {

// Forms of a key. Drivers name things by a letter, a dash and the digits of a digest that the
// record has anyway: then the letter is all there is to keep (in Record::key).
constexpr std::uint8_t kFree = 0;
constexpr std::uint8_t kByDiff = 1;
constexpr std::uint8_t kByChain = 2;
constexpr std::uint8_t kInArena = 3;

constexpr std::size_t kPrefix = 2;          // "d-"
constexpr std::size_t kCompactFrom = 4096;  // bytes of dead text

bool is_named_by(std::string_view key, const oci::Digest* digest) {
  return digest != nullptr && digest->algorithm() == "sha256" && key.size() > kPrefix &&
         key[1] == '-' && key.substr(kPrefix) == digest->hex();
}

BinaryDigest binary_or_none(const oci::Digest* digest) {
  return digest == nullptr ? BinaryDigest{} : to_binary(*digest);
}

}  // namespace

LayerHandle LayerPool::create(const LayerData& data) {
  LayerHandle layer = free_;
  if (layer != kNoLayer) {
    free_ = at(layer).key;
  } else {
    layer = used_++;
    if (layer / kChunk == chunks_.size())
      chunks_.push_back(std::make_unique_for_overwrite<Record[]>(kChunk));
  }
  Record& record = slot(layer);
  record.diff_id = binary_or_none(data.diff_id);
  record.chain_id = binary_or_none(data.chain_id);
  record.parent = binary_or_none(data.parent);
  record.bytes = data.bytes;
  record.entries = data.entries;
  record.references = data.references;
  record.layers = data.layers;
  record.owner = data.owner;
  record.kind = data.kind;
  keep_key(record, data);
  ++live_;
  return layer;
}

void LayerPool::keep_key(Record& record, const LayerData& data) {
  record.key_size = static_cast<std::uint16_t>(data.key.size());
  if (is_named_by(data.key, data.diff_id)) {
    record.form = kByDiff;
    record.key = static_cast<unsigned char>(data.key[0]);
  } else if (is_named_by(data.key, data.chain_id)) {
    record.form = kByChain;
    record.key = static_cast<unsigned char>(data.key[0]);
  } else {
    if (dead_text_ >= kCompactFrom && dead_text_ > keys_.size() / 2) compact_keys();
    record.form = kInArena;
    record.key = static_cast<std::uint32_t>(keys_.size());
    keys_ += data.key;
  }
}

void LayerPool::release(LayerHandle layer) {
  if (layer >= used_ || at(layer).form == kFree) return;
  Record& record = slot(layer);
  if (record.form == kInArena) dead_text_ += record.key_size;
  record.form = kFree;
  record.key = std::exchange(free_, layer);
  --live_;
}

/// Done when more than half is dead, so each byte that is kept has paid for it.
void LayerPool::compact_keys() {
  std::string kept;
  kept.reserve(keys_.size() - dead_text_);
  each([&](LayerHandle layer) {
    Record& record = slot(layer);
    if (record.form != kInArena) return;
    const std::size_t begin = kept.size();
    kept.append(keys_, record.key, record.key_size);
    record.key = static_cast<std::uint32_t>(begin);
  });
  keys_ = std::move(kept);
  dead_text_ = 0;
}

std::string LayerPool::key(LayerHandle layer) const {
  const Record& record = at(layer);
  if (record.form == kInArena) return keys_.substr(record.key, record.key_size);
  return std::string{static_cast<char>(record.key), '-'} +
         to_hex(record.form == kByDiff ? record.diff_id : record.chain_id);
}

std::size_t LayerPool::memory() const {
  return chunks_.capacity() * sizeof(chunks_[0]) + chunks_.size() * kChunk * sizeof(Record) +
         keys_.capacity();
}

}  // namespace nexcage::layerfs
