#include "nexcage/layerfs/tree/keyed_hash.h"

#include <sys/auxv.h>

#include <array>
#include <bit>
#include <cstring>

namespace nexcage::layerfs::tree {
namespace {

struct Key {
  std::uint64_t first = 0, second = 0;
};

/// The sixteen random bytes that the kernel gives every program (getauxval(3), AT_RANDOM).
Key process_key() {
  Key key;
  if (const auto address = getauxval(AT_RANDOM); address != 0) {
    const void* bytes =
        reinterpret_cast<const void*>(address);  // NOLINT(performance-no-int-to-ptr): the kernel's
    std::memcpy(&key, bytes, sizeof key);
  }
  return key;
}

struct Sip {
  std::uint64_t a, b, c, d;

  void round() {
    a += b;
    c += d;
    b = std::rotl(b, 13) ^ a;
    d = std::rotl(d, 16) ^ c;
    a = std::rotl(a, 32);
    c += b;
    a += d;
    b = std::rotl(b, 17) ^ c;
    d = std::rotl(d, 21) ^ a;
    c = std::rotl(c, 32);
  }
  void take(std::uint64_t word) {
    d ^= word;
    round();
    a ^= word;
  }
};

}  // namespace

std::uint64_t keyed_hash(std::string_view text, std::uint64_t seed) {
  static const Key key = process_key();
  Sip sip{.a = 0x736f6d6570736575 ^ key.first,
          .b = 0x646f72616e646f6d ^ key.second,
          .c = 0x6c7967656e657261 ^ key.first,
          .d = 0x7465646279746573 ^ key.second};
  sip.take(seed);
  const std::uint64_t length = text.size();
  while (text.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), 8);
    sip.take(word);
    text.remove_prefix(8);
  }
  std::uint64_t last = length << 56;
  for (std::size_t i = 0; i < text.size(); ++i)
    last |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
  sip.take(last);
  sip.c ^= 0xff;
  for (int i = 0; i < 3; ++i) sip.round();
  return sip.a ^ sip.b ^ sip.c ^ sip.d;
}

}  // namespace nexcage::layerfs::tree
