#include "nexcage/cli/config.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <limits>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::cli {
namespace {

using backends::ProxmoxSetup;
using runtime::Settings;

constexpr std::array kKeys = {
    ConfigKey{"runtime.root", "NEXCAGE_ROOT", ConfigKind::directory, &Settings::root},
    ConfigKey{"runtime.default", "NEXCAGE_RUNTIME", ConfigKind::word, &Settings::default_backend},
    ConfigKey{"runtime.strict_oci_version", "NEXCAGE_STRICT_OCI_VERSION", ConfigKind::text,
              &Settings::strict_oci_version},
    ConfigKey{"runtime.cgroup_parent", "NEXCAGE_CGROUP_PARENT", ConfigKind::word,
              &Settings::cgroup_parent},
    ConfigKey{"runtime.generations", "NEXCAGE_GENERATIONS", ConfigKind::number,
              &Settings::generations},
    ConfigKey{"runtime.crun.path", "NEXCAGE_CRUN", ConfigKind::word, &Settings::crun},
    ConfigKey{"runtime.runc.path", "NEXCAGE_RUNC", ConfigKind::word, &Settings::runc},
    ConfigKey{"storage.images", "NEXCAGE_IMAGES", ConfigKind::directory, &Settings::images},
    ConfigKey{"storage.containers", "NEXCAGE_CONTAINERS", ConfigKind::directory,
              &Settings::containers},
    ConfigKey{"storage.layers", "NEXCAGE_LAYERS", ConfigKind::directory, &Settings::layers},
    ConfigKey{"storage.default", "NEXCAGE_STORAGE", ConfigKind::word, &Settings::storage},
    ConfigKey{"zfs.dataset", "NEXCAGE_ZFS_DATASET", ConfigKind::text, &Settings::zfs_dataset},
    ConfigKey{"layerfs.driver", "NEXCAGE_LAYERFS", ConfigKind::word, &Settings::layerfs},
    ConfigKey{"layerfs.form", "NEXCAGE_LAYERFS_FORM", ConfigKind::word, &Settings::layerfs_form},
    ConfigKey{"layerfs.protect", "NEXCAGE_LAYERFS_PROTECT", ConfigKind::word,
              &Settings::layerfs_protect},
    ConfigKey{"monitor.conmon", "NEXCAGE_CONMON", ConfigKind::word, &Settings::conmon},
    ConfigKey{"network.default", "NEXCAGE_NETWORK", ConfigKind::word, &Settings::network},
    ConfigKey{"network.cni_config_dir", "NEXCAGE_CNI_CONFIG_DIR", ConfigKind::directory,
              &Settings::cni_config_dir},
    ConfigKey{"network.cni_plugin_dir", "NEXCAGE_CNI_PLUGIN_DIR", ConfigKind::path,
              &Settings::cni_plugin_dir},
    ConfigKey{"network.subnet", "NEXCAGE_SUBNET", ConfigKind::text, &Settings::subnet},
    ConfigKey{"pull.policy", "NEXCAGE_PULL_POLICY", ConfigKind::word, &Settings::pull_policy},
    ConfigKey{"pull.parallel_layers", "NEXCAGE_PULL_PARALLEL_LAYERS", ConfigKind::number,
              &Settings::pull_parallel_layers},
    ConfigKey{"pull.connections_per_layer", "NEXCAGE_PULL_CONNECTIONS_PER_LAYER",
              ConfigKind::number, &Settings::pull_connections},
    ConfigKey{"pull.retries", "NEXCAGE_PULL_RETRIES", ConfigKind::number, &Settings::pull_retries},
    ConfigKey{"pull.stall_timeout", "NEXCAGE_PULL_STALL_TIMEOUT", ConfigKind::seconds,
              &Settings::pull_stall_timeout},
    ConfigKey{"vm.kernel", "NEXCAGE_VM_KERNEL", ConfigKind::text, &Settings::vm_kernel},
    ConfigKey{"vm.initrd", "NEXCAGE_VM_INITRD", ConfigKind::text, &Settings::vm_initrd},
    ConfigKey{"vm.qemu", "NEXCAGE_QEMU", ConfigKind::word, &Settings::qemu},
    ConfigKey{"vm.accelerator", "NEXCAGE_VM_ACCELERATOR", ConfigKind::word,
              &Settings::vm_accelerator},
    ConfigKey{"vm.board", "NEXCAGE_VM_BOARD", ConfigKind::word, &Settings::vm_board},
    ConfigKey{"vm.memory", "NEXCAGE_VM_MEMORY", ConfigKind::word, &Settings::vm_memory},
    ConfigKey{"vm.boot_timeout", "NEXCAGE_VM_BOOT_TIMEOUT", ConfigKind::seconds,
              &Settings::vm_boot_timeout},
    ConfigKey{"hooks.timeout", "NEXCAGE_HOOK_TIMEOUT", ConfigKind::seconds,
              &Settings::hook_timeout},
    ConfigKey{"proxmox.hosts", "NEXCAGE_PVE_HOSTS", ConfigKind::text, &ProxmoxSetup::hosts},
    ConfigKey{"proxmox.node", "NEXCAGE_PVE_NODE", ConfigKind::text, &ProxmoxSetup::node},
    ConfigKey{"proxmox.token_file", "NEXCAGE_PVE_TOKEN_FILE", ConfigKind::text,
              &ProxmoxSetup::token_file},
    ConfigKey{"proxmox.user", "NEXCAGE_PVE_USER", ConfigKind::text, &ProxmoxSetup::user},
    ConfigKey{"proxmox.password_file", "NEXCAGE_PVE_PASSWORD_FILE", ConfigKind::text,
              &ProxmoxSetup::password_file},
    ConfigKey{"proxmox.ca_file", "NEXCAGE_PVE_CA_FILE", ConfigKind::text, &ProxmoxSetup::ca_file},
    ConfigKey{"proxmox.fingerprint", "NEXCAGE_PVE_FINGERPRINT", ConfigKind::text,
              &ProxmoxSetup::fingerprint},
    ConfigKey{"proxmox.storage", "NEXCAGE_PVE_STORAGE", ConfigKind::text, &ProxmoxSetup::storage},
    ConfigKey{"proxmox.template_storage", "NEXCAGE_PVE_TEMPLATE_STORAGE", ConfigKind::text,
              &ProxmoxSetup::template_storage},
    ConfigKey{"proxmox.pool", "NEXCAGE_PVE_POOL", ConfigKind::text, &ProxmoxSetup::pool},
    ConfigKey{"proxmox.network", "NEXCAGE_PVE_NETWORK", ConfigKind::text, &ProxmoxSetup::network},
    ConfigKey{"proxmox.vmid_first", "NEXCAGE_PVE_VMID_FIRST", ConfigKind::number,
              &ProxmoxSetup::vmid_first},
    ConfigKey{"proxmox.vmid_last", "NEXCAGE_PVE_VMID_LAST", ConfigKind::number,
              &ProxmoxSetup::vmid_last},
    ConfigKey{"proxmox.generations", "NEXCAGE_PVE_GENERATIONS", ConfigKind::number,
              &ProxmoxSetup::generations},
};

/// The member of a key, as `visit` takes it: text or number of these settings.
template <class SettingsType, class Visit>
auto with_member(const ConfigKey& key, SettingsType& settings, const Visit& visit) {
  return std::visit(
      [&](auto member) {
        if constexpr (std::is_invocable_v<decltype(member), Settings&>)
          return visit(settings.*member);
        else
          return visit(settings.proxmox.*member);
      },
      key.member);
}

std::size_t index_of(std::string_view name) {
  const auto found = std::ranges::find(kKeys, name, &ConfigKey::name);
  return static_cast<std::size_t>(found - kKeys.begin());
}

std::unexpected<Error> bad_value(const std::string& origin, std::string_view key,
                                 std::string_view why) {
  return fail(Errc::ConfigError, origin + ": " + std::string(key) + ": " + std::string(why));
}

std::unexpected<Error> unknown_key(const std::string& origin, std::string_view key) {
  std::vector<std::string> names;
  names.reserve(kKeys.size());
  for (const ConfigKey& known : kKeys) names.emplace_back(known.name);
  Error error(Errc::ConfigError, origin + ": unknown key " + quote(key));
  if (const auto near = closest(key, names))
    return fail(std::move(error).hint("Did you mean " + *near + "?"));
  return fail(std::move(error).hint("nexcage config show prints every key."));
}

/// Why a text does not fit its kind; empty when it does.
std::string_view misfit(ConfigKind kind, const std::string& value) {
  if (!is_printable(value)) return "must not contain control characters";
  switch (kind) {
    case ConfigKind::directory:
      return value.starts_with('/') ? "" : "must be an absolute path";
    case ConfigKind::word:
      return value.empty() ? "must not be empty" : "";
    case ConfigKind::seconds: {
      const auto number = parse_u64(value);
      return number && *number <= std::numeric_limits<int>::max()
                 ? ""
                 : "must be a whole number of seconds, 0 or more";
    }
    case ConfigKind::number: {
      const auto number = parse_u64(value);
      return number && *number <= std::numeric_limits<int>::max()
                 ? ""
                 : "must be a whole number, 0 or more";
    }
    case ConfigKind::path:
      return std::ranges::all_of(split(value, ':'),
                                 [](const std::string& part) { return part.starts_with('/'); })
                 ? ""
                 : "must be absolute paths joined by ':'";
    case ConfigKind::text:
      break;
  }
  return "";
}

}  // namespace

std::span<const ConfigKey> config_keys() { return kKeys; }

Configuration::Configuration() : origins_(kKeys.size(), "default") {}

Result<> Configuration::read_files(const std::optional<std::string>& only) {
  if (only) {
    auto text = sys::read_file(AT_FDCWD, *only);
    if (!text)
      return fail(
          std::move(text).error().wrap("read the configuration " + *only).as(Errc::ConfigError));
    return read_text(*text, *only);
  }
  std::vector<std::string> files = {std::string(kConfigFile)};
  if (auto directory =
          sys::open_at(AT_FDCWD, std::string(kConfigDirectory), O_RDONLY | O_DIRECTORY)) {
    NX_TRY(std::vector<std::string> names, sys::list_dir(directory->get()));
    std::ranges::sort(names);
    for (const std::string& name : names)
      if (name.ends_with(".toml") && !name.starts_with('.'))
        files.push_back(std::string(kConfigDirectory) + "/" + name);
  } else if (directory.error().sys_errno() != ENOENT) {
    return fail(std::move(directory).error().as(Errc::ConfigError));
  }
  for (const std::string& file : files) {
    auto text = sys::read_file(AT_FDCWD, file);
    if (!text && text.error().sys_errno() == ENOENT) continue;
    if (!text) return fail(std::move(text).error().as(Errc::ConfigError));
    NX_CHECK(read_text(*text, file));
  }
  return {};
}

Result<> Configuration::read_text(std::string_view text, const std::string& file) {
  NX_TRY(const std::vector<TomlEntry> entries, parse_toml(text, file));
  NX_CHECK(add_rules(entries, file));
  for (const TomlEntry& entry : entries) {
    if (is_rule(entry)) continue;
    const std::string origin = file + ":" + std::to_string(entry.line);
    const std::size_t index = index_of(entry.key);
    if (index == kKeys.size()) return unknown_key(origin, entry.key);
    const bool number =
        kKeys[index].kind == ConfigKind::seconds || kKeys[index].kind == ConfigKind::number;
    const auto* words = std::get_if<std::string>(&entry.value);
    const auto* integer = std::get_if<std::int64_t>(&entry.value);
    if (number ? integer == nullptr : words == nullptr)
      return bad_value(origin, entry.key,
                       std::string("expected ") + (number ? "an integer" : "a string") +
                           ", found " + entry.type);
    NX_CHECK(assign(index, number ? std::to_string(*integer) : *words, origin));
  }
  return {};
}

Result<> Configuration::read_environment() {
  for (std::size_t i = 0; i < kKeys.size(); ++i) {
    const std::string name(kKeys[i].environment);
    const char* value = std::getenv(name.c_str());
    if (value == nullptr || *value == '\0') continue;
    NX_CHECK(assign(i, value, "environment " + name));
  }
  return {};
}

Result<> Configuration::set(std::string_view key, const std::string& value,
                            const std::string& origin) {
  const std::size_t index = index_of(key);
  if (index == kKeys.size()) return unknown_key(origin, key);
  return assign(index, value, origin);
}

Result<> Configuration::assign(std::size_t index, const std::string& value,
                               const std::string& origin) {
  const ConfigKey& key = kKeys[index];
  if (const std::string_view why = misfit(key.kind, value); !why.empty())
    return bad_value(origin, key.name, why);
  with_member(key, settings_, [&](auto& place) {
    if constexpr (std::is_same_v<std::remove_reference_t<decltype(place)>, int>)
      place = static_cast<int>(parse_u64(value).value_or(0));
    else
      place = key.kind == ConfigKind::directory ? sys::clean_path(value) : value;
  });
  origins_[index] = origin;
  return {};
}

const std::string& Configuration::origin(std::string_view key) const {
  return origins_.at(index_of(key));
}

std::string Configuration::value(const ConfigKey& key) const {
  return with_member(key, settings_, [](const auto& place) -> std::string {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(place)>, int>)
      return std::to_string(place);
    else
      return place;
  });
}

}  // namespace nexcage::cli
