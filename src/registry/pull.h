// Pulling an image into the store, as the front binary does it: plan, have the confined helper
// fetch (libexec/nexcage/image pull), commit what it verified. docs/adr/0014.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/image/helper.h"
#include "nexcage/image/store.h"
#include "nexcage/oci/image.h"
#include "nexcage/oci/reference.h"
#include "nexcage/registry/files.h"

namespace nexcage::registry {

/// How hard the helper tries; zero: its own default.
struct TransferSettings {
  int parallel_layers = 0;
  int connections_per_layer = 0;
  int retries = -1;       // below zero: the default
  int stall_seconds = 0;  // a connection that brings nothing for so long is given up
};

/// Where the store and the helper are.
struct TransferPlace {
  std::string images;   // root of the store
  std::string libexec;  // directory of the helpers
  TransferSettings settings;
  /// Where a pull leaves the layers that it inflated to check them (image/inflated.h); empty:
  /// nowhere. The directory exists; one that cannot be written to is no error.
  std::string tars{};
};

/// Told what happens, for whoever shows it. Each may be empty.
struct TransferWatch {
  std::function<void(const std::string& line)> say;  // "Trying to pull ..."
  image::OnEvent on_event;                           // parse_pull_event() reads it
  std::function<void()> on_tick;                     // now and then, also when nothing happens
};

struct PullOptions {
  Choices choices;
  std::optional<oci::Platform> platform;  // nullopt: this machine's
};

struct Pulled {
  oci::Reference name;     // that the image has in the store now
  oci::Digest digest;      // what the registry has under it: of a manifest or an index
  bool unchanged = false;  // the store had it already
  std::uint64_t wire_bytes = 0;
  std::string endpoint;  // URL it came from
};

/// Pulls what a user wrote (short names as registries.conf has them) and gives it its name in the
/// store, all or nothing; what was fetched before a failure is gone on from by the next pull. An
/// image that the store has as the registry has it costs one HEAD request. Errors as those of the
/// plan (plan.h) and of the helper: ImageNotFound, PermissionDenied, RegistryError, Timeout,
/// InvalidImage; with several candidates the last one's, the others beside it.
Result<Pulled> pull_image(std::string_view what, const PullOptions& options,
                          const TransferPlace& place, const TransferWatch& watch);

/// The name under which the store has what a user wrote, when aliases and search registries of
/// registries.conf are what leads to it; nullopt when it has none.
Result<std::optional<oci::Reference>> find_local_name(std::string_view what,
                                                      const image::Store& store);

/// "linux/arm64[/v8]". InvalidSpec otherwise.
Result<oci::Platform> parse_platform(std::string_view text);

/// The request's member "settings".
json::Value to_json(const TransferSettings& settings);

}  // namespace nexcage::registry
