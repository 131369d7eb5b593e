// The spec as config.json: top level, process, vm. Members in the order of specs-go.
#include "nexcage/oci/spec_fields.h"
#include "nexcage/oci/spec_out.h"

namespace nexcage::oci {

static json::Value write(const Box& value) {
  Out out;
  out.always("height", value.height);
  out.always("width", value.width);
  return std::move(out).take();
}

static json::Value write(const User& value) {
  Out out;
  out.always("uid", value.uid);
  out.always("gid", value.gid);
  out.some("umask", value.umask);
  out.some("additionalGids", value.additional_gids);
  out.some("username", value.username);
  return std::move(out).take();
}

static json::Value write(const Capabilities& value) {
  Out out;
  out.some("bounding", value.bounding);
  out.some("effective", value.effective);
  out.some("inheritable", value.inheritable);
  out.some("permitted", value.permitted);
  out.some("ambient", value.ambient);
  return std::move(out).take();
}

static json::Value write(const Rlimit& value) {
  Out out;
  out.always("type", value.type);
  out.always("hard", value.hard);
  out.always("soft", value.soft);
  return std::move(out).take();
}

static json::Value write(const Scheduler& value) {
  Out out;
  out.always("policy", value.policy);
  out.some("nice", value.nice);
  out.some("priority", value.priority);
  out.some("flags", value.flags);
  out.some("runtime", value.runtime);
  out.some("deadline", value.deadline);
  out.some("period", value.period);
  return std::move(out).take();
}

static json::Value write(const IoPriority& value) {
  Out out;
  out.always("class", value.io_class);
  out.always("priority", value.priority);
  return std::move(out).take();
}

static json::Value write(const CpuAffinity& value) {
  Out out;
  out.some("initial", value.initial);
  out.some("final", value.final);
  return std::move(out).take();
}

static json::Value write(const Process& value) {
  Out out;
  out.some("terminal", value.terminal);
  out.some("consoleSize", value.console_size);
  out.always("user", value.user);
  out.some("args", value.args);
  out.some("env", value.env);
  out.always("cwd", value.cwd);
  out.some("capabilities", value.capabilities);
  out.some("rlimits", value.rlimits);
  out.some("noNewPrivileges", value.no_new_privileges);
  out.some("apparmorProfile", value.apparmor_profile);
  out.some("oomScoreAdj", value.oom_score_adj);
  out.some("scheduler", value.scheduler);
  out.some("selinuxLabel", value.selinux_label);
  out.some("ioPriority", value.io_priority);
  out.some("execCPUAffinity", value.exec_cpu_affinity);
  return std::move(out).take();
}

static json::Value write(const Root& value) {
  Out out;
  out.always("path", value.path);
  out.some("readonly", value.readonly);
  return std::move(out).take();
}

static json::Value write(const Mount& value) {
  Out out;
  out.always("destination", value.destination);
  out.some("type", value.type);
  out.some("source", value.source);
  out.some("options", value.options);
  out.some("uidMappings", value.uid_mappings);
  out.some("gidMappings", value.gid_mappings);
  return std::move(out).take();
}

static json::Value write(const Hook& value) {
  Out out;
  out.always("path", value.path);
  out.some("args", value.args);
  out.some("env", value.env);
  out.some("timeout", value.timeout);
  return std::move(out).take();
}

static Out hooks_out(const Hooks& value) {
  Out out;
  out.some("prestart", value.prestart);
  out.some("createRuntime", value.create_runtime);
  out.some("createContainer", value.create_container);
  out.some("startContainer", value.start_container);
  out.some("poststart", value.poststart);
  out.some("poststop", value.poststop);
  return out;
}

static json::Value write(const VmHypervisor& value) {
  Out out;
  out.always("path", value.path);
  out.some("parameters", value.parameters);
  return std::move(out).take();
}

static json::Value write(const VmKernel& value) {
  Out out;
  out.always("path", value.path);
  out.some("parameters", value.parameters);
  out.some("initrd", value.initrd);
  return std::move(out).take();
}

static json::Value write(const VmImage& value) {
  Out out;
  out.always("path", value.path);
  out.always("format", value.format);
  return std::move(out).take();
}

static json::Value write(const VmHardware& value) {
  Out out;
  out.some("deviceTree", value.device_tree);
  out.some("vcpus", value.vcpus);
  out.some("memory", value.memory);
  return std::move(out).take();
}

static json::Value write(const Vm& value) {
  Out out;
  out.some("hypervisor", value.hypervisor);
  out.always("kernel", value.kernel);
  out.some("image", value.image);
  out.some("hwConfig", value.hw_config);
  return std::move(out).take();
}

json::Value to_json(const Process& process) { return write(process); }
json::Value to_json(const Resources& resources) { return write(resources); }

json::Value to_json(const Spec& spec) {
  Out out;
  out.always("ociVersion", spec.oci_version);
  out.some("process", spec.process);
  out.some("root", spec.root);
  out.some("hostname", spec.hostname);
  out.some("domainname", spec.domainname);
  out.some("mounts", spec.mounts);
  if (Out hooks = hooks_out(spec.hooks); !hooks.empty())
    out.object("hooks", std::move(hooks).take());
  out.some("annotations", spec.annotations);
  out.some("linux", spec.linux_);
  out.some("vm", spec.vm);
  json::Value value = std::move(out).take();

  // What a reader of the document asks for by name is known; the rest is taken over.
  Known known;
  if (spec.document.if_object() != nullptr && read_spec(spec.document, {}, &known))
    take_over_unknown(value, spec.document, known);
  return value;
}

}  // namespace nexcage::oci
