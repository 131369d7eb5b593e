#include "nexcage/image/check.h"

namespace nexcage::image {

namespace {

std::string text_at(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  const std::string* text = member != nullptr ? member->if_string() : nullptr;
  return text != nullptr ? *text : std::string();
}

std::uint64_t number_at(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  return member != nullptr ? member->as_u64().value_or(0) : 0;
}

Result<Damage> parse_damage(const json::Value& value) {
  NX_TRY(oci::Digest entry, oci::Digest::parse(text_at(value, "entry")));
  NX_TRY(oci::Digest blob, oci::Digest::parse(text_at(value, "blob")));
  const json::Value* error = value.find("error");
  if (error == nullptr) return fail(Errc::FileError, "the helper's report: a damage without error");
  return Damage{.entry = std::move(entry),
                .blob = std::move(blob),
                .what = text_at(value, "what"),
                .error = error_from_json(*error)};
}

}  // namespace

json::Value to_json(const StoreCheck& check) {
  json::Array damages;
  for (const Damage& damage : check.damages) {
    json::Object entry;
    entry.set("entry", damage.entry.str());
    entry.set("blob", damage.blob.str());
    entry.set("what", damage.what);
    entry.set("error", error_to_json(damage.error));
    damages.emplace_back(std::move(entry));
  }
  json::Object out;
  out.set("images", check.images);
  out.set("blobs", check.blobs);
  out.set("bytes", check.bytes);
  out.set("damages", std::move(damages));
  return out;
}

Result<StoreCheck> parse_store_check(const json::Value& value) {
  StoreCheck check{.images = number_at(value, "images"),
                   .blobs = number_at(value, "blobs"),
                   .bytes = number_at(value, "bytes"),
                   .damages = {}};
  const json::Value* damages = value.find("damages");
  const json::Array* list = damages != nullptr ? damages->if_array() : nullptr;
  if (list == nullptr) return fail(Errc::FileError, "the helper's report lacks damages");
  for (const json::Value& element : *list) {
    NX_TRY(Damage damage, parse_damage(element));
    check.damages.push_back(std::move(damage));
  }
  return check;
}

Result<StoreCheck> check_store(const Store& store, const std::string& libexec_dir) {
  json::Object message;
  message.set("root", store.root());
  NX_TRY(const json::Value answer, call_helper(libexec_dir, "check", std::move(message)),
         "check the image store");
  return parse_store_check(answer);
}

}  // namespace nexcage::image
