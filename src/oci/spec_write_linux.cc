// `linux` of the spec as JSON. Members in the order of specs-go.
#include "nexcage/oci/spec_fields.h"
#include "nexcage/oci/spec_out.h"

namespace nexcage::oci {

json::Value write(const IdMapping& value) {
  Out out;
  out.always("containerID", value.container_id);
  out.always("hostID", value.host_id);
  out.always("size", value.size);
  return std::move(out).take();
}

static json::Value write(const Namespace& value) {
  Out out;
  out.always("type", std::string(namespace_name(value.type)));
  out.some("path", value.path);
  return std::move(out).take();
}

static json::Value write(const Device& value) {
  Out out;
  out.always("path", value.path);
  out.always("type", std::string(1, value.type));
  out.always("major", value.major);
  out.always("minor", value.minor);
  out.some("fileMode", value.file_mode);
  out.some("uid", value.uid);
  out.some("gid", value.gid);
  return std::move(out).take();
}

static json::Value write(const IntelRdt& value) {
  Out out;
  out.some("closID", value.clos_id);
  out.some("schemata", value.schemata);
  out.some("l3CacheSchema", value.l3_cache_schema);
  out.some("memBwSchema", value.mem_bw_schema);
  out.some("enableMonitoring", value.enable_monitoring);
  return std::move(out).take();
}

static json::Value write(const MemoryPolicy& value) {
  Out out;
  out.always("mode", value.mode);
  out.some("nodes", value.nodes);
  out.some("flags", value.flags);
  return std::move(out).take();
}

static json::Value write(const Personality& value) {
  Out out;
  out.always("domain", value.domain);
  out.some("flags", value.flags);
  return std::move(out).take();
}

static json::Value write(const TimeOffset& value) {
  Out out;
  out.some("secs", value.secs);
  out.some("nanosecs", value.nanosecs);
  return std::move(out).take();
}

static json::Value write(const SeccompArg& value) {
  Out out;
  out.always("index", value.index);
  out.always("value", value.value);
  out.some("valueTwo", value.value_two);
  out.always("op", value.op);
  return std::move(out).take();
}

static json::Value write(const SeccompSyscall& value) {
  Out out;
  out.some("names", value.names);
  out.always("action", value.action);
  out.some("errnoRet", value.errno_ret);
  out.some("args", value.args);
  return std::move(out).take();
}

json::Value write(const Seccomp& value) {
  Out out;
  out.always("defaultAction", value.default_action);
  out.some("defaultErrnoRet", value.default_errno_ret);
  out.some("architectures", value.architectures);
  out.some("flags", value.flags);
  out.some("listenerPath", value.listener_path);
  out.some("listenerMetadata", value.listener_metadata);
  out.some("syscalls", value.syscalls);
  return std::move(out).take();
}

static json::Value net_devices(const std::map<std::string, std::string>& devices) {
  json::Object object;
  for (const auto& [host, name] : devices) {
    Out device;
    device.some("name", name);
    object.append(host, std::move(device).take());
  }
  return object;
}

json::Value write(const Linux& value) {
  Out out;
  out.some("uidMappings", value.uid_mappings);
  out.some("gidMappings", value.gid_mappings);
  out.some("sysctl", value.sysctl);
  out.some("resources", value.resources);
  out.some("cgroupsPath", value.cgroups_path);
  out.some("namespaces", value.namespaces);
  out.some("devices", value.devices);
  if (!value.net_devices.empty()) out.object("netDevices", net_devices(value.net_devices));
  out.some("seccomp", value.seccomp);
  out.some("rootfsPropagation", value.rootfs_propagation);
  out.some("maskedPaths", value.masked_paths);
  out.some("readonlyPaths", value.readonly_paths);
  out.some("mountLabel", value.mount_label);
  out.some("intelRdt", value.intel_rdt);
  out.some("memoryPolicy", value.memory_policy);
  out.some("personality", value.personality);
  out.some("timeOffsets", value.time_offsets);
  return std::move(out).take();
}

}  // namespace nexcage::oci
