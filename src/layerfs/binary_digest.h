// Digests as 32 bytes: a third of the memory of their text, compared at once. For what holds many
// of them at a time (graph, pool, cache).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "nexcage/oci/digest.h"

namespace nexcage::layerfs {

struct BinaryDigest {
  std::array<std::uint64_t, 4> words{};  // memory order is the order of the text

  bool operator==(const BinaryDigest&) const = default;
  /// All zero, which is the digest of nothing anybody knows: stands for "none".
  bool is_none() const { return (words[0] | words[1] | words[2] | words[3]) == 0; }
};

/// SHA-256 digests as they are; one of another algorithm is represented by the SHA-256 of its text,
/// and who needs the text back keeps it.
BinaryDigest to_binary(const oci::Digest& digest);
/// The 64 hex digits of a SHA-256 digest.
std::string to_hex(const BinaryDigest& digest);

/// For hash tables. The multiplier is chosen anew in each process: who makes layers cannot choose
/// digests that fall into one place.
struct BinaryDigestHash {
  std::size_t operator()(const BinaryDigest& digest) const;
};

}  // namespace nexcage::layerfs
