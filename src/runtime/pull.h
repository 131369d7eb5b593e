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

/// Has LayerFS prepare the layers, as phase 3 does, so that the first container need not wait.
Result<> prepare_layers(const image::Image& image, const image::Store& store, Services& with);

}  // namespace nexcage::runtime
