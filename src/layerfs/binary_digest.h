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

  /// Without a call of memcmp(3), which is what the compiler makes of `= default`.
  bool operator==(const BinaryDigest& other) const {
    std::uint64_t difference = 0;
    for (std::size_t i = 0; i < words.size(); ++i) difference |= words[i] ^ other.words[i];
    return difference == 0;
  }
  /// All zero, which is the digest of nothing anybody knows: stands for "none".
  bool is_none() const { return (words[0] | words[1] | words[2] | words[3]) == 0; }
};

/// SHA-256 digests as they are; one of another algorithm is represented by the SHA-256 of its text,
/// and who needs the text back keeps it.
BinaryDigest to_binary(const oci::Digest& digest);
/// The 64 hex digits of a SHA-256 digest.
std::string to_hex(const BinaryDigest& digest);

/// A random odd number, the same one for as long as the process lives.
std::uint64_t digest_multiplier();

/// For hash tables. The multiplier is chosen anew in each process: who makes layers cannot choose
/// digests that fall into one place.
struct BinaryDigestHash {
  std::uint64_t multiplier = digest_multiplier();

  std::size_t operator()(const BinaryDigest& digest) const {
    // The high bits of the product depend on all bits of the word.
    return (digest.words[0] * multiplier) >> 32;
  }
};

}  // namespace nexcage::layerfs
