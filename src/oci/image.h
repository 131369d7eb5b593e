// Image documents of the OCI image spec 1.1 and Docker's schema 2, as values. Parse and check only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/oci/digest.h"

namespace nexcage::oci {

namespace media {
inline constexpr std::string_view kIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kLayerTar = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view kDockerLayerGzip =
    "application/vnd.docker.image.rootfs.diff.tar.gzip";
}  // namespace media

enum class Compression : std::uint8_t { none, gzip, zstd };
/// Compression that a layer's media type names; nullopt when it is no layer type known to us.
/// Non-distributable OCI and Docker "foreign" layers count as their distributable kin.
std::optional<Compression> layer_compression(std::string_view media_type);

using Annotations = std::map<std::string, std::string>;

struct Platform {
  std::string architecture;
  std::string os;
  std::string variant;
  std::string os_version;
  std::vector<std::string> os_features;
};

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0;  // bytes
  std::optional<Platform> platform;
  Annotations annotations;
  std::string artifact_type;
  json::Value document;  // as it came, unknown fields included
};

struct Manifest {
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;  // lowest first
  Annotations annotations;
  std::optional<Descriptor> subject;
};

struct Index {
  std::string media_type;
  std::vector<Descriptor> manifests;
  Annotations annotations;
  json::Value document;  // unknown fields are kept when the index is written again
};

/// What the image says of the process to run ("config" of the image config).
struct ImageProcess {
  std::string user;
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::vector<std::string> volumes;
  std::string working_dir;
  std::map<std::string, std::string> labels;
  std::string stop_signal;
  std::vector<std::string> exposed_ports;
};

struct ImageConfig {
  Platform platform;
  std::string created;
  ImageProcess config;
  std::vector<Digest> diff_ids;  // lowest first
  json::Value document;          // as it came: history and unknown fields are kept
};

/// All of these: InvalidImage, message with the JSON pointer of the offence ("/layers/2/digest").
/// A document with both `manifests` and `layers`, or whose mediaType disagrees with its content,
/// is refused (CVE-2021-41190).
Result<Descriptor> parse_descriptor(const json::Value& value, std::string_view pointer = "");
Result<Manifest> parse_manifest(const json::Value& value);
Result<Index> parse_index(const json::Value& value);
Result<ImageConfig> parse_image_config(const json::Value& value);
json::Value to_json(const Descriptor& descriptor);
json::Value to_json(const Index& index);

/// The entry for this platform: exact os and architecture, best variant; entries of attestations
/// (platform unknown/unknown) are skipped. nullptr when none fits.
const Descriptor* choose_platform(const Index& index, const Platform& wanted);
/// "linux/arm64/v8", for people.
std::string platform_text(const Platform& platform);
/// The platforms of an index, attestations left out: "linux/amd64, linux/arm64/v8"; at most ten.
std::string platform_list(const Index& index);
/// The platform of this machine, in the spec's (Go's) names: linux/amd64, linux/arm64/v8 ...
Platform host_platform();

/// Chain ID of the first n layers (image-spec, config.md "Layer ChainID") needs hashing and lives
/// in image/digest.h.

}  // namespace nexcage::oci
