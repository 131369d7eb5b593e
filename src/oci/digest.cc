#include "nexcage/oci/digest.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::oci {
namespace {

/// Number of hex digits of an algorithm known to us; 0 for another.
std::size_t hex_length(std::string_view algorithm) {
  if (algorithm == "sha256") return 64;
  if (algorithm == "sha512") return 128;
  return 0;
}

bool is_lower_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos)
    return fail(Errc::InvalidImage, "digest " + quote(text) + " is not algorithm:hex");
  const std::string_view hex = text.substr(colon + 1);
  const std::size_t expected = hex_length(text.substr(0, colon));
  if (expected == 0)
    return fail(Errc::InvalidImage,
                "digest " + quote(text) + " is of an algorithm other than sha256 and sha512");
  if (hex.size() != expected)
    return fail(Errc::InvalidImage, "digest " + quote(text) + " has " + std::to_string(hex.size()) +
                                        " digits, not " + std::to_string(expected));
  if (!std::ranges::all_of(hex, is_lower_hex))
    return fail(Errc::InvalidImage,
                "digest " + quote(text) + " holds a character that is no lower-case hex digit");
  return Digest(std::string(text), colon);
}

Digest Digest::from_hex(std::string_view algorithm, std::string_view hex) {
  return {std::string(algorithm) + ":" + std::string(hex), algorithm.size()};
}

std::string Digest::blob_path() const {
  std::string path = "blobs/";
  path += algorithm();
  path += '/';
  path += hex();
  return path;
}

}  // namespace nexcage::oci
