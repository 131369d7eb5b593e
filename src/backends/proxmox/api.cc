#include "nexcage/backends/proxmox/api.h"

#include <fcntl.h>
#include <unistd.h>

#include "nexcage/sys/fs.h"

namespace nexcage::backends::proxmox {

namespace {

/// There only on a node whose cluster file system runs.
constexpr const char* kLocalNode = "/etc/pve/local";

}  // namespace

Result<> Api::run(const std::string& method, const std::string& path, const pve::Params& params) {
  NX_TRY(const json::Value data, call(method, path, params));
  const std::string upid = data.text();
  if (!upid.starts_with("UPID:")) return {};
  return wait(upid);
}

Result<std::unique_ptr<Api>> open_api(const std::string& libexec, const ProxmoxSetup& setup) {
  if (!setup.hosts.empty()) return helper_api(libexec, setup);
  NX_TRY(const bool is_node, sys::exists(AT_FDCWD, kLocalNode));
  if (is_node && ::geteuid() == 0) {
    // A link to nodes/NAME, whatever the machine's own name is.
    NX_TRY(const std::string target, sys::read_link(AT_FDCWD, kLocalNode));
    return local_api(target.substr(target.rfind('/') + 1));
  }
  return fail(Error(Errc::ConfigError,
                    "no host of Proxmox VE is configured, and this machine is no node of a cluster")
                  .hint("set proxmox.hosts and proxmox.token_file in the configuration"));
}

}  // namespace nexcage::backends::proxmox
