// The root and the mounts of the spec.
#include <fcntl.h>
#include <sys/mount.h>

#include <algorithm>

#include "nexcage/backends/lxc/plan.h"
#include "nexcage/backends/own.h"
#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::lxc {
namespace {

/// Mounts take part in what the host does below their source, unless something else is asked for
/// (runc's default, rslave); shared roots leave them as the host has them.
std::uint64_t default_propagation(const oci::Spec& spec) {
  const std::uint64_t root = propagation_of(spec.linux_->rootfs_propagation).first;
  if (root == MS_SHARED) return 0;
  return root == MS_PRIVATE ? MS_PRIVATE : MS_SLAVE;
}

Result<> check_options(const oci::Mount& mount, const sys::MountOptions& options) {
  const std::string field = "mount " + mount.destination;
  const bool bind = options.bind || mount.type == "bind" || mount.type == "rbind";
  if (!bind && (options.idmap || !mount.uid_mappings.empty() || !mount.gid_mappings.empty()))
    return fail(Errc::Unsupported, field + ": ids are mapped for bind mounts only");
  if (options.iversion) return fail(Errc::Unsupported, field + ": option iversion");
  return {};
}

Result<> plan_bind(const CreateJob& job, const oci::Mount& mount, const sys::MountOptions& options,
                   CreatePlan& out) {
  // A bind has no file system to take them: runc and crun, and so the engines, let them stand.
  if (!options.data.empty())
    log::warning("mount " + mount.destination + ": a bind has no option " +
                 quote(join(options.data, ",")));
  std::string path = mount.source;
  if (!path.starts_with('/')) path = job.bundle + "/" + path;  // relative to the bundle (config.md)
  if (options.copy_symlink) {
    // crun's word: a source that is a link is shown as the link it is.
    if (auto content = sys::read_link(AT_FDCWD, path)) {
      out.plan.operations.emplace_back(
          sys::plan::MakeSymlink{.target = mount.destination, .content = *std::move(content)});
      return {};
    }
  }
  Source source{.path = path,
                .recursive = options.recursive_bind,
                .set = options.set,
                .clear = options.clear,
                .rec_set = options.rec_set,
                .rec_clear = options.rec_clear,
                .propagation = options.propagation,
                .propagation_recursive = options.propagation_recursive};
  NX_TRY(source.id_map, plan_id_map(job.spec, mount, options));
  if (source.propagation == 0) {
    source.propagation = default_propagation(job.spec);
    source.propagation_recursive = true;
  }
  attach(out, std::move(source), mount.destination);
  return {};
}

/// proc and sysfs label their files themselves, a message queue file system takes no such option.
bool takes_label(std::string_view type) {
  return type != "proc" && type != "sysfs" && type != "mqueue";
}

void plan_filesystem(const oci::Mount& mount, const std::string& label,
                     const sys::MountOptions& options, CreatePlan& out) {
  sys::plan::MountFilesystem operation;
  operation.target = mount.destination;
  operation.fstype = mount.type;
  operation.source = mount.source.empty() ? mount.type : mount.source;
  operation.options = options.data;
  // These belong to the file system, not to the mount (fsconfig takes them as flags).
  if (options.sync) operation.options.emplace_back("sync");
  if (options.dirsync) operation.options.emplace_back("dirsync");
  if (options.lazytime) operation.options.emplace_back("lazytime");
  if (options.mandlock) operation.options.emplace_back("mand");
  if (!label.empty() && takes_label(mount.type)) operation.options.push_back("context=" + label);
  operation.attributes = options.set | options.rec_set;
  operation.propagation = options.propagation;
  operation.copy_up = options.tmpcopyup;
  operation.plain_target = mount.type == "proc" || mount.type == "sysfs";
  out.plan.operations.emplace_back(std::move(operation));
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// The container's own cgroup at the mount's place: of version 2 alone it is that directory, else a
/// tmpfs with one directory for each hierarchy, as on the host.
void plan_cgroup(const oci::Mount& mount, const sys::MountOptions& options, const HostFacts& facts,
                 CreatePlan& out) {
  const std::uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  const std::uint64_t readonly = options.set & MOUNT_ATTR_RDONLY;
  auto source = [&](const sys::CgroupHierarchy& hierarchy) {
    return Source{.path = hierarchy.mount_point + "/" + out.cgroup,
                  .set = attributes | readonly,
                  .propagation = MS_PRIVATE};
  };
  if (facts.cgroups.mode() == sys::CgroupMode::v2) {
    attach(out, source(facts.cgroups.hierarchies.front()), mount.destination);
    return;
  }
  out.plan.operations.emplace_back(sys::plan::MountFilesystem{.target = mount.destination,
                                                              .fstype = "tmpfs",
                                                              .source = "tmpfs",
                                                              .options = {"mode=755"},
                                                              .attributes = attributes});
  for (const sys::CgroupHierarchy& hierarchy : facts.cgroups.hierarchies) {
    const std::string name = base_name(hierarchy.mount_point);
    attach(out, source(hierarchy), mount.destination + "/" + name);
    for (const std::string& controller : hierarchy.controllers)
      if (!hierarchy.v2() && controller != name && !controller.starts_with("name="))
        out.plan.operations.emplace_back(sys::plan::MakeSymlink{
            .target = mount.destination + "/" + controller, .content = name});
  }
  if (readonly != 0)
    out.plan.operations.emplace_back(
        sys::plan::ChangeMount{.target = mount.destination, .set = readonly});
}

Result<> plan_mount(const CreateJob& job, const oci::Mount& mount, const HostFacts& facts,
                    CreatePlan& out) {
  NX_TRY(sys::MountOptions options, sys::parse_mount_options(mount.options),
         "mount " + mount.destination);
  NX_CHECK(check_options(mount, options));
  if (sys::clean_path(mount.destination) == "/")
    return fail(Errc::Unsupported, "mount " + mount.destination + ": over the root file system");
  if (options.remount) {
    out.plan.operations.emplace_back(remount_of(mount, options));
    return {};
  }
  if (options.bind || mount.type == "bind" || mount.type == "rbind") {
    options.recursive_bind = options.recursive_bind || mount.type == "rbind";
    return plan_bind(job, mount, options, out);
  }
  if (mount.type == "cgroup" || mount.type == "cgroup2") {
    plan_cgroup(mount, options, facts, out);
    return {};
  }
  if (mount.type.empty())
    return fail(Errc::InvalidConfig, "mount " + mount.destination + ": no type and not a bind");
  plan_filesystem(mount, job.spec.linux_->mount_label, options, out);
  return {};
}

}  // namespace

Result<> plan_root(const CreateJob& job, CreatePlan& out) {
  out.plan.operations.emplace_back(sys::plan::EnterRootfs{
      .fd = static_cast<std::uint32_t>(out.sources.size()), .path = job.rootfs});
  // A slave at first in any case: pivot_root refuses a shared root; FinishRoot has the last word.
  out.sources.push_back({.path = job.rootfs,
                         .recursive = true,
                         .propagation = MS_SLAVE,
                         .propagation_recursive = true});
  return {};
}

Result<> plan_mounts(const CreateJob& job, const HostFacts& facts, CreatePlan& out) {
  out.plan.operations.emplace_back(sys::plan::RefuseSymlink{.target = "/dev"});
  if (!job.spec.linux_->mount_label.empty() && !facts.selinux)
    return fail(Errc::Unsupported, "linux.mountLabel: SELinux is not enabled in this kernel");
  for (const oci::Mount& mount : job.spec.mounts) NX_CHECK(plan_mount(job, mount, facts, out));
  return {};
}

Result<> plan_sysctl(const oci::Spec& spec, CreatePlan& out) {
  auto has = [&](oci::NamespaceType type) { return spec.linux_->find(type) != nullptr; };
  for (const auto& [name, value] : spec.linux_->sysctl) {
    const bool ipc = name.starts_with("fs.mqueue.") || name.starts_with("kernel.msg") ||
                     name.starts_with("kernel.shm") || name == "kernel.sem";
    const bool network = name.starts_with("net.");
    const bool uts = name == "kernel.domainname" || name == "kernel.hostname";
    if (!ipc && !network && !uts)
      return fail(Errc::InvalidConfig, "linux.sysctl: " + quote(name) +
                                           " is not of a namespace: it would change the host");
    const oci::NamespaceType needed = ipc       ? oci::NamespaceType::ipc
                                      : network ? oci::NamespaceType::network
                                                : oci::NamespaceType::uts;
    if (!has(needed))
      return fail(Errc::InvalidConfig, "linux.sysctl: " + quote(name) + " without a " +
                                           std::string(oci::namespace_name(needed)) +
                                           " namespace would change the host");
    std::string file = name;
    // "net.ipv4.conf.eth0/1.x": where a part has dots, the two are exchanged (sysctl(8)).
    for (char& c : file) c = c == '.' ? '/' : c == '/' ? '.' : c;
    if (file.find("..") != std::string::npos)
      return fail(Errc::InvalidConfig, "linux.sysctl: " + quote(name));
    out.plan.operations.emplace_back(sys::plan::SetSysctl{.file = file, .value = value});
  }
  return {};
}

}  // namespace nexcage::backends::lxc
