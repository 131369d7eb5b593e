// Phase 4: the container's root file system.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "nexcage/base/text.h"
#include "nexcage/runtime/id_maps.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/umask.h"

namespace nexcage::runtime {
namespace {

/// Directories that every root file system has. The first three become mount points of the kernel's
/// own file systems: an image in which one is a symlink would have them mounted elsewhere.
struct BaseDir {
  const char* name;
  mode_t mode;
  bool mount_point;
};
constexpr std::array<BaseDir, 6> kBaseDirs = {{{"dev", 0755, true},
                                               {"proc", 0555, true},
                                               {"sys", 0555, true},
                                               {"tmp", 01777, false},
                                               {"var", 0755, false},
                                               {"run", 0755, false}}};

Result<> make_base_dir(int root, const BaseDir& dir) {
  NX_TRY(auto found, sys::stat_at(root, dir.name));
  if (!found) {
    if (mkdirat(root, dir.name, dir.mode) != 0)
      return fail_errno(std::string("create /") + dir.name);
    return {};
  }
  if (S_ISDIR(found->st_mode) || (!dir.mount_point && S_ISLNK(found->st_mode))) return {};
  return fail(
      Error(Errc::InvalidRootfs, std::string("/") + dir.name + " of the image is no directory")
          .hint("an image may not redirect /dev, /proc or /sys; repair the image"));
}

/// The working directory and declared volumes are made if missing, in-root, as Docker does.
Result<> make_image_dirs(int root, const Rooted& rooted) {
  if (rooted.spec.process) {
    NX_CHECK(sys::mkdirs_in_root(root, rooted.spec.process->cwd, 0755),
             "working directory " + quote(rooted.spec.process->cwd));
  }
  for (const std::string& volume : rooted.volumes)
    NX_CHECK(sys::mkdirs_in_root(root, volume, 0755), "volume " + quote(volume));
  return {};
}

/// The image file of a container that is started again.
Result<std::string> mount_kept_image(Mounted& mounted) {
  NX_CHECK(storage::make_volume(mounted.volume));  // its dataset may not be mounted any more
  NX_TRY(const sys::DetachedMount tree, open_image(mounted.volume));
  return attach_root(mounted, tree);
}

/// The merged layers appear a second time where the container's root is: {bundle}/{id}/rootfs.
Result<std::string> bind_layers(Mounted& mounted) {
  std::string target = Paths::rootfs(mounted.bundle, mounted.request->id);
  NX_CHECK(sys::mkdirs(target, 0711));
  NX_TRY(auto tree, sys::clone_mount(AT_FDCWD, mounted.layers->at.target, sys::Recursive::no));
  NX_CHECK(mounted.undo.will_mount(target));
  NX_CHECK(sys::attach(tree, target));
  return target;
}

/// An image file is filled with the owners as they are in it, whatever the container's maps are.
Result<sys::FsIds> become_owner(const Rooted& rooted) {
  if (rooted.volume.raw && rooted.layers) return sys::FsIds::become(geteuid(), getegid());
  return become_root(rooted.spec);
}

Result<std::string> bundle_rootfs(const Mounted& mounted) {
  const std::string& path = mounted.spec.root->path;
  const std::string full = path.starts_with('/') ? path : mounted.bundle + "/" + path;
  auto fd = sys::open_at(AT_FDCWD, full, O_PATH | O_DIRECTORY);
  if (!fd)
    return fail(
        std::move(fd).error().as(Errc::InvalidRootfs).wrap("root file system " + quote(full)));
  return sys::clean_path(full);
}

/// Nothing is written here: what is missing is made where the disks are mounted.
Result<Rooted> look_at_disks(Rooted rooted) {
  rooted.rootfs = Paths::rootfs(rooted.bundle, rooted.request->id);
  NX_TRY(rooted.spec.process->user, resolve_user(rooted.layers->at.target, rooted.user));
  std::vector<std::string>& directories = rooted.disk_root->disks.directories;
  for (const BaseDir& dir : kBaseDirs) directories.push_back(std::string("/") + dir.name);
  directories.insert(directories.end(), rooted.volumes.begin(), rooted.volumes.end());
  return rooted;
}

}  // namespace

Result<Rooted> assemble_rootfs(Mounted mounted) {
  Rooted rooted{std::move(mounted), {}};
  if (!rooted.verified) {
    NX_TRY(rooted.rootfs, bundle_rootfs(rooted));
    return rooted;
  }
  if (rooted.disk_root) return look_at_disks(std::move(rooted));
  if (rooted.layers) {
    NX_TRY(rooted.rootfs, bind_layers(rooted));
  } else {
    NX_TRY(rooted.rootfs, mount_kept_image(rooted));
  }
  NX_TRY(UniqueFd root, sys::open_at(AT_FDCWD, rooted.rootfs, O_RDONLY | O_DIRECTORY));
  const sys::NoUmask exact_modes;
  NX_TRY(const sys::FsIds as_root, become_owner(rooted));
  for (const BaseDir& dir : kBaseDirs) NX_CHECK(make_base_dir(root.get(), dir), "root file system");
  NX_CHECK(make_image_dirs(root.get(), rooted));
  NX_TRY(rooted.spec.process->user, resolve_user(rooted.rootfs, rooted.user));
  return rooted;
}

}  // namespace nexcage::runtime
