#include "nexcage/backends/proxmox/api.h"

namespace nexcage::backends::proxmox {

Result<> Api::run(const std::string& method, const std::string& path, const pve::Params& params) {
  NX_TRY(const json::Value data, call(method, path, params));
  const std::string upid = data.text();
  if (!upid.starts_with("UPID:")) return {};
  return wait(upid);
}

}  // namespace nexcage::backends::proxmox
