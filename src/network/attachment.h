// One container at one network: everything that ADD and DEL need, and what their plugins are told
// (CNI spec 1.0.0, sections 2 and 3). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/network/conflist.h"
#include "nexcage/network/options.h"

namespace nexcage::network {

inline constexpr std::string_view kInterface = "eth0";  // in the container

/// Kept on disk from before the first ADD to the end of the last DEL.
struct Attachment {
  std::string container_id;  // as the plugins know it: unique on this host, of CNI's characters
  std::string netns;         // path
  std::string plugin_dirs;   // separated by ':', as CNI_PATH
  NetworkList list;          // without plugins: the network `user`
  json::Object wanted;       // capability arguments: portMappings, ips, mac
  std::string args;          // CNI_ARGS
  std::vector<Port> ports;   // with the ports of the host that were chosen
  json::Value result;        // of the last plugin's ADD; null before
};
json::Value to_json(const Attachment& attachment);
/// InvalidJson for a document that `to_json` did not make.
Result<Attachment> parse_attachment(const json::Value& value);

/// A container id in CNI's characters with `unique` behind it, so that containers of the same name
/// below different roots do not meet.
std::string plugin_container_id(std::string_view id, std::string_view unique);

/// What the user asked for, in the form in which the network takes it: as capability arguments
/// where a plugin says that it takes them, else as CNI_ARGS. Unsupported for published ports in a
/// network without a plugin for them.
Result<> set_arguments(Attachment& attachment, const std::string& ip, const std::string& mac);

enum class Operation : std::uint8_t { add, del };

/// The indices of the list's plugins in the order in which the operation calls them.
std::vector<std::size_t> plugin_order(const Attachment& attachment, Operation operation);

/// What one plugin reads on its standard input: its own configuration with cniVersion, name,
/// runtimeConfig and prevResult. DEL carries the result of ADD from version 0.4.0 on.
json::Value plugin_input(const Attachment& attachment, std::size_t index, Operation operation,
                         const json::Value& previous);
/// The whole environment of a plugin.
std::vector<std::string> plugin_environment(const Attachment& attachment, Operation operation);
std::string plugin_type(const Attachment& attachment, std::size_t index);

}  // namespace nexcage::network
