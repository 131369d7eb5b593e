#include "nexcage/backends/proxmox/volumes.h"

#include <algorithm>
#include <cmath>

#include "nexcage/base/text.h"
#include "nexcage/pve/answer.h"

namespace nexcage::backends::proxmox {

std::string volume_of(const std::string& setting) { return setting.substr(0, setting.find(',')); }

namespace {

/// "size=4G"; empty: it is not there.
std::string size_part(const std::string& setting) {
  for (const std::string& part : split(setting, ','))
    if (part.starts_with("size=")) return part;
  return {};
}

}  // namespace

std::string with_size(const std::string& setting) {
  const std::string size = size_part(setting);
  return size.empty() ? volume_of(setting) : volume_of(setting) + "," + size;
}

std::uint64_t gib_of(const std::string& setting) {
  const std::string part = size_part(setting);
  if (part.empty()) return 0;
  const std::string text = part.substr(5);
  const std::size_t end = text.find_first_not_of("0123456789");
  const std::uint64_t number = parse_u64(text.substr(0, end)).value_or(0);
  const char unit = end == std::string::npos ? 'B' : text[end];
  if (unit == 'T') return number << 10;
  if (unit == 'G') return number;
  const int shift = unit == 'M' ? 10 : unit == 'K' ? 20 : 30;
  return (number + (std::uint64_t{1} << shift) - 1) >> shift;
}

std::string text_of(const pve::Params& params, const std::string& name) {
  const auto found = params.find(name);
  return found == params.end() ? std::string() : found->second;
}

const char* root_setting(GuestKind kind) { return kind == GuestKind::lxc ? "rootfs" : "virtio1"; }

std::vector<std::string> volumes_in(const pve::Params& config) {
  std::vector<std::string> volumes;
  for (const auto& [name, value] : config)
    if (name == "rootfs" || name.starts_with("mp") || name.starts_with("unused") ||
        name.starts_with("virtio"))
      volumes.push_back(volume_of(value));
  return volumes;
}

std::string free_unused(const pve::Params& config) {
  unsigned number = 0;
  while (config.contains("unused" + std::to_string(number))) ++number;
  return "unused" + std::to_string(number);
}

std::string unused_of(const pve::Params& config, const std::string& volume) {
  const auto found = std::ranges::find_if(config, [&](const auto& entry) {
    return entry.first.starts_with("unused") && volume_of(entry.second) == volume;
  });
  return found == config.end() ? std::string() : found->first;
}

Result<bool> has_volume(const Cluster& cluster, std::uint64_t vmid, const std::string& volume) {
  const std::string storage = volume.substr(0, volume.find(':'));
  NX_TRY(const json::Value content,
         cluster.api().call("GET", cluster.node_path() + "/storage/" + storage + "/content",
                            {{"vmid", std::to_string(vmid)}}));
  const json::Array* list = content.if_array();
  return list != nullptr && std::ranges::any_of(*list, [&](const json::Value& one) {
           return one.text("volid") == volume;
         });
}

Result<> forget_unused(const Cluster& cluster, const GuestName& name, const std::string& volume,
                       const std::string& root) {
  NX_TRY(const auto found, find_guest(cluster, name));
  if (!found) return {};
  const std::string guest = "guest " + std::to_string(name.vmid);
  if (found->name.node != cluster.node())
    return fail(Errc::InvalidState, guest + " is no longer on node " + cluster.node());
  const pve::Params& config = found->config;
  // An unused volume is destroyed with its setting: not while another root is in use than we think.
  if (volume_of(text_of(config, root_setting(cluster.kind()))) != root)
    return fail(Errc::InvalidState,
                "the root of " + guest + " is not " + root + ": " + volume + " stays");
  const std::string key = unused_of(config, volume);
  if (key.empty()) return {};
  return cluster.set(name.vmid, {{"delete", key}, {"digest", text_of(config, "digest")}});
}

}  // namespace nexcage::backends::proxmox
