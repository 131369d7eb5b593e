#include "nexcage/layerfs/drivers/upper.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/id_map.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs {
namespace {

constexpr const char* kUpper = "upper";
constexpr const char* kWork = "work";
constexpr const char* kRoot = "root";

/// The directory `name` in `parent`, made with the root's metadata unless it is there already.
Result<> make_root(int parent, const char* name, const Metadata& root) {
  if (mkdirat(parent, name, 0700) != 0) {
    if (errno == EEXIST) return {};
    return fail_errno("create directory " + std::string(name));
  }
  NX_TRY(const UniqueFd fd, sys::open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return apply_metadata(fd.get(), root, ModeState::set_it);
}

Result<> make_work(int parent) {
  if (mkdirat(parent, kWork, 0700) != 0 && errno != EEXIST)
    return fail_errno("create the work directory");
  return {};
}

Result<UniqueFd> open_path(int parent, const char* name) {
  return sys::open_at(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

}  // namespace

Result<UniqueFd> with_id_map(UniqueFd fd, const MountOptions& options) {
  if (options.user_namespace < 0) return fd;
  NX_TRY(UniqueFd mount, sys::clone_mount(fd.get(), "", sys::Recursive::no));
  NX_CHECK(sys::map_ids(mount.get(), options.user_namespace, sys::Recursive::no));
  return mount;
}

bool keeps_upper(const MountOptions& options) {
  return options.storage == Storage::kept && !options.tmpfs_upper;
}

Result<UpperDirs> make_upper(const MountPoint& at, const MountOptions& options,
                             const Metadata& root) {
  UniqueFd parent;
  if (options.tmpfs_upper) {
    NX_TRY(parent, make_tmpfs(*options.tmpfs_upper), "tmpfs for the container's writes");
  } else {
    NX_TRY(parent, sys::open_at(AT_FDCWD, at.upper, O_RDONLY | O_DIRECTORY));
  }
  if (keeps_upper(options)) {
    // With the mark "volatile", for which overlayfs refuses a directory that may have lost writes
    // in a crash of the machine. In the same boot none are lost: those that are not on the disk are
    // in the page cache (overlayfs.rst, "Volatile mount").
    NX_CHECK(sys::remove_tree(parent.get(), kWork));
  } else {
    NX_CHECK(make_root(parent.get(), kUpper, root));
  }
  NX_CHECK(make_work(parent.get()));
  UpperDirs dirs;
  NX_TRY(dirs.upper, open_path(parent.get(), kUpper));
  NX_TRY(dirs.work, open_path(parent.get(), kWork));
  if (options.tmpfs_upper) dirs.tmpfs = std::move(parent);
  return dirs;
}

Result<UniqueFd> make_bare_root(const MountPoint& at, const Metadata& root) {
  NX_TRY(const UniqueFd parent, sys::open_at(AT_FDCWD, at.upper, O_RDONLY | O_DIRECTORY));
  NX_CHECK(make_root(parent.get(), kRoot, root));
  return open_path(parent.get(), kRoot);
}

Result<UniqueFd> make_bare_directory(const MountPoint& at) {
  NX_TRY(const UniqueFd parent, sys::open_at(AT_FDCWD, at.upper, O_RDONLY | O_DIRECTORY));
  NX_CHECK(make_work(parent.get()));
  return open_path(parent.get(), kWork);
}

std::string bare_root_path(const MountPoint& at) { return at.upper + "/" + kRoot; }

Result<> remove_upper(const MountPoint& at) {
  for (const char* name : {kUpper, kWork, kRoot}) NX_CHECK(sys::remove_tree(at.upper + "/" + name));
  return {};
}

Result<UniqueFd> make_tmpfs(std::uint64_t size) {
  std::vector<sys::FsParam> params{{.key = "source", .value = "nexcage"},
                                   {.key = "mode", .value = "0700"}};
  if (size != 0) params.push_back({.key = "size", .value = std::to_string(size)});
  return sys::new_mount("tmpfs", params, 0);
}

Metadata default_root(const MountOptions& options) {
  const timespec now{.tv_sec = 0, .tv_nsec = UTIME_NOW};
  return {
      .mode = 0755, .uid = options.root_uid, .gid = options.root_gid, .atime = now, .mtime = now};
}

}  // namespace nexcage::layerfs
