// How the bytes of one regular file come to lie in an image: which blocks stay where they are in a
// tar, which are copied, which are holes. Decides only; the writer asks once to place a file and
// once more to write it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/tree/tree.h"

namespace nexcage::layerfs::erofs {

/// Larger files are refused: no other file system of Linux that images meet holds them (ext4: 16
/// TiB), and their table of chunks grows with their size, not with their data.
inline constexpr std::uint64_t kMaxFileSize = std::uint64_t{1} << 44;

/// What the decision depends on besides the file.
struct Sources {
  unsigned block_bits = 9;                 // of the image's block size
  std::uint32_t count = 0;                 // tars that extents may name
  bool in_place = false;                   // whole blocks of a tar stay there
  std::span<const std::uint64_t> bytes{};  // with in_place: each tar's size
};

struct FileMap {
  enum class Layout : std::uint8_t { empty, flat, chunks };
  Layout layout = Layout::empty;
  unsigned chunk_bits = 0;       // log2 of the chunk size in bytes
  std::uint64_t chunks = 0;      // entries of the table
  std::uint64_t own_blocks = 0;  // in the image's data area, one after the other; flat: all
  std::uint64_t overhead = 0;    // bytes of the table, and zeros that are no data of the file
};

/// A piece of a file: one entry of its table of chunks, or all of a flat file.
struct Chunk {
  enum class Kind : std::uint8_t { hole, device, own };
  Kind kind = Kind::hole;
  std::uint32_t source = 0;  // of kind device
  std::uint64_t block = 0;   // in that tar; of kind own: counted from the file's first own block
  std::uint64_t offset = 0, length = 0;  // bytes of the file, none behind its end
};

class FileMapper {
 public:
  explicit FileMapper(const Sources& sources) : sources_(sources) {}

  /// InvalidImage when extents are out of order, or out of the file or their tar; Unsupported when
  /// the file is too large. The extents must live as long as chunks are asked for.
  Result<FileMap> map(const tree::Inode& file);

  /// The next piece of the file that was mapped last; false after the last.
  bool next(Chunk& chunk);

 private:
  struct Run {  // blocks of one kind; those of a tar follow each other there
    Chunk::Kind kind = Chunk::Kind::hole;
    std::uint32_t source = 0;
    std::uint64_t first = 0, end = 0;  // in the file
    std::uint64_t block = 0;           // of the first, in the tar
  };
  struct Cost {
    std::uint64_t chunks = 0, own_blocks = 0;
  };

  Result<> check(const tree::Inode& file) const;
  void find_runs(const tree::Inode& file);
  void add_extent(const tree::Extent& extent, std::uint64_t file_size);
  void add(const Run& run);
  Cost cost_of(unsigned chunk_bits) const;
  void choose_chunks(FileMap& map, std::uint64_t data) const;

  Sources sources_;
  std::vector<Run> runs_;
  std::uint64_t size_ = 0;
  FileMap map_;
  // Of next().
  std::uint64_t at_ = 0, own_ = 0;
  std::size_t run_ = 0;
};

}  // namespace nexcage::layerfs::erofs
