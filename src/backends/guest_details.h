// What Backend::details() tells of a guest.
#pragma once

#include <string_view>

namespace nexcage::backends {

/// Its number in the cluster, and the node that has it.
inline constexpr std::string_view kVmidDetail = "org.nexcage.guest.vmid";
inline constexpr std::string_view kNodeDetail = "org.nexcage.guest.node";

}  // namespace nexcage::backends
