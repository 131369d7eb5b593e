#include "nexcage/layerfs/erofs/file_map.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include "nexcage/layerfs/erofs/format.h"

namespace nexcage::layerfs::erofs {

Result<> FileMapper::check(const tree::Inode& file) const {
  if (file.size > kMaxFileSize)
    return fail(Errc::Unsupported,
                "a file of " + std::to_string(file.size) + " bytes: above 16 TiB");
  std::uint64_t end = 0;
  for (const tree::Extent& extent : file.extents) {
    if (extent.offset < end || extent.length == 0 || extent.offset > file.size ||
        extent.length > file.size - extent.offset)
      return fail(Errc::InvalidImage, "runs of file data are out of order or behind the end");
    end = extent.offset + extent.length;
    const bool in_source =
        extent.source < sources_.count &&
        extent.length <= std::numeric_limits<std::int64_t>::max() - extent.source_offset &&
        extent.source_offset <= std::numeric_limits<std::int64_t>::max() &&
        (!sources_.in_place ||
         extent.source_offset + extent.length <= sources_.bytes[extent.source]);
    if (!in_source)
      return fail(Errc::InvalidImage, "file data at byte " + std::to_string(extent.source_offset) +
                                          " is not in the archive of layer " +
                                          std::to_string(extent.source));
  }
  return {};
}

void FileMapper::add(const Run& run) {
  if (run.first >= run.end) return;
  if (!runs_.empty()) {
    Run& last = runs_.back();
    const bool goes_on =
        last.kind == run.kind && last.end == run.first &&
        (run.kind != Chunk::Kind::device ||
         (last.source == run.source && last.block + (last.end - last.first) == run.block));
    if (goes_on) {
      last.end = run.end;
      return;
    }
  }
  runs_.push_back(run);
}

/// Blocks that the extent covers and that lie at block bounds in the tar stay there; the others
/// that it touches are made of it and its neighbours.
void FileMapper::add_extent(const tree::Extent& extent, std::uint64_t file_size) {
  const unsigned bits = sources_.block_bits;
  const std::uint64_t block = std::uint64_t{1} << bits;
  const std::uint64_t end = extent.offset + extent.length;
  const std::uint64_t first = extent.offset >> bits;
  const std::uint64_t last = (end + block - 1) >> bits;
  std::uint64_t in_place = last, in_place_end = last, source_block = 0;
  if (sources_.in_place && (extent.offset & (block - 1)) == (extent.source_offset & (block - 1))) {
    in_place = (extent.offset + block - 1) >> bits;
    source_block = (extent.source_offset + block - 1) >> bits;
    // What follows the file's last byte in its block is seen through mmap(2) only; tars have zeros
    // there. A tar may end within a block, which a loop device would not show.
    in_place_end = end == file_size ? last : end >> bits;
    const std::uint64_t there = sources_.bytes[extent.source] >> bits;
    in_place_end = std::min(in_place_end, in_place + (there - std::min(there, source_block)));
    if (in_place_end <= in_place) in_place = in_place_end = last;
  }
  const std::uint64_t covered = runs_.empty() ? 0 : runs_.back().end;
  add({.kind = Chunk::Kind::hole, .first = covered, .end = first});
  add({.kind = Chunk::Kind::own, .first = std::max(first, covered), .end = in_place});
  add({.kind = Chunk::Kind::device,
       .source = extent.source,
       .first = in_place,
       .end = in_place_end,
       .block = source_block});
  add({.kind = Chunk::Kind::own, .first = std::max({in_place_end, first, covered}), .end = last});
}

void FileMapper::find_runs(const tree::Inode& file) {
  runs_.clear();
  for (const tree::Extent& extent : file.extents) add_extent(extent, file.size);
  const std::uint64_t blocks =
      align_up(file.size, std::uint64_t{1} << sources_.block_bits) >> sources_.block_bits;
  add({.kind = Chunk::Kind::hole, .first = runs_.empty() ? 0 : runs_.back().end, .end = blocks});
}

/// A chunk is a hole, or lies in one piece in a tar, or is copied.
FileMapper::Cost FileMapper::cost_of(unsigned chunk_bits) const {
  const unsigned shift = chunk_bits - sources_.block_bits;
  const std::uint64_t chunk = std::uint64_t{1} << shift;
  const std::uint64_t blocks = runs_.back().end;
  Cost cost{.chunks = (blocks + chunk - 1) >> shift};
  const auto blocks_of = [&](std::uint64_t first, std::uint64_t end) {  // chunks
    return std::min(end << shift, blocks) - (first << shift);
  };
  std::uint64_t counted = 0;  // chunks below this are
  for (const Run& run : runs_) {
    const std::uint64_t first = run.first >> shift;
    const std::uint64_t end = run.end == blocks ? cost.chunks : (run.end + chunk - 1) >> shift;
    std::uint64_t whole = (run.first + chunk - 1) >> shift;
    std::uint64_t whole_end = run.end == blocks ? cost.chunks : run.end >> shift;
    if (run.kind == Chunk::Kind::own || whole >= whole_end) whole = whole_end = end;
    if (const std::uint64_t from = std::max(first, counted); from < whole)
      cost.own_blocks += blocks_of(from, whole);
    if (const std::uint64_t from = std::max(whole_end, counted); from < end)
      cost.own_blocks += blocks_of(from, end);
    counted = std::max(counted, end);
  }
  return cost;
}

/// Small chunks need a long table, large ones copy data and holes: the cheapest in bytes wins.
void FileMapper::choose_chunks(FileMap& map, std::uint64_t data) const {
  const auto widest = static_cast<unsigned>(std::bit_width(size_ - 1));
  const unsigned last =
      std::clamp(widest, sources_.block_bits, sources_.block_bits + kChunkBitsMask);
  std::uint64_t best = std::numeric_limits<std::uint64_t>::max();
  for (unsigned bits = last + 1; bits-- > sources_.block_bits;) {
    const Cost cost = cost_of(bits);
    const std::uint64_t table = cost.chunks * sizeof(ChunkIndex);
    if (table >= best) break;
    const std::uint64_t own = cost.own_blocks << sources_.block_bits;
    if (table + own < best) {
      best = table + own;
      map.chunk_bits = bits;
      map.chunks = cost.chunks;
      map.own_blocks = cost.own_blocks;
      map.overhead = table + (own > data ? own - data : 0);
    }
  }
}

Result<FileMap> FileMapper::map(const tree::Inode& file) {
  NX_CHECK(check(file));
  size_ = file.size;
  map_ = {};
  at_ = own_ = run_ = 0;
  runs_.clear();
  if (size_ == 0) return map_;
  find_runs(file);
  if (!sources_.in_place && runs_.size() == 1 && runs_.front().kind == Chunk::Kind::own) {
    map_.layout = FileMap::Layout::flat;
    map_.own_blocks = runs_.front().end;
    return map_;
  }
  map_.layout = FileMap::Layout::chunks;
  std::uint64_t data = 0;
  for (const tree::Extent& extent : file.extents) data += extent.length;
  choose_chunks(map_, data);
  return map_;
}

bool FileMapper::next(Chunk& chunk) {
  if (at_ >= size_) return false;
  const unsigned bits = sources_.block_bits;
  const std::uint64_t most =
      map_.layout == FileMap::Layout::chunks ? std::uint64_t{1} << map_.chunk_bits : size_;
  chunk = {.kind = Chunk::Kind::own, .offset = at_, .length = std::min(most, size_ - at_)};
  const std::uint64_t first = at_ >> bits;
  const std::uint64_t end = align_up(at_ + chunk.length, std::uint64_t{1} << bits) >> bits;
  while (runs_[run_].end <= first) ++run_;
  const Run& run = runs_[run_];
  if (run.end >= end) chunk.kind = run.kind;
  if (chunk.kind == Chunk::Kind::device) {
    chunk.source = run.source;
    chunk.block = run.block + (first - run.first);
  } else if (chunk.kind == Chunk::Kind::own) {
    chunk.block = own_;
    own_ += end - first;
  }
  at_ += chunk.length;
  return true;
}

}  // namespace nexcage::layerfs::erofs
