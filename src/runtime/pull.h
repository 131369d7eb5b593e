// Where the image of a container comes from: the store, or a registry.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/runtime/request.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::runtime {

/// Podman's words: "missing", "always", "newer", "never". InvalidSpec for another one.
Result<PullPolicy> parse_pull_policy(std::string_view word);

/// The image, pulled first where the policy says so. With `newer` an image that is there is used
/// when the registry cannot be asked. ImageNotFound, and what a pull fails with.
Result<image::Image> find_or_pull(const std::string& what, PullPolicy policy,
                                  const image::Store& store, Services& with);

/// The helper's place and settings.
registry::TransferPlace transfer_place(const Settings& settings);

/// registry::pull_image(), and the layers prepared for the first container; LayerFS takes them as
/// they were inflated to be checked, where its driver can (`layerfs`: Services::open_layerfs).
/// Layers of another machine's image are of no use here and stay as they came.
Result<registry::Pulled> pull_ready(const std::string& what, const registry::PullOptions& options,
                                    const registry::TransferWatch& watch, const Services& with,
                                    const std::string& layerfs = {});

}  // namespace nexcage::runtime
