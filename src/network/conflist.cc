#include "nexcage/network/conflist.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <initializer_list>
#include <ranges>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::network {
namespace {

/// The versions of the protocol, oldest first.
constexpr std::array<std::string_view, 6> kVersions = {"0.1.0", "0.2.0", "0.3.0",
                                                       "0.3.1", "0.4.0", "1.0.0"};
constexpr std::string_view kWithoutVersion = "0.1.0";  // as libcni takes a list that names none
constexpr std::size_t kMaxFile = 1U << 20;
constexpr std::size_t kMaxPlugins = 64;

/// CNI spec, section 1, "name".
bool is_network_name(std::string_view name) {
  const auto alnum = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= 255 && alnum(name.front()) &&
         std::ranges::all_of(name,
                             [&](char c) { return alnum(c) || c == '_' || c == '.' || c == '-'; });
}

/// The name of a program in a directory of plugins, and nothing that leads out of it.
bool is_plugin_type(std::string_view type) {
  return !type.empty() && type.size() <= 255 && type != "." && type != ".." &&
         type.find('/') == std::string_view::npos && is_printable(type);
}

Result<std::string> text_of(const json::Value& value, std::string_view member) {
  const json::Value* found = value.find(member);
  if (found == nullptr) return std::string();
  if (found->if_string() != nullptr) return *found->if_string();
  return fail(Errc::ConfigError, "/" + std::string(member) + ": is no string");
}

/// The highest version that both sides speak.
Result<std::string> choose_version(const json::Value& value) {
  std::vector<std::string> offered;
  NX_TRY(std::string one, text_of(value, "cniVersion"));
  if (!one.empty()) offered.push_back(std::move(one));
  if (const json::Value* more = value.find("cniVersions")) {
    if (more->if_array() == nullptr) return fail(Errc::ConfigError, "/cniVersions: is no array");
    for (const json::Value& item : *more->if_array())
      if (item.if_string() != nullptr) offered.push_back(*item.if_string());
  }
  if (offered.empty()) return std::string(kWithoutVersion);
  for (const std::string_view known : std::views::reverse(kVersions))
    if (std::ranges::find(offered, known) != offered.end()) return std::string(known);
  return fail(Errc::Unsupported, "/cniVersion: " + quote(join(offered, ", ")) +
                                     "; versions 0.1.0 to 1.0.0 of CNI are spoken");
}

Result<json::Object> parse_plugin(const json::Value& value) {
  if (value.if_object() == nullptr)
    return fail(Errc::ConfigError, "a plugin's configuration is no object");
  NX_TRY(const std::string type, text_of(value, "type"));
  if (!is_plugin_type(type))
    return fail(Errc::ConfigError, "/type: " + quote(type) + " is no name of a plugin");
  return *value.if_object();
}

Result<NetworkList> parse_head(const json::Value& value) {
  if (value.if_object() == nullptr)
    return fail(Errc::ConfigError, "the network's configuration is no object");
  NetworkList list;
  NX_TRY(list.name, text_of(value, "name"));
  if (!is_network_name(list.name))
    return fail(Errc::ConfigError, "/name: " + quote(list.name) + " is no name of a network");
  NX_TRY(list.version, choose_version(value));
  return list;
}

Result<NetworkList> read_list(const std::string& file, bool single) {
  NX_TRY(const std::string text, sys::read_file(AT_FDCWD, file, kMaxFile));
  NX_TRY(const json::Value value, json::parse(text));
  return single ? parse_single(value) : parse_list(value);
}

/// Names of files that end so, sorted.
std::vector<std::string> ending(const std::vector<std::string>& names,
                                std::initializer_list<std::string_view> suffixes) {
  std::vector<std::string> found;
  for (const std::string& name : names)
    if (std::ranges::any_of(suffixes, [&](std::string_view suffix) {
          return name.ends_with(suffix) && !name.starts_with('.');
        }))
      found.push_back(name);
  std::ranges::sort(found);
  return found;
}

json::Object capabilities(std::initializer_list<std::string_view> names) {
  json::Object object;
  for (const std::string_view name : names) object.set(std::string(name), true);
  return object;
}

json::Object own_ipam(const std::string& subnet) {
  json::Object range;
  range.set("subnet", subnet);
  json::Object route;
  route.set("dst", "0.0.0.0/0");
  json::Object ipam;
  ipam.set("type", "host-local");
  ipam.set("dataDir", kLeases);
  ipam.set("ranges", json::Array{json::Array{json::Value(std::move(range))}});
  ipam.set("routes", json::Array{json::Value(std::move(route))});
  return ipam;
}

json::Object static_ipam(const BridgeSetup& setup) {
  json::Object address;
  address.set("address", setup.address);
  json::Object ipam;
  ipam.set("type", "static");
  if (!setup.gateway.empty()) {
    address.set("gateway", setup.gateway);
    json::Object route;
    route.set("dst", setup.gateway.find(':') == std::string::npos ? "0.0.0.0/0" : "::/0");
    route.set("gw", setup.gateway);
    ipam.set("routes", json::Array{json::Value(std::move(route))});
  }
  ipam.set("addresses", json::Array{json::Value(std::move(address))});
  return ipam;
}

json::Object bridge_plugin(const BridgeSetup& setup) {
  json::Object plugin;
  plugin.set("type", "bridge");
  plugin.set("bridge", setup.bridge);
  if (setup.own) {
    plugin.set("isGateway", true);
    plugin.set("ipMasq", true);
    plugin.set("hairpinMode", true);
    plugin.set("ipam", own_ipam(setup.subnet));
    plugin.set("capabilities", capabilities({"ips", "mac"}));
    return plugin;
  }
  if (setup.vlan) plugin.set("vlan", *setup.vlan);
  plugin.set("ipam", setup.address.empty() ? json::Object() : static_ipam(setup));
  plugin.set("capabilities", capabilities({"mac"}));
  return plugin;
}

}  // namespace

bool NetworkList::takes(std::string_view capability) const {
  return std::ranges::any_of(plugins, [capability](const json::Object& plugin) {
    const json::Value* given = plugin.find("capabilities");
    const json::Value* one = given != nullptr ? given->find(capability) : nullptr;
    return one != nullptr && one->if_bool() != nullptr && *one->if_bool();
  });
}

Result<NetworkList> parse_list(const json::Value& value) {
  NX_TRY(NetworkList list, parse_head(value));
  const json::Value* plugins = value.find("plugins");
  const json::Array* array = plugins != nullptr ? plugins->if_array() : nullptr;
  if (array == nullptr || array->empty() || array->size() > kMaxPlugins)
    return fail(Errc::ConfigError, "/plugins: is no array of 1 to 64 plugins");
  for (std::size_t i = 0; i < array->size(); ++i) {
    NX_TRY(json::Object plugin, parse_plugin((*array)[i]), "/plugins/" + std::to_string(i));
    list.plugins.push_back(std::move(plugin));
  }
  return list;
}

Result<NetworkList> parse_single(const json::Value& value) {
  NX_TRY(NetworkList list, parse_head(value));
  NX_TRY(json::Object plugin, parse_plugin(value));
  list.plugins.push_back(std::move(plugin));
  return list;
}

json::Value to_json(const NetworkList& list) {
  json::Object object;
  object.set("cniVersion", list.version);
  object.set("name", list.name);
  object.set("plugins", json::Array(list.plugins.begin(), list.plugins.end()));
  return object;
}

Result<NetworkList> find_network(const std::string& directory, const std::string& name) {
  std::vector<std::string> names;
  if (auto dir = sys::open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY)) {
    NX_TRY(names, sys::list_dir(dir->get()));
  } else if (dir.error().sys_errno() != ENOENT) {
    return fail(std::move(dir).error().wrap("network " + name).as(Errc::ConfigError));
  }
  std::vector<std::string> known;
  for (const bool single : {false, true}) {
    for (const std::string& file :
         single ? ending(names, {".conf", ".json"}) : ending(names, {".conflist"})) {
      const std::string path = directory + "/" + file;
      auto list = read_list(path, single);
      if (!list) {
        log::warning("network configuration " + path + ": " + list.error().message());
        known.push_back(file + " (unusable: " + list.error().message() + ")");
      } else if (list->name == name) {
        return list;
      } else {
        known.push_back(list->name);
      }
    }
  }
  Error error(Errc::ConfigError, "no network " + quote(name) + " in " + directory);
  return fail(std::move(error).hint(known.empty() ? "There are no network configurations."
                                                  : "There are: " + join(known, ", ") + "."));
}

NetworkList bridge_list(const BridgeSetup& setup) {
  NetworkList list;
  list.name = setup.own ? "nexcage" : "bridge-" + setup.bridge;
  list.version = kVersions.back();
  list.plugins.push_back(bridge_plugin(setup));
  if (setup.publishes) {
    json::Object portmap;
    portmap.set("type", "portmap");
    portmap.set("capabilities", capabilities({"portMappings"}));
    list.plugins.push_back(std::move(portmap));
  }
  if (setup.own) {
    // Where something else has closed the host's forwarding (Docker does), our traffic stays open.
    json::Object firewall;
    firewall.set("type", "firewall");
    list.plugins.push_back(std::move(firewall));
  }
  return list;
}

}  // namespace nexcage::network
