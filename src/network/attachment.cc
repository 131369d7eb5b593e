#include "nexcage/network/attachment.h"

#include <algorithm>
#include <array>
#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::network {
namespace {

// Plugins run iptables, which is in one of these; nothing of our caller's reaches them.
constexpr std::string_view kPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

constexpr std::size_t kMaxPluginId = 200;

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

json::Value port_json(const Port& port) {
  json::Object object;
  object.set("hostPort", static_cast<int>(port.host));
  object.set("containerPort", static_cast<int>(port.container));
  object.set("protocol", protocol_name(port.protocol));
  if (!port.host_ip.empty()) object.set("hostIP", port.host_ip);
  return object;
}

Result<std::string> text_member(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  if (member != nullptr && member->if_string() != nullptr) return *member->if_string();
  return fail(Errc::InvalidJson, "/" + std::string(name) + ": is no string");
}

Result<std::uint16_t> port_member(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  const auto number = member != nullptr ? member->as_u64() : std::nullopt;
  if (!number || *number > UINT16_MAX)
    return fail(Errc::InvalidJson, "/" + std::string(name) + ": is no port");
  return static_cast<std::uint16_t>(*number);
}

Result<Port> parse_port_json(const json::Value& value) {
  Port port;
  NX_TRY(port.host, port_member(value, "hostPort"));
  NX_TRY(port.container, port_member(value, "containerPort"));
  NX_TRY(const std::string protocol, text_member(value, "protocol"));
  port.protocol = protocol == "udp" ? Protocol::udp : Protocol::tcp;
  if (value.find("hostIP") != nullptr) {
    NX_TRY(port.host_ip, text_member(value, "hostIP"));
  }
  return port;
}

/// The part of what is wanted that this plugin says it takes.
json::Object runtime_config(const json::Object& plugin, const json::Object& wanted) {
  json::Object config;
  const json::Value* capabilities = plugin.find("capabilities");
  if (capabilities == nullptr) return config;
  for (const auto& [name, value] : wanted) {
    const json::Value* taken = capabilities->find(name);
    if (taken != nullptr && taken->if_bool() != nullptr && *taken->if_bool())
      config.set(name, value);
  }
  return config;
}

/// prevResult on DEL came with 0.4.0.
bool del_takes_result(std::string_view version) { return version == "0.4.0" || version == "1.0.0"; }

}  // namespace

json::Value to_json(const Attachment& attachment) {
  json::Array ports;
  for (const Port& port : attachment.ports) ports.push_back(port_json(port));
  json::Object object;
  object.set("containerId", attachment.container_id);
  object.set("netns", attachment.netns);
  object.set("pluginDirs", attachment.plugin_dirs);
  // Without plugins: a network that is not CNI's.
  object.set("network", attachment.list.plugins.empty() ? json::Value() : to_json(attachment.list));
  object.set("capabilityArgs", attachment.wanted);
  object.set("args", attachment.args);
  object.set("ports", std::move(ports));
  object.set("result", attachment.result);
  return object;
}

Result<Attachment> parse_attachment(const json::Value& value) {
  Attachment attachment;
  NX_TRY(attachment.container_id, text_member(value, "containerId"));
  NX_TRY(attachment.netns, text_member(value, "netns"));
  NX_TRY(attachment.plugin_dirs, text_member(value, "pluginDirs"));
  NX_TRY(attachment.args, text_member(value, "args"));
  const json::Value* network = value.find("network");
  if (network == nullptr) return fail(Errc::InvalidJson, "/network: is missing");
  if (!network->is_null()) {
    NX_TRY(attachment.list, parse_list(*network));
  }
  const json::Value* wanted = value.find("capabilityArgs");
  const json::Value* ports = value.find("ports");
  if (wanted == nullptr || wanted->if_object() == nullptr || ports == nullptr ||
      ports->if_array() == nullptr)
    return fail(Errc::InvalidJson, "/capabilityArgs or /ports: has another type");
  attachment.wanted = *wanted->if_object();
  for (const json::Value& item : *ports->if_array()) {
    NX_TRY(Port port, parse_port_json(item));
    attachment.ports.push_back(std::move(port));
  }
  if (const json::Value* result = value.find("result")) attachment.result = *result;
  return attachment;
}

std::string plugin_container_id(std::string_view id, std::string_view unique) {
  std::string name(id.substr(0, kMaxPluginId));
  for (char& c : name)
    if (!is_plain(c) && c != '_' && c != '.' && c != '-') c = '_';
  // The first character must be a letter or a digit.
  if (name.empty() || !is_plain(name.front())) name.insert(0, "c");
  return name + "-" + std::string(unique);
}

Result<> set_arguments(Attachment& attachment, const std::string& ip, const std::string& mac) {
  std::string args;
  if (!ip.empty()) {
    if (attachment.list.takes("ips"))
      attachment.wanted.set("ips", json::Array{json::Value(ip)});
    else
      args += ";IP=" + ip;
  }
  if (!mac.empty()) {
    if (attachment.list.takes("mac"))
      attachment.wanted.set("mac", mac);
    else
      args += ";MAC=" + mac;
  }
  // Plugins refuse arguments that they do not know unless they are told not to.
  if (!args.empty()) attachment.args = "IgnoreUnknown=1" + args;
  if (attachment.ports.empty()) return {};
  if (!attachment.list.takes("portMappings"))
    return fail(Error(Errc::Unsupported,
                      "--publish: network " + attachment.list.name + " has no plugin for it")
                    .hint("A plugin such as portmap must declare the capability portMappings."));
  json::Array ports;
  for (const Port& port : attachment.ports) ports.push_back(port_json(port));
  attachment.wanted.set("portMappings", std::move(ports));
  return {};
}

std::vector<std::size_t> plugin_order(const Attachment& attachment, Operation operation) {
  std::vector<std::size_t> order(attachment.list.plugins.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (operation == Operation::del) std::ranges::reverse(order);
  return order;
}

json::Value plugin_input(const Attachment& attachment, std::size_t index, Operation operation,
                         const json::Value& previous) {
  json::Object input = attachment.list.plugins.at(index);
  json::Object runtime = runtime_config(input, attachment.wanted);
  input.erase("capabilities");
  input.erase("prevResult");
  input.set("cniVersion", attachment.list.version);
  input.set("name", attachment.list.name);
  if (!runtime.empty()) input.set("runtimeConfig", std::move(runtime));
  const bool taken = operation == Operation::add || del_takes_result(attachment.list.version);
  if (taken && !previous.is_null()) input.set("prevResult", previous);
  return input;
}

std::vector<std::string> plugin_environment(const Attachment& attachment, Operation operation) {
  std::vector<std::string> environment = {
      std::string(kPath),
      std::string("CNI_COMMAND=") + (operation == Operation::add ? "ADD" : "DEL"),
      "CNI_CONTAINERID=" + attachment.container_id,
      "CNI_NETNS=" + attachment.netns,
      "CNI_IFNAME=" + std::string(kInterface),
      "CNI_PATH=" + attachment.plugin_dirs,
  };
  if (!attachment.args.empty()) environment.push_back("CNI_ARGS=" + attachment.args);
  return environment;
}

std::string plugin_type(const Attachment& attachment, std::size_t index) {
  return attachment.list.plugins.at(index).text("type");
}

}  // namespace nexcage::network
