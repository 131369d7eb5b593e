#include "nexcage/runtime/guest_earlier.h"

#include <fcntl.h>

#include <algorithm>

#include "nexcage/oci/spec.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {

namespace {

using backends::Record;

Result<> write_file(const std::string& path, const json::Value& value) {
  return sys::write_file_atomic(path, json::dump(value) + "\n", 0600, sys::Durable::yes);
}

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

}  // namespace

Result<> push_earlier(const Record& record, const Settings& settings) {
  NX_TRY(json::Array list, load_earlier(record));
  json::Object one;
  NX_TRY(json::Value config, read_json(record.state_dir + "/config.json"));
  NX_TRY(json::Value source, read_json(record.state_dir + "/source.json"));
  one.set("config", std::move(config));
  one.set("source", std::move(source));
  list.insert(list.begin(), std::move(one));
  const auto most = static_cast<std::size_t>(std::max(0, settings.proxmox.generations));
  while (list.size() > most) list.pop_back();
  return write_file(record.state_dir + "/earlier.json", std::move(list));
}

Result<> pop_earlier(Record& record) {
  NX_TRY(json::Array list, load_earlier(record));
  if (list.empty()) return {};
  const json::Value* config = list.front().find("config");
  const json::Value* source = list.front().find("source");
  if (config == nullptr || source == nullptr)
    return fail(Errc::InvalidJson, "earlier.json of " + record.state.id);
  NX_TRY(const oci::Spec spec, oci::parse_spec(*config));
  record.state.annotations = spec.annotations;
  NX_CHECK(write_file(record.state_dir + "/config.json", *config));
  NX_CHECK(write_file(record.state_dir + "/source.json", *source));
  list.erase(list.begin());
  return write_file(record.state_dir + "/earlier.json", std::move(list));
}

}  // namespace nexcage::runtime
