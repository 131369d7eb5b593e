#include "nexcage/cli/pve.h"

#include "nexcage/backends/proxmox/backend.h"

namespace nexcage::cli {

Result<backends::proxmox::Cluster> configured_cluster(Context& context,
                                                      backends::ProxmoxSetup& setup) {
  NX_TRY(const Configuration* configuration, context.configuration());
  setup = configuration->settings().proxmox;
  if (setup.work.empty()) setup.work = configuration->settings().containers + "/@work";
  return backends::proxmox::open_cluster(configuration->settings().libexec, setup);
}

}  // namespace nexcage::cli
