// `linux` of config.json, without resources and seccomp.
#include <array>

#include "nexcage/base/text.h"
#include "nexcage/oci/spec_fields.h"

namespace nexcage::oci {
namespace {

using Word = std::string_view;

/// In the order of NamespaceType.
constexpr std::array<Word, 8> kNamespaces = {"pid", "network", "mount",  "ipc",
                                             "uts", "user",    "cgroup", "time"};
constexpr std::array<Word, 4> kDeviceTypes = {"c", "b", "u", "p"};
constexpr std::array<Word, 9> kPropagations = {
    "", "shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"};
constexpr std::array<Word, 7> kPolicyModes = {
    "MPOL_DEFAULT",   "MPOL_BIND",           "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE",
    "MPOL_PREFERRED", "MPOL_PREFERRED_MANY", "MPOL_LOCAL"};
constexpr std::array<Word, 3> kPolicyFlags = {"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES",
                                              "MPOL_F_STATIC_NODES"};
constexpr std::array<Word, 2> kDomains = {"LINUX", "LINUX32"};
constexpr std::array<Word, 2> kClocks = {"monotonic", "boottime"};
constexpr std::size_t kInterfaceMax = 15;  // IFNAMSIZ without its NUL

/// "net.ipv4.ip_forward" or with slashes; never a way out of /proc/sys.
std::string sysctl_name(std::string_view text) {
  const auto separator = [](char c) { return c == '.' || c == '/'; };
  if (text.empty()) return "must not be empty";
  const bool gap = text.find("..") != Word::npos || text.find("//") != Word::npos ||
                   text.find("./") != Word::npos || text.find("/.") != Word::npos;
  if (gap || separator(text.front()) || separator(text.back()))
    return "must be a sysctl such as net.ipv4.ip_forward, is " + quote(text);
  return printable(text);
}

/// Relative, absolute or systemd's slice:prefix:name; never upwards.
std::string cgroups_path(std::string_view text) {
  for (const std::string& component : split(text, '/'))
    if (component == "..") return "must not hold '..', is " + quote(text);
  return printable(text);
}

std::string clos_id(std::string_view text) {
  const bool names_directory = text == "/" || text.find('/') == Word::npos;
  if (!names_directory || text == "." || text == "..")
    return "must be a directory's name or '/', is " + quote(text);
  return printable(text);
}

std::string bandwidth_schema(std::string_view text) {
  if (!text.empty() && !text.starts_with("MB:")) return "must begin with MB:, is " + quote(text);
  return printable(text);
}

}  // namespace

std::string interface_name(std::string_view text) {
  bool good = !text.empty() && text.size() <= kInterfaceMax && text != "." && text != "..";
  for (char c : text) good = good && c > ' ' && c != '/' && c != ':' && c != 0x7f;
  return good ? "" : "must be an interface's name, is " + quote(text);
}

std::string_view namespace_name(NamespaceType type) {
  return kNamespaces.at(static_cast<std::size_t>(type));
}

const Namespace* Linux::find(NamespaceType type) const {
  for (const Namespace& entry : namespaces)
    if (entry.type == type) return &entry;
  return nullptr;
}

Result<> read(const Node& node, IdMapping& out) {
  Fields fields(node);
  fields.required("containerID", out.container_id, kId);
  fields.required("hostID", out.host_id, kId);
  fields.required("size", out.size, Range{1, kId.most + 1});
  // The last id of a range must be an id too: (uid_t)-1 cannot be mapped (user_namespaces(7)).
  const std::uint64_t start = std::max(out.container_id, out.host_id);
  if (start + out.size > kId.most + 1) fields.refuse("size", "the range ends above 4294967294");
  return std::move(fields).done();
}

static Result<> read(const Node& node, Namespace& out) {
  std::string type;
  Fields fields(node);
  fields.required("type", type, OneOf{kNamespaces});
  fields.optional("path", out.path, absolute_path_or_empty);
  for (std::size_t i = 0; i < kNamespaces.size(); ++i)
    if (kNamespaces[i] == type) out.type = static_cast<NamespaceType>(i);
  return std::move(fields).done();
}

static Result<> read(const Node& node, Device& out) {
  // Engines copy st_mode; the type's bits say nothing that `type` does not.
  constexpr Range kMode{0, 0177777};
  std::string type;
  Fields fields(node);
  fields.required("path", out.path, absolute_path);
  fields.required("type", type, OneOf{kDeviceTypes});
  if (!type.empty()) out.type = type[0];
  if (out.type == 'p') {
    fields.optional("major", out.major);
    fields.optional("minor", out.minor);
  } else {
    fields.required("major", out.major, kMajor);
    fields.required("minor", out.minor, kMinor);
  }
  fields.optional("fileMode", out.file_mode, kMode);
  if (out.file_mode) *out.file_mode &= 07777;
  fields.optional("uid", out.uid, kId);
  fields.optional("gid", out.gid, kId);
  return std::move(fields).done();
}

static Result<> read(const Node& node, IntelRdt& out) {
  Fields fields(node);
  fields.optional("closID", out.clos_id, clos_id);
  fields.optional("l3CacheSchema", out.l3_cache_schema, printable);
  fields.optional("memBwSchema", out.mem_bw_schema, bandwidth_schema);
  fields.optional("schemata", out.schemata, printable);
  fields.optional("enableMonitoring", out.enable_monitoring);
  return std::move(fields).done();
}

static Result<> read(const Node& node, MemoryPolicy& out) {
  Fields fields(node);
  fields.required("mode", out.mode, OneOf{kPolicyModes});
  fields.optional("nodes", out.nodes, cpu_list);
  fields.optional("flags", out.flags, OneOf{kPolicyFlags});
  return std::move(fields).done();
}

static Result<> read(const Node& node, Personality& out) {
  Fields fields(node);
  fields.required("domain", out.domain, OneOf{kDomains});
  fields.optional("flags", out.flags, printable);
  return std::move(fields).done();
}

static Result<> read(const Node& node, TimeOffset& out) {
  Fields fields(node);
  fields.optional("secs", out.secs);
  fields.optional("nanosecs", out.nanosecs, Range{0, 999'999'999});
  return std::move(fields).done();
}

namespace {

/// The values of `netDevices`: objects with one optional name.
struct NetDevice {
  std::string name;
};

}  // namespace

static Result<> read(const Node& node, NetDevice& out) {
  Fields fields(node);
  fields.optional("name", out.name);
  if (!out.name.empty())
    if (std::string complaint = interface_name(out.name); !complaint.empty())
      fields.refuse("name", std::move(complaint));
  return std::move(fields).done();
}

static Result<> check_namespaces(const Node& node, const Linux& section) {
  std::array<bool, kNamespaces.size()> seen{};
  const Node namespaces = node.child("namespaces", node.value());
  for (std::size_t i = 0; i < section.namespaces.size(); ++i) {
    bool& present = seen.at(static_cast<std::size_t>(section.namespaces[i].type));
    if (present)
      return namespaces.child(i, node.value())
          .refuse("a second namespace of type " +
                  std::string(namespace_name(section.namespaces[i].type)));
    present = true;
  }
  return {};
}

Result<> read(const Node& node, Linux& out) {
  std::map<std::string, NetDevice> net_devices;
  Fields fields(node);
  fields.optional("uidMappings", out.uid_mappings);
  fields.optional("gidMappings", out.gid_mappings);
  fields.optional("sysctl", out.sysctl, Keys{sysctl_name});
  fields.optional("resources", out.resources);
  fields.optional("cgroupsPath", out.cgroups_path, cgroups_path);
  fields.optional("namespaces", out.namespaces);
  fields.optional("devices", out.devices);
  fields.optional("netDevices", net_devices, Keys{interface_name});
  fields.optional("seccomp", out.seccomp);
  fields.optional("rootfsPropagation", out.rootfs_propagation, OneOf{kPropagations});
  fields.optional("maskedPaths", out.masked_paths, absolute_path);
  fields.optional("readonlyPaths", out.readonly_paths, absolute_path);
  fields.optional("mountLabel", out.mount_label, printable);
  fields.optional("intelRdt", out.intel_rdt);
  fields.optional("memoryPolicy", out.memory_policy);
  fields.optional("personality", out.personality);
  fields.optional("timeOffsets", out.time_offsets, Keys{OneOf{kClocks}});
  for (auto& [host, device] : net_devices) out.net_devices[host] = std::move(device.name);
  if (fields.good()) fields.check(check_namespaces(node, out));
  return std::move(fields).done();
}

}  // namespace nexcage::oci
