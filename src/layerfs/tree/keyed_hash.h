// A hash whose key nobody outside knows: images choose the names that go into our tables, and must
// not be able to choose names that collide.
#pragma once

#include <cstdint>
#include <string_view>

namespace nexcage::layerfs::tree {

/// SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF") with a key of this process.
/// `seed` makes it another function.
std::uint64_t keyed_hash(std::string_view text, std::uint64_t seed);

}  // namespace nexcage::layerfs::tree
