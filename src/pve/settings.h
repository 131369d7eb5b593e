// A runtime spec as the settings of a Proxmox VE container, and back.
//
// The way back is what makes the way there honest: a spec is accepted only when the settings give
// it again, so what Proxmox VE cannot do is refused by its name and never dropped.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/oci/spec.h"
#include "nexcage/pve/launch.h"
#include "nexcage/pve/version.h"

namespace nexcage::pve {

/// Settings of a guest by name, as the API takes them.
using Params = std::map<std::string, std::string>;

/// Annotations org.nexcage.proxmox.NAME are the setting NAME, word for word.
inline constexpr std::string_view kAnnotation = "org.nexcage.proxmox.";
/// The tag of every guest that nexcage has made.
inline constexpr std::string_view kTag = "nexcage";
/// Further tags of ours begin so: "nexcage-DIGEST".
inline constexpr std::string_view kTagPrefix = "nexcage-";

/// What the template's file /.nexcage/run says: all that a release without `entrypoint` can run.
struct Baked {
  Launch launch{};  // without env
  std::vector<std::string> env{};
};

struct MapTarget {
  Version version{};
  std::string rootfs = "local:4";  // "STORAGE:GIB", or a volume
  std::optional<Baked> baked{};    // where the release has no `entrypoint`
};

/// The settings, and what no setting can hold: an object for the guest's notes.
struct Mapped {
  Params params;
  json::Object rest;
};

/// The spec without what does not concern a guest: the document it was read from, the path of the
/// root, the control group, the id maps that Proxmox VE uses anyway; options of mounts in one
/// order.
oci::Spec normalised(oci::Spec spec);

/// Unsupported naming the field that Proxmox VE has no setting for; InvalidConfig for a value that
/// cannot be in one (control characters; memory that is no whole number of MiB; an id that is no
/// host name).
Result<Mapped> to_settings(const oci::Spec& spec, const MapTarget& target);

/// The normalised spec again, from the settings as they were sent or as `GET config` gives them.
Result<oci::Spec> to_spec(const Params& params, const json::Object& rest);

/// What ends the container's process: annotation org.opencontainers.image.stopSignal, else SIGTERM.
/// InvalidSpec for a signal that there is not.
Result<int> stop_signal(const oci::Spec& spec);

/// NUL between the entries, as the API has variables.
std::string join_env(const std::vector<std::string>& env);
std::vector<std::string> split_env(std::string_view text);

}  // namespace nexcage::pve
