#include "nexcage/runtime/guest_earlier.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "nexcage/oci/spec.h"
#include "nexcage/runtime/state_file.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {

namespace {

using backends::Record;

Result<json::Value> read_json(const std::string& path) {
  NX_TRY(const std::string text, sys::read_file(AT_FDCWD, path, json::Limits{}.max_bytes));
  return json::parse(text);
}

Result<json::Array> load_earlier(const Record& record) {
  const std::string path = record.state_dir + "/earlier.json";
  NX_TRY(const bool is_there, sys::exists(AT_FDCWD, path));
  if (!is_there) return json::Array();
  NX_TRY(const json::Value list, read_json(path), path);
  return list.if_array() != nullptr ? *list.if_array() : json::Array();
}

std::string next_path(const Record& record) { return record.state_dir + "/next.json"; }

std::int64_t changes_of(const Record& record) {
  const json::Value* changes = record.backend_data.find("changes");
  return changes != nullptr ? changes->as_i64().value_or(0) : 0;
}

Result<> announce(const Record& record, json::Object next) {
  next.set("changes", changes_of(record) + 1);
  return write_document(next_path(record), std::move(next));
}

/// Each file as it will be: writing them twice is no different from once.
Result<> carry_out(Record& record, const json::Value& next) {
  const json::Value* earlier = next.find("earlier");
  if (earlier != nullptr) NX_CHECK(write_document(record.state_dir + "/earlier.json", *earlier));
  const json::Value* source = next.find("source");
  if (source != nullptr) NX_CHECK(write_document(record.state_dir + "/source.json", *source));
  const json::Value* config = next.find("config");
  if (config == nullptr) return {};
  NX_TRY(const oci::Spec spec, oci::parse_spec(*config));
  record.state.annotations = spec.annotations;
  return write_document(record.state_dir + "/config.json", *config);
}

}  // namespace

std::vector<EarlierImage> earlier_images(const Record& record) {
  std::vector<EarlierImage> images;
  const json::Value* kept = record.backend_data.find("kept");
  if (kept == nullptr || kept->if_array() == nullptr) return images;
  for (const json::Value& one : *kept->if_array())
    images.push_back({.image = one.text("image"), .digest = one.text("digest")});
  return images;
}

Result<> announce_update(const Record& record, const Settings& settings, json::Value config,
                         json::Value source) {
  NX_TRY(json::Array list, load_earlier(record));
  json::Object one;
  NX_TRY(json::Value old_config, read_json(record.state_dir + "/config.json"));
  NX_TRY(json::Value old_source, read_json(record.state_dir + "/source.json"));
  one.set("config", std::move(old_config));
  one.set("source", std::move(old_source));
  list.insert(list.begin(), std::move(one));
  const auto most = static_cast<std::size_t>(std::max(0, settings.proxmox.generations));
  while (list.size() > most) list.pop_back();
  json::Object next;
  next.set("earlier", std::move(list));
  next.set("config", std::move(config));
  next.set("source", std::move(source));
  return announce(record, std::move(next));
}

Result<> announce_rollback(const Record& record) {
  NX_TRY(json::Array list, load_earlier(record));
  json::Object next;
  if (!list.empty()) {
    const json::Value* config = list.front().find("config");
    const json::Value* source = list.front().find("source");
    if (config == nullptr || source == nullptr)
      return fail(Errc::InvalidJson, "earlier.json of " + record.state.id);
    next.set("config", *config);
    next.set("source", *source);
    list.erase(list.begin());
    next.set("earlier", std::move(list));
  }
  return announce(record, std::move(next));
}

Result<bool> settle_change(Record& record) {
  const std::string path = next_path(record);
  NX_TRY(const bool is_there, sys::exists(AT_FDCWD, path));
  if (!is_there) return false;
  NX_TRY(const json::Value next, read_json(path), path);
  const json::Value* changes = next.find("changes");
  const bool is_done = changes != nullptr && changes->as_i64() == changes_of(record);
  if (is_done) NX_CHECK(carry_out(record, next));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + path);
  return true;
}

}  // namespace nexcage::runtime
