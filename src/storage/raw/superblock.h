// What the first blocks of an image say about the file system in it. Whoever could write to the
// image wrote them, so nothing read here is trusted beyond its bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/storage/raw/image.h"

namespace nexcage::storage::raw {

/// As much as parse_superblock looks at.
inline constexpr std::size_t kSuperblockBytes = 4096;

struct Superblock {
  FileSystem file_system = FileSystem::ext4;
  std::uint32_t block_bytes = 0;
  std::uint64_t blocks = 0;
  std::string label;
  std::string uuid;
  bool clean = true;
  /// ext4: mount options and a journal elsewhere that the image would have the kernel use.
  std::string mount_options;
  bool external_journal = false;
  std::uint8_t inode_percent = 0;  // xfs: how much of it inodes may take; growing must repeat it

  std::uint64_t bytes() const { return blocks * block_bytes; }
};

/// Pure. `head` are the first bytes of the image; nullopt when they are of neither file system, or
/// claim what cannot be.
std::optional<Superblock> parse_superblock(std::span<const unsigned char> head);

/// Of an open image. FileError when there is none.
Result<Superblock> read_superblock(int image);

/// FileError when it is another file system than `wanted`, or one that names a journal elsewhere or
/// mount options: nothing in an image decides what the host does.
Result<> check_superblock(const Superblock& found, FileSystem wanted);

}  // namespace nexcage::storage::raw
