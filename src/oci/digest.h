// Content digests: algorithm:hex (image-spec, descriptor.md). Values only; computing them is done
// where OpenSSL is linked (image/).
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::oci {

/// A checked digest: sha256 (64 lower-case hex digits) or sha512 (128).
class Digest {
 public:
  /// InvalidImage for an unknown algorithm, wrong length or a character that is no lower-case hex.
  static Result<Digest> parse(std::string_view text);
  /// From a known algorithm and digits already checked by the caller (the hasher).
  static Digest from_hex(std::string_view algorithm, std::string_view hex);

  const std::string& str() const { return text_; }
  std::string_view algorithm() const { return std::string_view(text_).substr(0, colon_); }
  std::string_view hex() const { return std::string_view(text_).substr(colon_ + 1); }
  /// "blobs/sha256/<hex>": where an OCI layout keeps it.
  std::string blob_path() const;
  auto operator<=>(const Digest& other) const { return text_ <=> other.text_; }
  bool operator==(const Digest& other) const { return text_ == other.text_; }

 private:
  Digest(std::string text, std::size_t colon) : text_(std::move(text)), colon_(colon) {}
  std::string text_;
  std::size_t colon_;
};

}  // namespace nexcage::oci
