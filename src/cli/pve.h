// What the verbs of the group `pve` share.
#pragma once

#include "nexcage/backends/proxmox/cluster.h"
#include "nexcage/base/error.h"
#include "nexcage/cli/context.h"

namespace nexcage::cli {

/// The cluster of the configuration. Its settings live in `setup`, which the caller keeps.
Result<backends::proxmox::Cluster> configured_cluster(Context& context,
                                                      backends::ProxmoxSetup& setup);

}  // namespace nexcage::cli
