// Reading a JSON object that one of our processes wrote for another.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/oci/digest.h"
#include "nexcage/oci/image.h"

namespace nexcage::layerfs {

/// The members of one object by name and type. Each reader answers InvalidJson with the member's
/// JSON pointer when it is missing or of another type.
class Message {
 public:
  /// `value` is borrowed; `what` ("unpack") begins the error texts.
  Message(const json::Value& value, std::string what) : value_(&value), what_(std::move(what)) {}

  Result<std::string> text(std::string_view name) const;
  Result<std::uint64_t> number(std::string_view name) const;
  Result<bool> boolean(std::string_view name) const;
  Result<oci::Digest> digest(std::string_view name) const;
  /// "none", "gzip" or "zstd".
  Result<oci::Compression> compression(std::string_view name) const;
  Result<std::vector<std::string>> texts(std::string_view name) const;
  /// Numbers of 32 bits.
  Result<std::vector<std::uint32_t>> numbers(std::string_view name) const;
  /// The items of an array of objects.
  Result<std::vector<Message>> items(std::string_view name) const;
  bool has(std::string_view name) const { return value_->find(name) != nullptr; }
  Error bad(std::string_view name) const;

 private:
  const json::Value* value_;
  std::string what_;
  std::string at_;  // JSON pointer of value_
};

/// The word that Message::compression() reads.
std::string_view compression_name(oci::Compression compression);
json::Array to_json(const std::vector<std::string>& texts);

}  // namespace nexcage::layerfs
