// CRC-32C (Castagnoli), the checksum of an EROFS superblock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace nexcage::layerfs::erofs {

/// Goes on from `crc` over the bytes; reflected, without the inversions at both ends that other
/// users of this polynomial make (EROFS begins with all bits set and stores what comes out).
std::uint32_t crc32c(std::uint32_t crc, std::span<const std::byte> bytes);

}  // namespace nexcage::layerfs::erofs
