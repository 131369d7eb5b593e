// The image configuration: image-spec config.md.
#include <array>

#include "nexcage/base/text.h"
#include "nexcage/oci/image_fields.h"

namespace nexcage::oci {
namespace {

constexpr std::array<std::string_view, 1> kRootfsTypes = {"layers"};

std::string named(std::string_view text) {
  return text.empty() ? not_empty(text) : printable(text);
}

/// Go's way to write a set: an object whose values are empty objects.
struct Nothing {};

std::vector<std::string> names_of(const std::map<std::string, Nothing>& set) {
  std::vector<std::string> names;
  names.reserve(set.size());
  for (const auto& entry : set) names.push_back(entry.first);
  return names;
}

struct Rootfs {
  std::vector<Digest> diff_ids;
};

}  // namespace

static Result<> read(const Node& node, Nothing&) {
  return node.value().if_object() != nullptr ? Result<>() : node.refuse_type("an object");
}

static Result<> read(const Node& node, Rootfs& out) {
  std::string type;
  Fields fields(node);
  fields.required("type", type, OneOf{kRootfsTypes});
  fields.required("diff_ids", out.diff_ids);
  return std::move(fields).done();
}

static Result<> read(const Node& node, ImageProcess& out) {
  std::map<std::string, Nothing> volumes;
  std::map<std::string, Nothing> ports;
  Fields fields(node);
  fields.optional("User", out.user, printable);
  fields.optional("Env", out.env, env_entry);
  fields.optional("Entrypoint", out.entrypoint);
  fields.optional("Cmd", out.cmd);
  fields.optional("Volumes", volumes, Keys{named});
  fields.optional("WorkingDir", out.working_dir, printable);
  fields.optional("Labels", out.labels);
  fields.optional("StopSignal", out.stop_signal, printable);
  fields.optional("ExposedPorts", ports, Keys{named});
  out.volumes = names_of(volumes);
  out.exposed_ports = names_of(ports);
  return std::move(fields).done();
}

Result<ImageConfig> parse_image_config(const json::Value& value) {
  const Node node(value, "", Errc::InvalidImage);
  ImageConfig out;
  Rootfs rootfs;
  Fields fields(node);
  fields.required("architecture", out.platform.architecture, named);
  fields.required("os", out.platform.os, named);
  fields.optional("variant", out.platform.variant, printable);
  fields.optional("os.version", out.platform.os_version, printable);
  fields.optional("os.features", out.platform.os_features, printable);
  fields.optional("created", out.created, printable);
  fields.optional("config", out.config);
  fields.required("rootfs", rootfs);
  NX_CHECK(std::move(fields).done());
  out.diff_ids = std::move(rootfs.diff_ids);
  out.document = value;
  return out;
}

}  // namespace nexcage::oci
