// What a network means for the runtime spec of a container made from an image. Pure.
#pragma once

#include <string>

#include "nexcage/network/network.h"
#include "nexcage/oci/spec.h"
#include "nexcage/runtime/settings.h"

namespace nexcage::runtime {

network::Config network_config(const Settings& settings);

/// Sets the network namespace, so that every backend honours it, and mounts {bundle}/hosts,
/// hostname and resolv.conf over their places in /etc, except where a mount of the user's is.
void apply_network(oci::Spec& spec, const network::Wanted& wanted, const std::string& bundle,
                   const std::string& network_dir);

}  // namespace nexcage::runtime
