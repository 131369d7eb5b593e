// Which storage a container gets: decided once, in phase 1, from the spec and the configuration, by
// a pure function that `nexcage storage explain` shows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/oci/spec.h"
#include "nexcage/storage/raw/image.h"

namespace nexcage::storage {

enum class Kind : std::uint8_t {
  bundle,     // the root file system that a bundle brought, as it is
  local,      // beside the container's bundle
  directory,  // {location}/{id}
  zfs,        // dataset {location}/{id}
  zvol,       // volume {location}/{id}, a block device with a file system in it
};
/// "bundle", "local", "directory", "zfs", "zvol".
std::string_view kind_name(Kind kind);
/// InvalidJson for another word.
Result<Kind> parse_kind(const std::string& word);

/// The root file system lies in a file system image.
struct RawChoice {
  raw::FileSystem file_system{};
  std::uint64_t bytes = raw::kDefaultSize;
};

struct Choice {
  Kind kind = Kind::local;
  std::string location;               // directory: absolute path; zfs, zvol: the parent dataset
  std::optional<RawChoice> raw;       // in the storage, as {id}.raw; zvol: always, in the volume
  std::optional<std::uint64_t> size;  // bytes that the root file system may take; raw: of the image
  std::string layerfs;                // driver of the layers, "auto" too; empty: the configured one
  std::vector<std::string> steps;     // what was looked at, in order
};

/// What the configuration says.
struct Defaults {
  std::string storage = "local";  // [storage] default
  std::string zfs_dataset;        // [zfs] dataset; empty: none
  std::string layerfs = "auto";   // [layerfs] driver
};

/// A bundle has a root file system already: only what it asks for itself counts, not the
/// configured default.
enum class Form : std::uint8_t { bundle, image };

/// Annotation `proxmox.storage`, then a mount on "/" whose source begins "zfs:" or "dir:", then
/// `defaults.storage`, then local. The words: "local", "dir:/path", "zfs" (the configured dataset),
/// "zfs:DATASET" (it, or one below it), "zvol" and "zvol:DATASET" (a volume there), "raw" (local,
/// in an image). An image file is asked for by the annotations `org.nexcage.raw` (true, false,
/// ext4, xfs) and `org.nexcage.raw.size`, or by the older members `raw_image` and `raw_image_size`
/// of config.json; a limit by `org.nexcage.storage.size`. ConfigError naming who asked for what
/// cannot be, Unsupported for a limit on a plain directory: never a silent fallback.
Result<Choice> select(const oci::Spec& spec, const Defaults& defaults, Form form);

/// True for a mount that names the root's storage instead of being mounted.
bool is_root_mount(const oci::Mount& mount);

/// The choice as one value, and back: for the half of a creation that another process does.
json::Value to_json(const Choice& choice);
/// InvalidJson naming the member.
Result<Choice> choice_from_json(const json::Value& value);

inline constexpr const char* kStorageAnnotation = "proxmox.storage";
inline constexpr const char* kSizeAnnotation = "org.nexcage.storage.size";
inline constexpr const char* kRawAnnotation = "org.nexcage.raw";
inline constexpr const char* kRawSizeAnnotation = "org.nexcage.raw.size";
inline constexpr const char* kLayerfsAnnotation = "org.nexcage.layerfs";
inline constexpr const char* kTmpfsAnnotation =
    "org.nexcage.tmpfs-upper";  // bytes; 0: kernel's default

}  // namespace nexcage::storage
