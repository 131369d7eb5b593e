// --volume and --mount as Podman reads them: pure text to OCI mounts.
#pragma once

#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/oci/spec.h"

namespace nexcage::cli {

/// "HOST:CONTAINER[:OPTION,...]". A relative HOST ("./data") is taken from `here`. Named and
/// anonymous volumes and options that need a relabelling or an overlay are Unsupported.
Result<oci::Mount> parse_volume(std::string_view text, const std::string& here);

/// "type=bind|tmpfs,src=...,dst=...,ro,...". Podman's other types are Unsupported.
Result<oci::Mount> parse_mount(std::string_view text, const std::string& here);

}  // namespace nexcage::cli
