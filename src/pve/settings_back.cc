// From settings to a spec.
#include <algorithm>
#include <string_view>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/pve/property_string.h"
#include "nexcage/pve/settings.h"
#include "nexcage/pve/settings_parts.h"

namespace nexcage::pve {

namespace {

const std::string* find(const Params& params, const std::string& name) {
  const auto found = params.find(name);
  return found == params.end() ? nullptr : &found->second;
}

/// The server fills in what the caller left out: that is no value of the spec.
bool was_unset(const json::Object& rest, std::string_view name) {
  const json::Value* unset = rest.find("unset");
  const json::Array* names = unset != nullptr ? unset->if_array() : nullptr;
  return names != nullptr &&
         std::ranges::any_of(*names, [&](const json::Value& one) { return one.text() == name; });
}

std::optional<std::int64_t> number(const Params& params, const json::Object& rest,
                                   const char* name) {
  const std::string* text = find(params, name);
  return text == nullptr || was_unset(rest, name) ? std::nullopt : parse_i64(*text);
}

void set_process(oci::Process& process, const Launch& launch, std::vector<std::string> env) {
  process.args = launch.args;
  process.cwd = launch.cwd;
  process.user = launch.user;
  process.no_new_privileges = launch.no_new_privileges;
  for (const auto& [place, entry] : launch.env)
    env.insert(env.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(place, env.size())),
               entry);
  process.env = std::move(env);
}

Result<> read_process(const Params& params, const json::Object& rest, oci::Process& process) {
  std::vector<std::string> env;
  std::string record = rest.text("launch");
  if (const std::string* text = find(params, "env")) {
    for (std::string& entry : split_env(*text)) {
      const std::string prefix = std::string(kLaunchVariable) + "=";
      if (entry.starts_with(prefix))
        record = entry.substr(prefix.size());
      else
        env.push_back(std::move(entry));
    }
  } else if (const json::Value* kept = rest.find("env"); kept != nullptr && kept->if_array()) {
    for (const json::Value& entry : *kept->if_array()) env.push_back(entry.text());
  }
  NX_TRY(const Launch launch, decode_text(record));
  set_process(process, launch, std::move(env));
  return {};
}

void read_resources(const Params& params, const json::Object& rest, oci::Resources& resources) {
  if (const auto mib = number(params, rest, "memory")) {
    resources.memory.emplace().limit = *mib * kMiB;
    if (const auto swap = number(params, rest, "swap"))
      resources.memory->swap = (*mib + *swap) * kMiB;
  }
  const std::string* limit = find(params, "cpulimit");
  const std::int64_t quota = limit != nullptr ? cpu_quota(*limit).value_or(0) : 0;
  const auto weight = number(params, rest, "cpuunits");
  if (quota <= 0 && !weight) return;
  oci::CpuLimits& cpu = resources.cpu.emplace();
  if (quota > 0) {
    cpu.quota = quota;
    cpu.period = kPeriod;
  }
  if (!weight) return;
  const json::Value* kept = rest.find("shares");
  const auto shares = kept != nullptr ? kept->as_u64() : std::nullopt;
  // Changed by hand since: the weight decides.
  cpu.shares = shares && cpu_weight(*shares) == *weight
                   ? *shares
                   : 2 + (static_cast<std::uint64_t>(*weight) - 1) * 262'142 / 9'999;
}

/// Tags without our own, which come first as we send them and anywhere as the server sorts them.
std::string other_tags(const std::string& text) {
  std::vector<std::string> tags;
  for (std::string& tag : split(text, ';'))
    if (tag != kTag && !tag.starts_with(kTagPrefix)) tags.push_back(std::move(tag));
  return join(tags, ";");
}

Result<> read_setting(const std::string& name, const std::string& value, oci::Spec& spec) {
  if (name.starts_with("mp") && value.starts_with('/')) {
    NX_TRY(oci::Mount mount, bind_mount(value), name);
    spec.mounts.push_back(std::move(mount));
    return {};
  }
  const std::string text = name == "tags" ? other_tags(value) : value;
  if (!text.empty()) spec.annotations[std::string(kAnnotation) + name] = text;
  return {};
}

/// mp2 before mp10: bind mounts come back in the order in which they were given.
Result<> read_settings(const Params& params, oci::Spec& spec) {
  std::vector<const Params::value_type*> entries;
  for (const auto& entry : params)
    if (is_annotated(entry.first)) entries.push_back(&entry);
  std::ranges::sort(entries, {}, [](const auto* entry) {
    return std::pair(entry->first.size(), std::string_view(entry->first));
  });
  for (const auto* entry : entries) NX_CHECK(read_setting(entry->first, entry->second, spec));
  return {};
}

}  // namespace

Result<oci::Spec> to_spec(const Params& params, const json::Object& rest) {
  oci::Spec spec = oci::default_spec();
  if (const std::string version = rest.text("oci"); !version.empty()) spec.oci_version = version;
  NX_CHECK(read_process(params, rest, *spec.process));
  read_resources(params, rest, *spec.linux_->resources);
  const std::string* hostname = find(params, "hostname");
  spec.hostname = hostname == nullptr || was_unset(rest, "hostname") ? "" : *hostname;
  spec.root->readonly = false;
  if (const std::string* rootfs = find(params, "rootfs")) {
    NX_TRY(const Properties volume, Properties::parse(*rootfs), "rootfs");
    spec.root->readonly = volume.find("ro") == "1";
  }
  if (const json::Value* others = rest.find("annotations"); others && others->if_object())
    for (const auto& [name, value] : *others->if_object()) spec.annotations[name] = value.text();
  NX_CHECK(read_settings(params, spec));
  return spec;
}

}  // namespace nexcage::pve
