#include "nexcage/layerfs/drivers/erofs_mount.h"

#include <sys/mount.h>

#include <utility>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/loop.h"

namespace nexcage::layerfs::erofs_driver {
namespace {

constexpr std::uint64_t kErofsMagic = 0xE0F5E1E2;

Result<sys::DetachedMount> mount_paths(const std::string& image,
                                       const std::vector<std::string>& devices) {
  std::vector<sys::FsParam> params{{.key = "source", .value = image},
                                   {.key = "ro", .value = {}, .fd = -1, .is_flag = true}};
  params.reserve(devices.size() + params.size());
  for (const std::string& device : devices) params.push_back({.key = "device", .value = device});
  return sys::new_mount("erofs", params, MOUNT_ATTR_RDONLY);
}

Result<sys::DetachedMount> mount_loops(const ImageFiles& files) {
  NX_TRY(const sys::LoopDevice image, sys::LoopDevice::attach(files.image.get()));
  std::vector<sys::LoopDevice> loops;
  std::vector<std::string> paths;
  for (const UniqueFd& device : files.devices) {
    NX_TRY(sys::LoopDevice loop, sys::LoopDevice::attach(device.get()));
    paths.push_back(loop.path());
    loops.push_back(std::move(loop));
  }
  return mount_paths(image.path(), paths);
}

}  // namespace

std::string_view source_name(Source source) {
  return source == Source::files ? "files" : "loop devices";
}

Result<sys::DetachedMount> mount_image(const ImageFiles& files, Source source) {
  if (source == Source::loops) {
    auto mount = mount_loops(files);
    if (!mount) return fail(std::move(mount).error().as(Errc::LayerError));
    return mount;
  }
  std::vector<std::string> devices;
  devices.reserve(files.devices.size());
  for (const UniqueFd& device : files.devices) devices.push_back(sys::fd_path(device.get()));
  auto mount = mount_paths(sys::fd_path(files.image.get()), devices);
  if (!mount) return fail(std::move(mount).error().as(Errc::LayerError));
  return mount;
}

Result<bool> is_erofs(int fd) { return sys::is_fs(fd, kErofsMagic); }

}  // namespace nexcage::layerfs::erofs_driver
