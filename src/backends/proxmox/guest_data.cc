#include "nexcage/backends/proxmox/guest_data.h"

#include <algorithm>

#include "nexcage/pve/answer.h"

namespace nexcage::backends::proxmox {

namespace {

json::Object object_of(const pve::Params& params) {
  json::Object out;
  for (const auto& [name, value] : params) out.append(name, value);
  return out;
}

json::Array array_of(const std::vector<std::string>& texts) {
  return json::Array(texts.begin(), texts.end());
}

std::vector<std::string> texts_at(const json::Value& value, std::string_view name) {
  std::vector<std::string> out;
  const json::Value* member = value.find(name);
  if (member != nullptr && member->if_array() != nullptr)
    for (const json::Value& text : *member->if_array()) out.push_back(text.text());
  return out;
}

pve::Params params_at(const json::Value& value, std::string_view name) {
  pve::Params out;
  const json::Value* member = value.find(name);
  if (member == nullptr || member->if_object() == nullptr) return out;
  for (const auto& [key, text] : *member->if_object()) out[key] = text.text();
  return out;
}

json::Value to_json(const SwapJournal& journal) {
  json::Object out;
  if (journal.carrier) out.set("carrier", to_json(*journal.carrier));
  out.set("storage", journal.storage);
  out.set("stand_in", journal.stand_in);
  out.set("key", journal.key);
  out.set("had", array_of(journal.had));
  out.set("new_root", journal.new_root);
  out.set("stops_guest", journal.stops_guest);
  out.set("before", object_of(journal.before));
  out.set("added", array_of(journal.added));
  return out;
}

Result<SwapJournal> journal_of(const json::Value& value) {
  SwapJournal journal{.carrier = {},
                      .storage = value.text("storage"),
                      .stand_in = value.text("stand_in"),
                      .key = value.text("key"),
                      .had = texts_at(value, "had"),
                      .new_root = value.text("new_root"),
                      .stops_guest = pve::as_bool(value.find("stops_guest")),
                      .before = params_at(value, "before"),
                      .added = texts_at(value, "added")};
  if (const json::Value* carrier = value.find("carrier")) {
    NX_TRY(journal.carrier, guest_name(*carrier), "guest of the update");
  }
  return journal;
}

}  // namespace

json::Value to_json(const GuestData& data) {
  json::Value name = to_json(data.name);
  json::Object out = *name.if_object();
  json::Array kept;
  for (const pve::Generation& one : data.kept) kept.push_back(pve::to_json(one));
  if (!kept.empty()) out.set("kept", std::move(kept));
  if (data.update) out.set("update", to_json(*data.update));
  if (data.changes > 0) out.set("changes", data.changes);
  if (!data.root.empty()) out.set("root", data.root);
  if (!data.spare.empty()) out.set("spare", array_of(data.spare));
  return out;
}

Result<GuestData> guest_data(const json::Value& value) {
  GuestData data;
  NX_TRY(data.name, guest_name(value));
  const json::Value* kept = value.find("kept");
  if (kept != nullptr && kept->if_array() != nullptr)
    for (const json::Value& one : *kept->if_array())
      data.kept.push_back(pve::generation_from_json(one));
  if (const json::Value* update = value.find("update")) {
    NX_TRY(data.update, journal_of(*update));
  }
  data.changes = static_cast<std::uint64_t>(pve::as_number(value.find("changes")));
  data.root = value.text("root");
  data.spare = texts_at(value, "spare");
  return data;
}

}  // namespace nexcage::backends::proxmox
