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
                                  const image::Store& store, const storage::Choice& storage,
                                  Services& with);

/// The helper's place and settings.
registry::TransferPlace transfer_place(const Settings& settings);

/// registry::pull_image(), and the layers prepared for the first container; LayerFS takes them as
/// they were inflated to be checked, where the driver of the storage can.
/// Layers of another machine's image are of no use here and stay as they came.
Result<registry::Pulled> pull_ready(const std::string& what, const registry::PullOptions& options,
                                    const registry::TransferWatch& watch, const Services& with,
                                    const storage::Choice& storage);

/// The storage of a container that asks for nothing: for images that are made ready before there is
/// one. Errors of storage::select.
Result<storage::Choice> default_storage(const Settings& settings);
/// The part of the settings that a choice of storage depends on.
storage::Defaults storage_defaults(const Settings& settings);

}  // namespace nexcage::runtime
