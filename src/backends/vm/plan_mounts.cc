// The root file system and the mounts of the spec, in the guest.
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ranges>

#include "nexcage/backends/own.h"
#include "nexcage/backends/vm/disk_image.h"
#include "nexcage/backends/vm/plan.h"
#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::backends::vm {
namespace {

/// Files that engines write for a container and bind for writing: a copy serves.
constexpr std::array<std::string_view, 4> kEngineFiles = {"/etc/hosts", "/etc/hostname",
                                                          "/etc/resolv.conf", "/run/.containerenv"};

protocol::Volume volume_of(std::string fstype, std::string source) {
  protocol::Volume volume;
  volume.fstype = std::move(fstype);
  volume.source = std::move(source);
  return volume;
}

/// Of one message to the guest, beside the plan itself.
constexpr std::size_t kMostCopied = 2u << 20;

void add_source(MachinePlan& out, protocol::Source source, std::string target) {
  out.plan.operations.emplace_back(sys::plan::AttachMount{
      .fd = static_cast<std::uint32_t>(out.prepare.sources.size()), .target = std::move(target)});
  out.prepare.sources.push_back(std::move(source));
}

void add_copy(MachinePlan& out, const std::string& path, std::uint64_t attributes,
              std::string target) {
  out.copies.push_back({.source = out.prepare.sources.size(), .path = path});
  add_source(out, protocol::File{.content = {}, .attributes = attributes}, std::move(target));
}

/// What cannot be had of a directory in another kernel. Words that only say what is so anyway (rw,
/// suid, private) are taken.
Result<> check_bind_options(const sys::MountOptions& options, const std::string& field) {
  const auto refused = [&](const std::string& word) {
    return fail(Errc::Unsupported, field + ": option " + word + " of a bind into a machine");
  };
  if (!options.data.empty()) return refused(quote(options.data.front()));
  if ((options.propagation & MS_SHARED) != 0) return refused("shared");
  if ((options.propagation & MS_SLAVE) != 0) return refused("slave");
  if ((options.propagation & MS_UNBINDABLE) != 0) return refused("unbindable");
  if (options.tmpcopyup) return refused("tmpcopyup");
  if (options.copy_symlink) return refused("copy-symlink");
  if (options.sync) return refused("sync");
  if (options.dirsync) return refused("dirsync");
  if (options.mandlock) return refused("mand");
  if (options.lazytime) return refused("lazytime");
  return {};
}

Result<> plan_bind(const CreateJob& job, const oci::Mount& mount, const sys::MountOptions& options,
                   MachinePlan& out) {
  const std::string field = "mount " + mount.destination;
  const std::string target = sys::clean_path(mount.destination);
  if (target == "/dev/shm") {
    // Memory that processes share cannot be shared with those of another kernel.
    out.plan.operations.emplace_back(sys::plan::MountFilesystem{
        .target = target,
        .fstype = "tmpfs",
        .source = "shm",
        .options = {"mode=1777"},
        .attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | options.set});
    return {};
  }
  std::string path = mount.source;
  if (!path.starts_with('/')) path = job.bundle + "/" + path;  // relative to the bundle (config.md)
  NX_CHECK(check_bind_options(options, field));
  const std::uint64_t attributes = options.set | options.rec_set;
  const bool readonly = (attributes & MOUNT_ATTR_RDONLY) != 0;
  const bool engine = std::ranges::find(kEngineFiles, target) != kEngineFiles.end();
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    // Ours are written when the network is there.
    if (errno != ENOENT || !engine) return fail_errno(field + ": look at " + path);
    add_copy(out, path, attributes, mount.destination);
    return {};
  }
  if (S_ISREG(info.st_mode)) {
    if ((readonly || engine) && static_cast<std::size_t>(info.st_size) <= protocol::kMaxFile) {
      add_copy(out, path, attributes, mount.destination);
      return {};
    }
  } else if (!S_ISDIR(info.st_mode)) {
    return fail(Errc::Unsupported, field + ": " + path +
                                       " is neither a file nor a directory; nothing else can be "
                                       "shared with a virtual machine");
  }
  const bool file = S_ISREG(info.st_mode);
  const std::string tag = share(out, {.source = sys::clean_path(path),
                                      .tag = {},
                                      .file = file,
                                      .read_only = readonly,
                                      .recursive = options.recursive_bind && !file});
  // What the guest has in its cache is written back when it is shut down.
  if (!readonly) out.launch.persistent = true;
  protocol::Volume volume = volume_of("virtiofs", tag);
  volume.attributes = attributes;
  if (file) volume.path = host::kSharedFile;
  add_source(out, std::move(volume), mount.destination);
  return {};
}

void plan_filesystem(const oci::Mount& mount, const sys::MountOptions& options, MachinePlan& out) {
  const bool cgroup = mount.type == "cgroup" || mount.type == "cgroup2";
  sys::plan::MountFilesystem operation;
  operation.target = mount.destination;
  operation.fstype = cgroup ? "cgroup2" : mount.type;
  operation.source = mount.source.empty() || cgroup ? operation.fstype : mount.source;
  if (!cgroup) operation.options = options.data;
  if (options.sync) operation.options.emplace_back("sync");
  if (options.dirsync) operation.options.emplace_back("dirsync");
  if (options.lazytime) operation.options.emplace_back("lazytime");
  if (options.mandlock) operation.options.emplace_back("mand");
  operation.attributes = options.set | options.rec_set;
  operation.propagation = options.propagation;
  operation.copy_up = options.tmpcopyup;
  operation.plain_target = mount.type == "proc" || mount.type == "sysfs";
  out.plan.operations.emplace_back(std::move(operation));
}

Result<> plan_mount(const CreateJob& job, const oci::Mount& mount, MachinePlan& out) {
  const std::string field = "mount " + mount.destination;
  NX_TRY(sys::MountOptions options, sys::parse_mount_options(mount.options), field);
  if (options.idmap) return fail(Errc::Unsupported, field + ": ids are not mapped");
  if (options.iversion) return fail(Errc::Unsupported, field + ": option iversion");
  if (sys::clean_path(mount.destination) == "/")
    return fail(Errc::Unsupported, field + ": over the root file system");
  if (options.remount) {
    out.plan.operations.emplace_back(remount_of(mount, options));
    return {};
  }
  if (options.bind || mount.type == "bind" || mount.type == "rbind") {
    options.recursive_bind = options.recursive_bind || mount.type == "rbind";
    return plan_bind(job, mount, options, out);
  }
  if (mount.type.empty()) return fail(Errc::InvalidConfig, field + ": no type and not a bind");
  plan_filesystem(mount, options, out);
  return {};
}

protocol::Volume layer_volume(MachinePlan& out, const RootDisks::Image& layer) {
  protocol::Volume volume = volume_of("erofs", add_disk(out, {.fd = layer.image}, true, false));
  volume.attributes = MOUNT_ATTR_RDONLY;
  volume.options = {"ro"};  // or the kernel would open the disk for writing
  for (const int device : layer.devices)
    volume.devices.push_back(add_disk(out, {.fd = device}, true, false));
  return volume;
}

/// The layers below what the container writes, which is a disk or the guest's memory.
protocol::Root disk_root(const RootDisks& disks, MachinePlan& out) {
  protocol::Root root;
  for (const RootDisks::Image& layer : disks.lowers | std::views::reverse)
    root.lowers.push_back(layer_volume(out, layer));
  protocol::Volume upper = volume_of("tmpfs", {});
  if (disks.upper >= 0) {
    upper.fstype = disks.upper_type;
    out.file_systems.push_back(upper.fstype);
    upper.source = add_disk(out, {.fd = disks.upper}, false, false);
    out.launch.persistent = true;
  } else {
    upper.options = {"mode=755"};
    if (disks.tmpfs_size.value_or(0) > 0)
      upper.options.push_back("size=" + std::to_string(*disks.tmpfs_size));
  }
  root.upper.push_back(std::move(upper));
  return root;
}

Result<protocol::Root> image_root(const oci::VmImage& image, bool readonly, MachinePlan& out) {
  NX_TRY(DiskImage disk, open_disk_image(image.path, image.format, readonly), "vm.image");
  protocol::Root root;
  protocol::Volume volume =
      volume_of(disk.file_system,
                add_disk(out, {.fd = -1, .owned = std::move(disk.file)}, readonly, disk.qcow2));
  out.file_systems.push_back(volume.fstype);
  if (readonly) {
    volume.attributes = MOUNT_ATTR_RDONLY;
    volume.options = {"ro"};
  }
  root.upper.push_back(std::move(volume));
  out.launch.persistent = !readonly;
  return root;
}

}  // namespace

Result<> plan_root(const CreateJob& job, MachinePlan& out) {
  protocol::Root root;
  if (job.spec.vm && job.spec.vm->image) {
    NX_TRY(root, image_root(*job.spec.vm->image, job.spec.root->readonly, out));
  } else if (job.disks != nullptr) {
    root = disk_root(*job.disks, out);
  } else if (job.spec.root->readonly) {
    // The guest's kernel is no guard: it is so on the host. What has to be
    // made for the mounts is made in memory above.
    const std::string tag =
        share(out, {.source = job.rootfs, .tag = {}, .read_only = true, .recursive = true});
    root.lowers.push_back(volume_of("virtiofs", tag));
    root.lowers.back().attributes = MOUNT_ATTR_RDONLY;
    protocol::Volume upper = volume_of("tmpfs", {});
    upper.options = {"mode=755"};
    root.upper.push_back(std::move(upper));
  } else {
    const std::string tag =
        share(out, {.source = job.rootfs, .tag = {}, .read_only = false, .recursive = true});
    root.upper.push_back(volume_of("virtiofs", tag));
    // What the guest still has to write when its process has ended.
    out.launch.persistent = true;
  }
  out.prepare.sources.emplace_back(std::move(root));
  out.plan.operations.emplace_back(sys::plan::EnterRootfs{.fd = 0, .path = "/"});
  if (job.disks != nullptr)
    for (const std::string& directory : job.disks->directories)
      out.plan.operations.emplace_back(sys::plan::MakeDirectory{
          .target = directory, .mode = directory == "/tmp" ? 01777U : 0755U});
  return {};
}

Result<> plan_mounts(const CreateJob& job, MachinePlan& out) {
  out.plan.operations.emplace_back(sys::plan::RefuseSymlink{.target = "/dev"});
  for (const oci::Mount& mount : job.spec.mounts) NX_CHECK(plan_mount(job, mount, out));
  return {};
}

Result<> read_copies(MachinePlan& out) {
  std::size_t all = 0;
  for (const MachinePlan::Copy& copy : out.copies) {
    auto& file = std::get<protocol::File>(out.prepare.sources[copy.source]);
    NX_TRY(const UniqueFd fd, sys::open_at(AT_FDCWD, copy.path, O_RDONLY | O_NONBLOCK));
    NX_TRY(const struct stat info, sys::stat_fd(fd.get()));
    if (!S_ISREG(info.st_mode)) return fail(Errc::InvalidConfig, copy.path + " is no file");
    NX_TRY(file.content, sys::read_all(fd.get(), protocol::kMaxFile), copy.path);
    file.mode = info.st_mode & 07777;
    file.uid = info.st_uid;
    file.gid = info.st_gid;
    all += file.content.size();
  }
  if (all > kMostCopied) return fail(Errc::Unsupported, "mounts: more than 2 MiB of small files");
  return {};
}

Result<> find_virtiofsd(MachinePlan& out) {
  if (out.launch.shares.empty()) return {};
  struct Place {
    const char* path;
    host::Virtiofsd dialect;
  };
  // Debian 13 and others; Debian 12, with QEMU.
  constexpr std::array<Place, 3> kPlaces = {{{"/usr/libexec/virtiofsd", host::Virtiofsd::rust},
                                             {"/usr/lib/virtiofsd", host::Virtiofsd::rust},
                                             {"/usr/lib/qemu/virtiofsd", host::Virtiofsd::c}}};
  for (const Place& place : kPlaces) {
    NX_TRY(const bool there, sys::exists(AT_FDCWD, place.path));
    if (!there) continue;
    out.launch.virtiofsd = place.path;
    out.launch.dialect = place.dialect;
    return {};
  }
  return fail(Error(Errc::RuntimeNotAvailable, "virtiofsd is missing, which shares " +
                                                   out.launch.shares.front().source +
                                                   " with the machine")
                  .hint("install the package virtiofsd (Debian 12: qemu-system-common)"));
}

}  // namespace nexcage::backends::vm
