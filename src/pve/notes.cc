#include "nexcage/pve/notes.h"

#include "nexcage/base/text.h"

namespace nexcage::pve {

namespace {

constexpr std::string_view kMark = "nexcage: ";
constexpr std::size_t kMost = 8192;

json::Object brief_json(const Generation& one) {
  json::Object out;
  out.set("volume", one.volume);
  out.set("image", one.image);
  out.set("digest", one.digest);
  return out;
}

json::Object object_at(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  return member != nullptr && member->if_object() != nullptr ? *member->if_object()
                                                             : json::Object();
}

}  // namespace

json::Value to_json(const Generation& one) {
  json::Object out = brief_json(one);
  json::Object settings;
  for (const auto& [name, value] : one.settings) settings.append(name, value);
  if (!settings.empty()) out.set("settings", std::move(settings));
  if (!one.rest.empty()) out.set("rest", one.rest);
  return out;
}

Generation generation_from_json(const json::Value& value) {
  Generation one{.volume = value.text("volume"),
                 .image = value.text("image"),
                 .digest = value.text("digest"),
                 .settings = {},
                 .rest = object_at(value, "rest")};
  for (const auto& [name, text] : object_at(value, "settings")) one.settings[name] = text.text();
  return one;
}

json::Value to_json(const Notes& notes) {
  json::Object out;
  out.set("id", notes.id);
  out.set("token", notes.token);
  out.set("image", notes.image);
  out.set("digest", notes.digest);
  if (!notes.rest.empty()) out.set("rest", notes.rest);
  json::Array kept;
  for (const Generation& one : notes.kept) kept.push_back(brief_json(one));
  if (!kept.empty()) out.set("kept", std::move(kept));
  return out;
}

std::optional<Notes> notes_from_json(const json::Value& value) {
  if (value.text("token").empty()) return std::nullopt;
  Notes notes{.token = value.text("token"),
              .id = value.text("id"),
              .image = value.text("image"),
              .digest = value.text("digest"),
              .rest = object_at(value, "rest"),
              .kept = {}};
  const json::Value* kept = value.find("kept");
  if (kept == nullptr || kept->if_array() == nullptr) return notes;
  for (const json::Value& one : *kept->if_array()) notes.kept.push_back(generation_from_json(one));
  return notes;
}

Result<std::string> print_notes(const Notes& notes) {
  std::string text = "OCI image " + notes.image + "\n" + notes.digest + "\n\n" +
                     std::string(kMark) + json::dump(to_json(notes)) + "\n";
  if (text.size() <= kMost) return text;
  return fail(Error(Errc::InvalidConfig, "the guest's notes would be " +
                                             std::to_string(text.size()) +
                                             " bytes long: Proxmox VE takes 8192")
                  .hint("fewer or shorter annotations"));
}

std::optional<Notes> parse_notes(std::string_view description) {
  for (const std::string& line : split(description, '\n')) {
    if (!line.starts_with(kMark)) continue;
    const auto value = json::parse(std::string_view(line).substr(kMark.size()));
    if (value) return notes_from_json(*value);
  }
  return std::nullopt;
}

}  // namespace nexcage::pve
