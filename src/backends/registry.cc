// The table of backends. A new one is a folder and a line here.
#include <algorithm>
#include <array>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/lxc/backend.h"
#include "nexcage/backends/oci_runtime/backend.h"
#include "nexcage/backends/proxmox/backend.h"
#include "nexcage/backends/vm/backend.h"
#include "nexcage/base/text.h"

namespace nexcage::backends {
namespace {

using Make = std::unique_ptr<Backend> (*)(const Setup&);

struct Entry {
  std::string_view name;
  Make make;
};

constexpr std::array<Entry, 6> kBackends = {{
    {"lxc", &lxc::make_backend},
    {"crun", &oci_runtime::make_crun},
    {"runc", &oci_runtime::make_runc},
    {"vm", &vm::make_backend},
    {"proxmox-lxc", &proxmox::make_lxc},
    {"proxmox-vm", &proxmox::make_vm},
}};

}  // namespace

std::string_view hook_point_name(HookPoint point) {
  constexpr std::array<std::string_view, 6> kNames = {
      "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"};
  return kNames.at(static_cast<std::size_t>(point));
}

Result<std::unique_ptr<Backend>> open(std::string_view name, const Setup& setup) {
  const auto* entry = std::ranges::find(kBackends, name, &Entry::name);
  if (entry == kBackends.end()) {
    Error error(Errc::ConfigError, "unknown backend " + quote(name));
    if (auto near = closest(name, backend_names()))
      return fail(std::move(error).hint("did you mean " + *near + "?"));
    return fail(std::move(error).hint("one of: " + join(backend_names(), ", ")));
  }
  return entry->make(setup);
}

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  names.reserve(kBackends.size());
  for (const Entry& entry : kBackends) names.emplace_back(entry.name);
  return names;
}

}  // namespace nexcage::backends
