#include "nexcage/runtime/network_spec.h"

#include <algorithm>
#include <array>

namespace nexcage::runtime {
namespace {

constexpr std::array<const char*, 3> kFiles = {"hosts", "hostname", "resolv.conf"};

/// A mount on the place itself or on a directory above it.
bool covered(const oci::Spec& spec, const std::string& target) {
  return std::ranges::any_of(spec.mounts, [&](const oci::Mount& mount) {
    return target == mount.destination || target.starts_with(mount.destination + "/");
  });
}

void set_namespace(oci::Linux& section, const network::Wanted& wanted,
                   const std::string& network_dir) {
  std::erase_if(section.namespaces,
                [](const auto& one) { return one.type == oci::NamespaceType::network; });
  if (wanted.mode == network::Mode::host) return;
  std::string path;
  if (wanted.mode == network::Mode::path) path = wanted.name;
  if (network::needs_plugins(wanted)) path = network::namespace_path(network_dir);
  section.namespaces.push_back({oci::NamespaceType::network, std::move(path)});
}

}  // namespace

network::Config network_config(const Settings& settings) {
  return {.config_dir = settings.cni_config_dir,
          .plugin_dirs = settings.cni_plugin_dir,
          .subnet = settings.subnet};
}

void apply_network(oci::Spec& spec, const network::Wanted& wanted, const std::string& bundle,
                   const std::string& network_dir) {
  if (spec.linux_) set_namespace(*spec.linux_, wanted, network_dir);
  const bool read_only = spec.root && spec.root->readonly;
  for (const char* name : kFiles) {
    const std::string target = std::string("/etc/") + name;
    if (covered(spec, target)) continue;
    oci::Mount mount;
    mount.destination = target;
    mount.type = "bind";
    mount.source = bundle + "/" + name;
    mount.options = {"bind", "rprivate", "nosuid", "nodev", "noexec", read_only ? "ro" : "rw"};
    spec.mounts.push_back(std::move(mount));
  }
}

}  // namespace nexcage::runtime
