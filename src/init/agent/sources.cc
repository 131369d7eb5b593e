#include "nexcage/init/agent/sources.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "nexcage/init/context.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::init::agent {
namespace {

using vm::protocol::File;
using vm::protocol::Root;
using vm::protocol::Volume;

// Short, because the options of an overlay have one page.
constexpr const char* kLowers = "/run/l";
constexpr const char* kUpper = "/run/upper";
constexpr const char* kMerged = "/run/root";
constexpr const char* kFiles = "/run/files";

Result<std::string> disk_of(Machine& machine, const Volume& volume) {
  NX_TRY(const std::string disk, find_disk(machine, volume.source));
  return volume.partition == 0 ? disk : disk + std::to_string(volume.partition);
}

Result<std::vector<sys::FsParam>> parameters(Machine& machine, const Volume& volume) {
  std::vector<sys::FsParam> params;
  if (volume.fstype == "virtiofs") {
    params.push_back({.key = "source", .value = volume.source});
  } else if (!volume.source.empty()) {
    NX_TRY(const std::string disk, disk_of(machine, volume));
    params.push_back({.key = "source", .value = disk});
  }
  for (const std::string& serial : volume.devices) {
    NX_TRY(std::string disk, find_disk(machine, serial));
    params.push_back({.key = "device", .value = disk});
  }
  for (const std::string& option : volume.options) {
    const std::size_t equals = option.find('=');
    if (equals == std::string::npos)
      params.push_back({.key = option, .value = "", .fd = -1, .is_flag = true});
    else
      params.push_back({.key = option.substr(0, equals), .value = option.substr(equals + 1)});
  }
  return params;
}

/// EXT4_IOC_RESIZE_FS of fs/ext4/ext4.h: no header of linux-libc-dev has it.
constexpr unsigned long kExt4Resize = _IOW('f', 16, std::uint64_t);

/// The kernel takes a size that is the file system's already, or not larger by a group, as done.
Result<> grow_to_disk(int mount, const std::string& disk) {
  NX_TRY(const UniqueFd device, sys::open_at(AT_FDCWD, disk, O_RDONLY));
  std::uint64_t bytes = 0;
  if (::ioctl(device.get(), BLKGETSIZE64, &bytes) < 0) return fail_errno("size of " + disk);
  NX_TRY(const UniqueFd root, sys::open_at(mount, ".", O_RDONLY | O_DIRECTORY));
  struct statfs info{};
  if (::fstatfs(root.get(), &info) < 0) return fail_errno("look at the file system");
  const std::uint64_t blocks = bytes / static_cast<std::uint64_t>(info.f_bsize);
  if (::ioctl(root.get(), kExt4Resize, &blocks) < 0)
    return fail_errno("grow the file system to " + std::to_string(bytes) + " bytes");
  return {};
}

Result<UniqueFd> mount_volume(Machine& machine, const Volume& volume) {
  const std::string what = "mount " + volume.fstype + " of " + volume.source;
  NX_CHECK(machine.modules.need(volume.fstype), what);
  NX_TRY(auto params, parameters(machine, volume), what);
  NX_TRY(UniqueFd mount, sys::new_mount(volume.fstype, params, volume.attributes), what);
  if (volume.grow) {
    NX_TRY(const std::string disk, disk_of(machine, volume));
    NX_CHECK(grow_to_disk(mount.get(), disk), what);
  }
  if (volume.path.empty()) return mount;
  NX_TRY(UniqueFd part, sys::open_in_root(mount.get(), volume.path, O_PATH), what);
  return clone_of(part.get(), false, volume.path);
}

Result<> make_dir(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) < 0 && errno != EEXIST) return fail_errno("make " + path);
  return {};
}

Result<> attach_volume(Machine& machine, const Volume& volume, const std::string& path) {
  NX_CHECK(make_dir(path, 0755));
  NX_TRY(UniqueFd mount, mount_volume(machine, volume));
  return sys::attach(mount, path);
}

/// The overlay's options; the lowers are attached at kLowers/N first.
Result<std::string> overlay_options(Machine& machine, const Root& root) {
  NX_CHECK(make_dir(kLowers, 0755));
  std::string lowers;
  for (std::size_t i = 0; i < root.lowers.size(); ++i) {
    const std::string path = std::string(kLowers) + "/" + std::to_string(i);
    NX_CHECK(attach_volume(machine, root.lowers[i], path));
    lowers += (i == 0 ? "" : ":") + path;
  }
  std::string options = "lowerdir=" + lowers;
  if (root.upper.empty()) return options;
  NX_CHECK(attach_volume(machine, root.upper.front(), kUpper));
  const std::string upper = std::string(kUpper) + "/upper", work = std::string(kUpper) + "/work";
  NX_CHECK(make_dir(upper, 0755));
  NX_CHECK(make_dir(work, 0700));
  return options + ",upperdir=" + upper + ",workdir=" + work;
}

Result<UniqueFd> open_source(Machine& machine, const Root& root) {
  if (root.lowers.empty()) return mount_volume(machine, root.upper.front());
  if (root.upper.empty() && root.lowers.size() == 1)
    return mount_volume(machine, root.lowers.front());
  NX_CHECK(machine.modules.need("overlay"));
  NX_TRY(const std::string options, overlay_options(machine, root));
  NX_CHECK(make_dir(kMerged, 0755));
  // mount(2), because fsconfig(2) takes no more than 255 bytes for lowerdir.
  if (::mount("overlay", kMerged, "overlay", 0, options.c_str()) < 0)
    return fail_errno("mount the overlay of " + std::to_string(root.lowers.size()) + " layers");
  NX_TRY(UniqueFd merged, sys::open_at(AT_FDCWD, kMerged, O_PATH | O_DIRECTORY));
  NX_TRY(UniqueFd clone, clone_of(merged.get(), false, kMerged));
  if (::umount2(kMerged, MNT_DETACH) < 0) return fail_errno("detach the overlay");
  return clone;
}

Result<UniqueFd> open_source(Machine& machine, const Volume& volume) {
  return mount_volume(machine, volume);
}

Result<UniqueFd> open_source(Machine&, const File& file) {
  NX_CHECK(make_dir(kFiles, 0700));
  std::string path = std::string(kFiles) + "/XXXXXX";
  UniqueFd fd(::mkostemp(path.data(), O_CLOEXEC));
  if (!fd) return fail_errno("make a file in " + std::string(kFiles));
  NX_CHECK(sys::write_all(fd.get(), file.content));
  if (::fchown(fd.get(), file.uid, file.gid) < 0 || ::fchmod(fd.get(), file.mode & 07777) < 0)
    return fail_errno("owner and mode of a copied file");
  NX_TRY(UniqueFd clone, clone_of(fd.get(), false, "a copied file"));
  if (file.attributes != 0)
    NX_CHECK(sys::set_attributes(clone.get(), file.attributes, 0, 0, sys::Recursive::no));
  return clone;
}

}  // namespace

Result<std::vector<UniqueFd>> open_sources(Machine& machine,
                                           const std::vector<vm::protocol::Source>& sources) {
  std::vector<UniqueFd> out;
  for (const vm::protocol::Source& source : sources) {
    NX_TRY(UniqueFd mount,
           std::visit([&](const auto& kind) { return open_source(machine, kind); }, source));
    out.push_back(std::move(mount));
  }
  return out;
}

}  // namespace nexcage::init::agent
