#include "nexcage/layerfs/message.h"

#include <array>
#include <optional>
#include <utility>

namespace nexcage::layerfs {
namespace {

struct CompressionName {
  oci::Compression compression;
  std::string_view name;
};
constexpr std::array<CompressionName, 3> kCompressions = {{{oci::Compression::none, "none"},
                                                           {oci::Compression::gzip, "gzip"},
                                                           {oci::Compression::zstd, "zstd"}}};

}  // namespace

Error Message::bad(std::string_view name) const {
  return Error(Errc::InvalidJson, what_ + ": " + json::pointer(at_, name) + " is missing or wrong");
}

Result<std::string> Message::text(std::string_view name) const {
  const json::Value* member = value_->find(name);
  if (member == nullptr || member->if_string() == nullptr) return fail(bad(name));
  return *member->if_string();
}

Result<std::uint64_t> Message::number(std::string_view name) const {
  const json::Value* member = value_->find(name);
  const auto found = member == nullptr ? std::nullopt : member->as_u64();
  if (!found) return fail(bad(name));
  return *found;
}

Result<bool> Message::boolean(std::string_view name) const {
  const json::Value* member = value_->find(name);
  if (member == nullptr || member->if_bool() == nullptr) return fail(bad(name));
  return *member->if_bool();
}

Result<oci::Digest> Message::digest(std::string_view name) const {
  NX_TRY(const std::string member, text(name));
  return oci::Digest::parse(member);
}

Result<oci::Compression> Message::compression(std::string_view name) const {
  NX_TRY(const std::string word, text(name));
  for (const CompressionName& known : kCompressions)
    if (known.name == word) return known.compression;
  return fail(bad(name));
}

Result<std::vector<std::string>> Message::texts(std::string_view name) const {
  const json::Value* member = value_->find(name);
  if (member == nullptr || member->if_array() == nullptr) return fail(bad(name));
  std::vector<std::string> result;
  result.reserve(member->if_array()->size());
  for (const json::Value& item : *member->if_array()) {
    if (item.if_string() == nullptr) return fail(bad(name));
    result.push_back(*item.if_string());
  }
  return result;
}

Result<std::vector<std::uint32_t>> Message::numbers(std::string_view name) const {
  const json::Value* member = value_->find(name);
  if (member == nullptr || member->if_array() == nullptr) return fail(bad(name));
  std::vector<std::uint32_t> result;
  result.reserve(member->if_array()->size());
  for (const json::Value& item : *member->if_array()) {
    const auto found = item.as_u64();
    if (!found || !std::in_range<std::uint32_t>(*found)) return fail(bad(name));
    result.push_back(static_cast<std::uint32_t>(*found));
  }
  return result;
}

Result<std::vector<Message>> Message::items(std::string_view name) const {
  const json::Value* member = value_->find(name);
  if (member == nullptr || member->if_array() == nullptr) return fail(bad(name));
  std::vector<Message> result;
  result.reserve(member->if_array()->size());
  for (const json::Value& item : *member->if_array()) {
    if (item.if_object() == nullptr) return fail(bad(name));
    Message one(item, what_);
    one.at_ = json::pointer(json::pointer(at_, name), result.size());
    result.push_back(std::move(one));
  }
  return result;
}

std::string_view compression_name(oci::Compression compression) {
  for (const CompressionName& known : kCompressions)
    if (known.compression == compression) return known.name;
  return {};
}

json::Array to_json(const std::vector<std::string>& texts) {
  json::Array array;
  array.reserve(texts.size());
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

}  // namespace nexcage::layerfs
