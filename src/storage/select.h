// Which storage a container gets: decided once, from the spec and the configuration, by a pure
// function.
#pragma once

#include <cstdint>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/oci/spec.h"

namespace nexcage::storage {

enum class Kind : std::uint8_t {
  local,      // directories beside the bundle
  directory,  // directories below a given path
};

/// Who decided, for `--debug` and messages.
enum class Origin : std::uint8_t { annotation, root_mount, configuration };

struct Choice {
  Kind kind = Kind::local;
  std::string location;  // directory: absolute path; else empty
  Origin origin = Origin::configuration;
};

/// Annotation `proxmox.storage`, then a mount on "/" whose source begins "zfs:" or "dir:", then
/// `configured`, then local. The words: "local", "dir:/path". ConfigError naming the origin for a
/// storage that this build cannot provide ("zfs:...", "raw", a Proxmox VE storage) or a bad word:
/// never a silent fallback.
Result<Choice> select(const oci::Spec& spec, const std::string& configured);

/// True for a mount that names the root's storage instead of being mounted.
bool is_root_mount(const oci::Mount& mount);

}  // namespace nexcage::storage
