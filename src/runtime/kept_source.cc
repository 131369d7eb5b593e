#include "nexcage/runtime/kept_source.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <limits>

namespace nexcage::runtime {

namespace {

json::Array array_of(const std::vector<std::string>& texts) {
  return json::Array(texts.begin(), texts.end());
}

std::vector<std::string> texts_at(const json::Value& value, std::string_view name) {
  std::vector<std::string> out;
  const json::Value* member = value.find(name);
  if (member != nullptr && member->if_array() != nullptr)
    for (const json::Value& one : *member->if_array()) out.push_back(one.text());
  return out;
}

/// A bare name takes the value of the command that made the guest, not that of a later update.
std::string settled(const std::string& entry) {
  if (entry.find('=') != std::string::npos) return entry;
  const char* ours = std::getenv(entry.c_str());
  return ours != nullptr ? entry + "=" + ours : std::string();
}

json::Value mount_json(const oci::Mount& mount) {
  json::Object out;
  out.set("destination", mount.destination);
  out.set("type", mount.type);
  out.set("source", mount.source);
  out.set("options", array_of(mount.options));
  return out;
}

json::Array maps_json(const std::vector<oci::IdMapping>& maps) {
  json::Array out;
  for (const oci::IdMapping& map : maps)
    out.emplace_back(json::Array{json::Value(std::uint64_t{map.container_id}),
                                 json::Value(std::uint64_t{map.host_id}),
                                 json::Value(std::uint64_t{map.size})});
  return out;
}

Result<std::vector<oci::IdMapping>> maps_at(const json::Value& value, std::string_view name) {
  std::vector<oci::IdMapping> maps;
  const json::Value* member = value.find(name);
  if (member == nullptr) return maps;
  const auto wrong = [&] {
    return fail(Errc::InvalidJson, "/" + std::string(name) + ": is no list of three numbers each");
  };
  if (member->if_array() == nullptr) return wrong();
  for (const json::Value& one : *member->if_array()) {
    const json::Array* words = one.if_array();
    if (words == nullptr || words->size() != 3) return wrong();
    std::array<std::uint32_t, 3> numbers{};
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const auto number = (*words)[i].as_u64();
      if (!number || *number > std::numeric_limits<std::uint32_t>::max()) return wrong();
      numbers[i] = static_cast<std::uint32_t>(*number);
    }
    maps.push_back({numbers[0], numbers[1], numbers[2]});
  }
  return maps;
}

bool flag_at(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  return member != nullptr && member->if_bool() != nullptr && *member->if_bool();
}

double number_at(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  if (member == nullptr) return 0;
  if (const auto* real = std::get_if<double>(&member->storage())) return *real;
  return static_cast<double>(member->as_i64().value_or(0));
}

}  // namespace

json::Value to_json(const ImageSource& source) {
  json::Object out;
  out.set("image", source.image);
  out.set("command", array_of(source.command));
  if (source.entrypoint) out.set("entrypoint", array_of(*source.entrypoint));
  std::vector<std::string> env;
  for (const std::string& entry : source.env)
    if (std::string text = settled(entry); !text.empty()) env.push_back(std::move(text));
  out.set("env", array_of(env));
  out.set("user", source.user);
  out.set("workdir", source.workdir);
  out.set("hostname", source.hostname);
  json::Array mounts;
  for (const oci::Mount& mount : source.mounts) mounts.push_back(mount_json(mount));
  out.set("mounts", std::move(mounts));
  if (source.memory) out.set("memory", *source.memory);
  if (source.cpus) out.set("cpus", *source.cpus);
  if (source.pids_limit) out.set("pids_limit", *source.pids_limit);
  json::Object annotations;
  for (const auto& [name, value] : source.annotations) annotations.set(name, value);
  out.set("annotations", std::move(annotations));
  out.set("read_only", source.read_only);
  if (source.terminal) out.set("terminal", true);
  if (!source.uid_map.empty()) out.set("uid_map", maps_json(source.uid_map));
  if (!source.gid_map.empty()) out.set("gid_map", maps_json(source.gid_map));
  return out;
}

Result<ImageSource> source_from_json(const json::Value& value) {
  if (value.text("image").empty()) return fail(Errc::InvalidJson, "/image: is missing");
  ImageSource source;
  source.image = value.text("image");
  source.command = texts_at(value, "command");
  if (value.find("entrypoint") != nullptr) source.entrypoint = texts_at(value, "entrypoint");
  source.env = texts_at(value, "env");
  source.user = value.text("user");
  source.workdir = value.text("workdir");
  source.hostname = value.text("hostname");
  if (const json::Value* mounts = value.find("mounts"); mounts && mounts->if_array())
    for (const json::Value& one : *mounts->if_array())
      source.mounts.push_back({.destination = one.text("destination"),
                               .type = one.text("type"),
                               .source = one.text("source"),
                               .options = texts_at(one, "options"),
                               .uid_mappings = {},
                               .gid_mappings = {}});
  if (const json::Value* memory = value.find("memory")) source.memory = memory->as_u64();
  if (value.find("cpus") != nullptr) source.cpus = number_at(value, "cpus");
  if (const json::Value* pids = value.find("pids_limit")) source.pids_limit = pids->as_i64();
  if (const json::Value* all = value.find("annotations"); all && all->if_object())
    for (const auto& [name, text] : *all->if_object()) source.annotations[name] = text.text();
  source.read_only = flag_at(value, "read_only");
  source.terminal = flag_at(value, "terminal");
  NX_TRY(source.uid_map, maps_at(value, "uid_map"));
  NX_TRY(source.gid_map, maps_at(value, "gid_map"));
  return source;
}

}  // namespace nexcage::runtime
