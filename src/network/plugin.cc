#include "nexcage/network/plugin.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "nexcage/base/text.h"
#include "nexcage/network/result.h"
#include "nexcage/sys/process.h"

namespace nexcage::network {
namespace {

constexpr std::chrono::seconds kPatience{60};
constexpr std::size_t kMaxAnswer = 1U << 20;
constexpr std::string_view kPackage =
    "Install the package containernetworking-plugins (or set [network] cni_plugin_dir), or give "
    "--network none.";
constexpr std::array<std::string_view, 3> kUseIptables = {"bridge", "portmap", "firewall"};
constexpr std::array<const char*, 4> kSystemDirs = {"/usr/sbin", "/sbin", "/usr/local/sbin",
                                                    "/usr/bin"};

bool has_iptables() {
  return std::ranges::any_of(kSystemDirs, [](const char* dir) {
    return ::access((std::string(dir) + "/iptables").c_str(), X_OK) == 0;
  });
}

bool masquerades(const json::Object& plugin) {
  const json::Value* value = plugin.find("ipMasq");
  return value != nullptr && value->if_bool() != nullptr && *value->if_bool();
}

/// A bridge alone needs no packet filter.
bool needs_iptables(const NetworkList& list, const json::Object& plugin, const std::string& type) {
  if (std::ranges::find(kUseIptables, type) == kUseIptables.end()) return false;
  if (type == "bridge") return masquerades(plugin);
  if (type == "firewall") return plugin.text("backend") != "firewalld";
  return list.takes("portMappings");
}

Result<sys::Output> run(const Attachment& attachment, std::size_t index, Operation operation,
                        const json::Value& previous) {
  const std::string type = plugin_type(attachment, index);
  sys::Command command;
  NX_TRY(command.program, find_plugin(attachment.plugin_dirs, type));
  command.argv = {command.program};
  command.env = plugin_environment(attachment, operation);
  command.cwd = "/";
  command.die_with_parent = true;  // whoever finishes our work must not meet one still at it
  const std::string input = json::dump(plugin_input(attachment, index, operation, previous));
  NX_TRY(sys::Output output, sys::run(command, input, kPatience, kMaxAnswer));
  const int code = sys::exit_code(output.status);
  if (code == 0) return output;
  Error error = plugin_error(code, output.out, output.err);
  if (error.message().find("iptables") != std::string::npos && !has_iptables())
    return fail(std::move(error).hint("Install the package iptables."));
  return fail(std::move(error));
}

std::string context(const Attachment& attachment, std::size_t index) {
  return "network " + attachment.list.name + ": plugin " + plugin_type(attachment, index);
}

}  // namespace

Result<std::string> find_plugin(const std::string& dirs, const std::string& type) {
  for (const std::string& dir : split(dirs, ':')) {
    std::string path = dir + "/" + type;
    if (dir.starts_with('/') && ::access(path.c_str(), X_OK) == 0) return path;
  }
  Error error(Errc::RuntimeNotAvailable, "CNI plugin " + quote(type) + " is not in " + dirs);
  return fail(std::move(error).hint(std::string(kPackage)));
}

Result<> check_programs(const NetworkList& list, const std::string& dirs) {
  bool iptables = false;
  for (const json::Object& plugin : list.plugins) {
    const std::string name = plugin.text("type");
    NX_CHECK(find_plugin(dirs, name), "network " + list.name);
    const json::Value* addresses = plugin.find("ipam");
    const std::string ipam = addresses != nullptr ? addresses->text("type") : "";
    if (!ipam.empty()) NX_CHECK(find_plugin(dirs, ipam), "network " + list.name);
    iptables = iptables || needs_iptables(list, plugin, name);
  }
  if (!iptables || has_iptables()) return {};
  return fail(Error(Errc::RuntimeNotAvailable,
                    "network " + list.name + " needs iptables, which is not installed")
                  .hint("Install the package iptables, or give --network none."));
}

Result<json::Value> add_with(const Attachment& attachment, std::size_t index,
                             const json::Value& previous) {
  NX_TRY(const sys::Output output, run(attachment, index, Operation::add, previous),
         context(attachment, index));
  if (output.truncated)
    return fail(Errc::InvalidJson, context(attachment, index) + ": its answer is too long");
  NX_TRY(json::Value answer, parse_answer(output.out), context(attachment, index));
  return answer;
}

Result<> delete_with(const Attachment& attachment, std::size_t index) {
  NX_CHECK(run(attachment, index, Operation::del, attachment.result), context(attachment, index));
  return {};
}

}  // namespace nexcage::network
