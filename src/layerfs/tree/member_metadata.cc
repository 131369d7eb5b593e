#include "nexcage/layerfs/tree/member_metadata.h"

#include <climits>
#include <limits>
#include <string>

#include "nexcage/layerfs/tree/member_xattrs.h"

namespace nexcage::layerfs::tree {
namespace {

using image::content::TarType;

// What the kernel's 32-bit device number has room for (include/linux/kdev_t.h, new_encode_dev).
constexpr std::uint64_t kMaxMajor = 0xfff;
constexpr std::uint64_t kMaxMinor = 0xfffff;
constexpr long kNanosPerSecond = 1'000'000'000;
// (uid_t)-1 means "leave it" to chown(2) and is no id.
constexpr std::uint64_t kMaxId = std::numeric_limits<std::uint32_t>::max() - 1;

}  // namespace

Result<Metadata> metadata_of(const image::content::TarEntry& entry) {
  if (entry.uid > kMaxId || entry.gid > kMaxId)
    return fail(Errc::InvalidImage, "owner " + std::to_string(entry.uid) + ":" +
                                        std::to_string(entry.gid) + " is out of range");
  Metadata metadata;
  metadata.mode = entry.mode & 07777;
  metadata.uid = static_cast<uid_t>(entry.uid);
  metadata.gid = static_cast<gid_t>(entry.gid);
  metadata.mtime = entry.mtime;
  metadata.atime = entry.atime.value_or(entry.mtime);
  for (const timespec& time : {metadata.atime, metadata.mtime})
    if (time.tv_nsec < 0 || time.tv_nsec >= kNanosPerSecond)
      return fail(Errc::InvalidImage, "time with nanoseconds out of range");
  NX_CHECK(set_xattrs(entry, metadata));
  return metadata;
}

Result<> check_target(const image::content::TarEntry& entry) {
  if (entry.type != TarType::symlink) return {};
  if (entry.link_name.empty() || entry.link_name.size() >= PATH_MAX)
    return fail(Errc::InvalidImage, "symlink target is empty or longer than 4095 bytes");
  return {};
}

Result<> check_device(const image::content::TarEntry& entry) {
  const bool is_char = entry.type == TarType::char_device;
  if (!is_char && entry.type != TarType::block_device) return {};
  const std::string number =
      std::to_string(entry.dev_major) + ":" + std::to_string(entry.dev_minor);
  if (entry.dev_major > kMaxMajor || entry.dev_minor > kMaxMinor)
    return fail(Errc::InvalidImage, "device number " + number + " is out of range");
  // To overlayfs this device is a whiteout: the image would hide files by the back door.
  if (is_char && entry.dev_major == 0 && entry.dev_minor == 0)
    return fail(Errc::InvalidImage, "character device 0:0 cannot be part of a layer");
  return {};
}

}  // namespace nexcage::layerfs::tree
