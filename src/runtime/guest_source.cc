#include "nexcage/runtime/guest_source.h"

#include <cstdlib>

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
  const json::Value* read_only = value.find("read_only");
  source.read_only = read_only && read_only->if_bool() && *read_only->if_bool();
  return source;
}

}  // namespace nexcage::runtime
