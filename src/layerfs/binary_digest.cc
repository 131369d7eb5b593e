#include "nexcage/layerfs/binary_digest.h"

#include <sys/random.h>

#include <bit>
#include <cstring>
#include <string_view>

#include "nexcage/image/sha256.h"

namespace nexcage::layerfs {
namespace {

constexpr std::size_t kDigitsAtOnce = 8;

/// Eight lower-case hex digits, as they lie in memory, to the four bytes they name, first digit in
/// the lowest byte. All eight in parallel within one word.
std::uint32_t from_digits(const char* digits) {
  std::uint64_t text = 0;
  std::memcpy(&text, digits, sizeof text);
  if constexpr (std::endian::native == std::endian::big) text = __builtin_bswap64(text);
  // '0'..'9' are 0x30..0x39; 'a'..'f' are 0x61..0x66 and have bit 6.
  const std::uint64_t nibbles =
      (text & 0x0f0f0f0f0f0f0f0f) + 9 * ((text >> 6) & 0x0101010101010101);
  std::uint64_t bytes = ((nibbles << 4) | (nibbles >> 8)) & 0x00ff00ff00ff00ff;
  bytes = (bytes | (bytes >> 8)) & 0x0000ffff0000ffff;
  return static_cast<std::uint32_t>(bytes | (bytes >> 16));
}

BinaryDigest from_hex(const char* hex) {
  BinaryDigest digest;
  for (std::size_t i = 0; i < digest.words.size(); ++i) {
    const char* digits = hex + 2 * kDigitsAtOnce * i;
    const std::uint64_t word =
        from_digits(digits) | std::uint64_t{from_digits(digits + kDigitsAtOnce)} << 32;
    digest.words[i] = std::endian::native == std::endian::big ? __builtin_bswap64(word) : word;
  }
  return digest;
}

std::uint64_t random_odd() {
  constexpr std::uint64_t kFixed = 0x9e3779b97f4a7c15;  // should there be no randomness yet
  std::uint64_t number = 0;
  const bool is_random =
      getrandom(&number, sizeof number, GRND_NONBLOCK) == static_cast<ssize_t>(sizeof number);
  return (is_random ? number : kFixed) | 1;
}

}  // namespace

BinaryDigest to_binary(const oci::Digest& digest) {
  constexpr std::string_view kPrefix = "sha256:";
  const std::string& text = digest.str();
  if (text.starts_with(kPrefix)) return from_hex(text.data() + kPrefix.size());
  return from_hex(image::sha256_digest(text).hex().data());
}

std::string to_hex(const BinaryDigest& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::array<unsigned char, sizeof digest.words> bytes{};
  std::memcpy(bytes.data(), digest.words.data(), bytes.size());
  std::string text;
  text.reserve(2 * bytes.size());
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0xf];
  }
  return text;
}

std::uint64_t digest_multiplier() {
  static const std::uint64_t multiplier = random_odd();
  return multiplier;
}

}  // namespace nexcage::layerfs
