#include "nexcage/backends/oci_runtime/features.h"

#include <chrono>

#include "nexcage/backends/oci_runtime/binary.h"
#include "nexcage/backends/seccomp.h"
#include "nexcage/sys/caps.h"
#include "nexcage/sys/process.h"

namespace nexcage::backends::oci_runtime {
namespace {

constexpr std::chrono::seconds kPatience(10);

std::vector<std::string> words_of(const json::Value* list) {
  std::vector<std::string> words;
  const json::Array* array = list == nullptr ? nullptr : list->if_array();
  if (array == nullptr) return words;
  for (const json::Value& item : *array)
    if (const std::string* word = item.if_string()) words.push_back(*word);
  return words;
}

bool is_true(const json::Value* value) {
  return value != nullptr && value->if_bool() != nullptr && *value->if_bool();
}

/// crun.1: what every version from 1.0 on takes.
Features described() {
  Features out;
  for (HookPoint point :
       {HookPoint::prestart, HookPoint::create_runtime, HookPoint::create_container,
        HookPoint::start_container, HookPoint::poststart, HookPoint::poststop})
    out.hooks.emplace_back(hook_point_name(point));
  for (auto type : {oci::NamespaceType::cgroup, oci::NamespaceType::ipc, oci::NamespaceType::mount,
                    oci::NamespaceType::network, oci::NamespaceType::pid, oci::NamespaceType::user,
                    oci::NamespaceType::uts})
    out.namespaces.emplace_back(oci::namespace_name(type));
  out.mount_options = {
      "async",      "atime",         "bind",    "defaults", "dev",         "diratime",  "dirsync",
      "exec",       "mand",          "noatime", "nodev",    "nodiratime",  "noexec",    "nomand",
      "norelatime", "nostrictatime", "nosuid",  "private",  "rbind",       "relatime",  "remount",
      "ro",         "rprivate",      "rshared", "rslave",   "runbindable", "rw",        "shared",
      "slave",      "strictatime",   "suid",    "sync",     "tmpcopyup",   "unbindable"};
  for (int number = 0; number < sys::capability_count(); ++number)
    out.capabilities.emplace_back(sys::capability_name(number));
  out.seccomp_actions = seccomp_actions();
  out.seccomp_archs = seccomp_architectures();
  return out;
}

/// The output of a command of the program, empty when it fails.
std::string ask(const std::string& program, const char* word) {
  sys::Command command;
  command.argv = {program, word};
  command.inherit_env = true;
  auto output = sys::run(command, "", kPatience);
  return output && output->status == 0 ? std::move(output->out) : std::string();
}

}  // namespace

bool built_with_systemd(std::string_view version) {
  return version.find("+SYSTEMD") != std::string_view::npos;
}

Features parse_features(std::string_view text) {
  Features out;
  auto document = json::parse(text);
  if (!document) return out;
  out.hooks = words_of(document->find("hooks"));
  out.mount_options = words_of(document->find("mountOptions"));
  if (const json::Value* section = document->find("linux")) {
    out.namespaces = words_of(section->find("namespaces"));
    out.capabilities = words_of(section->find("capabilities"));
    if (const json::Value* seccomp = section->find("seccomp")) {
      out.seccomp_actions = words_of(seccomp->find("actions"));
      out.seccomp_archs = words_of(seccomp->find("archs"));
    }
    if (const json::Value* cgroup = section->find("cgroup")) {
      out.systemd_cgroup = is_true(cgroup->find("systemd"));
      out.systemd_user_cgroup = is_true(cgroup->find("systemdUser"));
    }
  }
  return out;
}

Features read_features(const Dialect& dialect, const std::string& program) {
  Features out = parse_features(ask(program, "features"));
  if (out.namespaces.empty()) {
    out = described();
    out.systemd_cgroup = out.systemd_user_cgroup = built_with_systemd(ask(program, "--version"));
  }
  out.pause = out.exec = out.terminal = out.update = true;
  out.checkpoint = check_checkpoint(dialect, program).has_value();
  return out;
}

}  // namespace nexcage::backends::oci_runtime
