#include "nexcage/layerfs/drivers/overlay_mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <thread>
#include <utility>

#include "nexcage/layerfs/drivers/upper.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::overlay {
namespace {

struct FixedOption {
  std::string_view key, value;
};
/// Everything the kernel's build configuration could decide otherwise is said: the same image
/// behaves the same on every host. redirect_dir lets rename(2) work on directories of the image
/// (without it: EXDEV); an image cannot carry a redirect of its own, the unpacker refuses it.
constexpr std::array<FixedOption, 5> kFixedOptions = {{{"redirect_dir", "on"},
                                                       {"index", "off"},
                                                       {"nfs_export", "off"},
                                                       {"metacopy", "off"},
                                                       {"xino", "auto"}}};
/// Unmounting writes nothing to disk, where otherwise it waits for all of the upper directory's
/// file system (overlayfs.rst, "Volatile mount"): a container and its upper directory end with the
/// boot. The mark that it leaves goes before the next mount of the same directory (make_upper).
constexpr std::string_view kVolatile = "volatile";
// mount(2) takes at most one page of options.
constexpr std::size_t kMaxLegacyOptions = 4095;

sys::FsParam directory_param(MountMethod method, const char* key, int fd) {
  if (method == MountMethod::descriptors) return {.key = key, .value = {}, .fd = fd};
  return {.key = key, .value = sys::fd_path(fd)};
}

Result<> mount_new_api(MountMethod method, const OverlaySpec& spec, const std::string& target) {
  std::vector<sys::FsParam> params{{.key = "source", .value = "nexcage"}};
  for (const FixedOption& option : kFixedOptions)
    params.push_back({.key = std::string(option.key), .value = std::string(option.value)});
  for (const UniqueFd& lower : spec.lowers)
    params.push_back(directory_param(method, "lowerdir+", lower.get()));
  if (spec.upper) {
    params.push_back(directory_param(method, "upperdir", spec.upper.get()));
    params.push_back(directory_param(method, "workdir", spec.work.get()));
    params.push_back({.key = std::string(kVolatile), .value = {}, .is_flag = true});
  }
  const std::uint64_t attributes = spec.upper ? 0 : MOUNT_ATTR_RDONLY;
  NX_TRY(const sys::DetachedMount mount, sys::new_mount("overlay", params, attributes));
  return sys::attach(mount, target);
}

std::string legacy_options(const OverlaySpec& spec) {
  std::string options = "lowerdir=";
  for (const UniqueFd& lower : spec.lowers) {
    if (&lower != &spec.lowers.front()) options += ':';
    options += std::to_string(lower.get());
  }
  if (spec.upper)
    options += ",upperdir=" + std::to_string(spec.upper.get()) +
               ",workdir=" + std::to_string(spec.work.get()) + ',' + std::string(kVolatile);
  for (const FixedOption& option : kFixedOptions) {
    options += ',';
    options += option.key;
    options += '=';
    options += option.value;
  }
  return options;
}

/// mount(2) with descriptor numbers as relative paths below /proc/thread-self/fd: four bytes a
/// layer where real paths would fill the page after some thirty. The working directory is one of a
/// thread of its own (unshare(2), CLONE_FS), so nobody else sees it change.
Result<> mount_legacy(const OverlaySpec& spec, const std::string& target) {
  const std::string options = legacy_options(spec);
  if (options.size() > kMaxLegacyOptions)
    return fail(Errc::LayerError, "this kernel mounts no more than about 900 layers at once");
  Result<> result;
  std::thread([&] {
    const unsigned long flags = spec.upper ? 0 : MS_RDONLY;
    if (unshare(CLONE_FS) != 0)
      result = fail_errno("unshare the working directory");
    else if (chdir("/proc/thread-self/fd") != 0)
      result = fail_errno("enter /proc/thread-self/fd");
    else if (mount("nexcage", target.c_str(), "overlay", flags, options.c_str()) != 0)
      result = fail_errno("mount overlay on " + target);
  }).join();
  return result;
}

/// EINVAL and EBADF are how kernels say that they do not know a parameter or take it otherwise.
bool may_be_unknown(const Error& error) {
  const int err = error.sys_errno();
  return err == EINVAL || err == EBADF || err == ENOSYS || err == EOPNOTSUPP;
}

Result<> mount_by_any(const OverlaySpec& spec, const std::string& target) {
  Result<> first;
  for (const MountMethod method :
       {MountMethod::descriptors, MountMethod::strings, MountMethod::legacy}) {
    auto result = mount_overlay_by(method, spec, target);
    if (result) return result;
    const bool go_on = may_be_unknown(result.error());
    // The first answer is from the way with the best messages, if the kernel knows that way.
    if (first || !go_on) first = std::move(result);
    if (!go_on) break;
  }
  return first;
}

}  // namespace

Result<> check_overlayfs() {
  // fsopen(2) loads the module and checks the permission, and makes nothing.
  const UniqueFd context(fsopen("overlay", FSOPEN_CLOEXEC));
  if (context || errno == ENOSYS) return {};
  if (errno == ENODEV) return fail(Errc::Unsupported, "this kernel has no overlayfs");
  return fail(Error::from_errno(Errc::Unsupported, errno, "overlayfs cannot be mounted")
                  .hint("overlay needs root (CAP_SYS_ADMIN)"));
}

Result<> mount_overlay_by(MountMethod method, const OverlaySpec& spec, const std::string& target) {
  return method == MountMethod::legacy ? mount_legacy(spec, target)
                                       : mount_new_api(method, spec, target);
}

Result<> mount_overlay_attached(const OverlaySpec& spec, const std::string& target) {
  NX_TRY(const sys::DetachedMount stage, make_tmpfs(0), "tmpfs for layers");
  NX_CHECK(sys::attach(stage, target));
  const auto mount_in_stage = [&]() -> Result<sys::DetachedMount> {
    // What is attached in it shall not be seen in other namespaces.
    NX_CHECK(sys::set_attributes(stage.get(), 0, 0, MS_PRIVATE, sys::Recursive::no));
    const auto attach_as = [&](const UniqueFd& mount, const std::string& name) -> Result<> {
      const std::string path = target + "/" + name;
      NX_CHECK(sys::mkdirs(path, 0700));
      return sys::attach(mount, path);
    };
    if (spec.upper_mount) NX_CHECK(attach_as(spec.upper_mount, "upper"));
    for (const UniqueFd& lower : spec.lowers)
      if (std::ranges::find(spec.detached, lower.get()) != spec.detached.end())
        NX_CHECK(attach_as(lower, std::to_string(lower.get())));
    const std::string merged = target + "/merged";
    NX_CHECK(sys::mkdirs(merged, 0700));
    NX_CHECK(mount_by_any(spec, merged));
    return sys::clone_mount(AT_FDCWD, merged, sys::Recursive::no);
  };
  auto mount = mount_in_stage();
  NX_CHECK(sys::unmount(target));
  if (!mount) return fail(std::move(mount).error());
  return sys::attach(*mount, target);
}

Result<> mount_overlay(const OverlaySpec& spec, const std::string& target) {
  if (spec.lowers.size() > kMaxLayers)
    return fail(Errc::LayerError, std::to_string(spec.lowers.size()) +
                                      " layers, but overlayfs takes " + std::to_string(kMaxLayers));
  auto result = mount_by_any(spec, target);
  if (!result && (spec.upper_mount || !spec.detached.empty()) && may_be_unknown(result.error())) {
    // The refused mount has left its mark "volatile" there, which would forbid the next.
    if (spec.work) NX_CHECK(sys::remove_tree(spec.work.get(), "work"));
    result = mount_overlay_attached(spec, target);
  }
  if (!result) return fail(std::move(result).error().as(Errc::LayerError));
  return {};
}

}  // namespace nexcage::layerfs::overlay
