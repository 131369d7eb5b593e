#include "nexcage/storage/zfs/volume.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/poll_until.h"

namespace nexcage::storage::zfs {
namespace {

constexpr std::chrono::milliseconds kPause{20};
constexpr std::string_view kDevicePrefix = "zd";

/// The name that a zvol has, its terminating zero included (sys/fs/zfs.h).
using ZvolName = std::array<char, 256>;
constexpr unsigned long kBlkZName = _IOR(0x12, 125, ZvolName);

/// The volume that this device is of; nullopt when it is none, or gone again.
std::optional<std::string> volume_of(const std::string& device) {
  const auto fd = sys::open_at(AT_FDCWD, device, O_RDONLY | O_NONBLOCK);
  ZvolName name{};
  if (!fd || ::ioctl(fd->get(), kBlkZName, name.data()) != 0) return std::nullopt;
  return std::string(name.data(), ::strnlen(name.data(), name.size()));
}

/// "zd16", not its partition "zd16p1".
bool is_volume_device(std::string_view name) {
  if (!name.starts_with(kDevicePrefix) || name == kDevicePrefix) return false;
  name.remove_prefix(kDevicePrefix.size());
  return std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
}

Result<std::optional<std::string>> find_device(const std::string& name) {
  // A link may be of a volume that had this name before.
  std::string link = "/dev/zvol/" + name;
  if (volume_of(link) == name) return link;
  NX_TRY(const UniqueFd dev, sys::open_at(AT_FDCWD, "/dev", O_RDONLY | O_DIRECTORY));
  NX_TRY(const auto entries, sys::list_dir(dev.get()));
  for (const std::string& entry : entries)
    if (is_volume_device(entry) && volume_of("/dev/" + entry) == name) return "/dev/" + entry;
  return std::nullopt;
}

}  // namespace

Result<sys::DetachedMount> mount_dataset(const Dataset& dataset, std::uint64_t attributes) {
  NX_TRY(auto mount, sys::new_mount("zfs", {{"source", dataset.name()}}, attributes),
         "mount dataset " + dataset.name());
  return mount;
}

Result<std::string> volume_device(const Dataset& dataset, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    NX_TRY(auto device, find_device(dataset.name()), "find the device of volume " + dataset.name());
    if (device) return *std::move(device);
    if (std::chrono::steady_clock::now() >= deadline) break;
    sys::sleep_for(kPause);
  }
  return fail(Error(Errc::Timeout, "volume " + dataset.name() + ": no block device after " +
                                       std::to_string(timeout.count()) + " ms")
                  .hint("Its property volmode must not be none, and /dev must be a devtmpfs."));
}

}  // namespace nexcage::storage::zfs
