// `vm` of config.json (config-vm.md).
#include <array>

#include "nexcage/oci/spec_fields.h"

namespace nexcage::oci {
namespace {

constexpr std::array<std::string_view, 6> kFormats = {"", "raw", "qcow2", "vdi", "vmdk", "vhd"};

}  // namespace

static Result<> read(const Node& node, VmHypervisor& out) {
  Fields fields(node);
  fields.required("path", out.path, absolute_path_or_empty);
  fields.optional("parameters", out.parameters);
  return std::move(fields).done();
}

static Result<> read(const Node& node, VmKernel& out) {
  Fields fields(node);
  fields.required("path", out.path, absolute_path);
  fields.optional("parameters", out.parameters, printable);
  fields.optional("initrd", out.initrd, absolute_path_or_empty);
  return std::move(fields).done();
}

static Result<> read(const Node& node, VmImage& out) {
  Fields fields(node);
  fields.required("path", out.path, absolute_path_or_empty);
  fields.optional("format", out.format, OneOf{kFormats});
  if (out.format.empty()) out.format = "raw";
  return std::move(fields).done();
}

static Result<> read(const Node& node, VmHardware& out) {
  Fields fields(node);
  fields.optional("deviceTree", out.device_tree, absolute_path_or_empty);
  fields.optional("vcpus", out.vcpus);
  fields.optional("memory", out.memory);
  return std::move(fields).done();
}

Result<> read(const Node& node, Vm& out) {
  Fields fields(node);
  fields.optional("hypervisor", out.hypervisor);
  fields.required("kernel", out.kernel);
  fields.optional("image", out.image);
  fields.optional("hwConfig", out.hw_config);
  // specs-go spells it in lower case, config-vm.md does not.
  fields.optional("hwconfig", out.hw_config);
  // Go writes these two objects even when nothing is set.
  if (out.hypervisor && out.hypervisor->path.empty()) out.hypervisor.reset();
  if (out.image && out.image->path.empty()) out.image.reset();
  return std::move(fields).done();
}

}  // namespace nexcage::oci
