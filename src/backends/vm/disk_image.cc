#include "nexcage/backends/vm/disk_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::vm {
namespace {

/// Where the superblocks looked for lie: within this much of the disk's beginning.
constexpr std::size_t kHead = 4096;

Result<std::string> read_at(int fd, std::uint64_t offset, std::size_t size) {
  std::string out(size, '\0');
  const ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
  if (n < 0) return fail_errno("read a disk image");
  out.resize(static_cast<std::size_t>(n));
  return out;
}

std::uint64_t big_endian(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < size; ++i)
    out = out << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0U);
  return out;
}

/// QEMU's docs/interop/qcow2.txt.
constexpr std::string_view kQcow2Magic("QFI\xfb", 4);
constexpr std::size_t kQcow2Header = 104;
constexpr std::uint64_t kOffsetBits = 0x00fffffffffffe00;
constexpr std::uint64_t kCompressed = std::uint64_t{1} << 62;

Result<> check_qcow2(std::string_view header) {
  if (!header.starts_with(kQcow2Magic) || header.size() < kQcow2Header)
    return fail(Errc::InvalidConfig, "it is no qcow2 image");
  const std::uint64_t version = big_endian(header, 4, 4);
  if (version != 2 && version != 3)
    return fail(Errc::InvalidConfig, "qcow2 of version " + std::to_string(version));
  if (big_endian(header, 8, 8) != 0 || big_endian(header, 16, 4) != 0)
    return fail(Errc::InvalidConfig, "the qcow2 image has a backing file");
  if (big_endian(header, 32, 4) != 0) return fail(Errc::InvalidConfig, "it is encrypted");
  const std::uint64_t cluster_bits = big_endian(header, 20, 4);
  if (cluster_bits < 9 || cluster_bits > 21)
    return fail(Errc::InvalidConfig, "qcow2 with a cluster size that does not exist");
  // Dirty and corrupt are QEMU's to judge; external data and extended tables name other files or
  // another layout.
  constexpr std::uint64_t kKnown = 0x3 | 0x8;  // dirty, corrupt, compression type
  if (version == 3 && (big_endian(header, 72, 8) & ~kKnown) != 0)
    return fail(Errc::InvalidConfig, "the qcow2 image has external data or unknown features");
  return {};
}

/// The beginning of the disk that the image holds, through its first tables.
Result<std::string> qcow2_head(int fd) {
  NX_TRY(const std::string header, read_at(fd, 0, kQcow2Header));
  NX_CHECK(check_qcow2(header));
  NX_TRY(const std::string first, read_at(fd, big_endian(header, 40, 8), 8));
  const std::uint64_t second_table = big_endian(first, 0, 8) & kOffsetBits;
  if (second_table == 0) return std::string();
  NX_TRY(const std::string entry, read_at(fd, second_table, 8));
  const std::uint64_t value = big_endian(entry, 0, 8);
  if ((value & kCompressed) != 0)
    return fail(Errc::Unsupported, "a qcow2 image whose beginning is compressed");
  if ((value & kOffsetBits) == 0) return std::string();
  const std::uint64_t cluster = std::uint64_t{1} << big_endian(header, 20, 4);
  return read_at(fd, value & kOffsetBits,
                 static_cast<std::size_t>(std::min<std::uint64_t>(cluster, kHead)));
}

std::optional<std::string> file_system_of(std::string_view head) {
  const auto has = [&](std::size_t at, std::string_view magic) {
    return head.size() >= at + magic.size() && head.substr(at, magic.size()) == magic;
  };
  if (has(0, "XFSB")) return "xfs";
  if (has(0, "hsqs")) return "squashfs";
  if (has(1024, std::string_view("\xe2\xe1\xf5\xe0", 4))) return "erofs";
  if (has(1024 + 56, std::string_view("\x53\xef", 2))) return "ext4";
  return std::nullopt;
}

}  // namespace

Result<DiskImage> open_disk_image(const std::string& path, const std::string& format,
                                  bool read_only) {
  DiskImage out;
  if (format != "raw" && format != "qcow2")
    return fail(Errc::Unsupported, "vm.image.format: " + quote(format) +
                                       " is not supported by the vm backend (raw, qcow2)");
  out.qcow2 = format == "qcow2";
  NX_TRY(out.file, sys::open_at(AT_FDCWD, path, (read_only ? O_RDONLY : O_RDWR) | O_NONBLOCK));
  NX_TRY(const struct stat info, sys::stat_fd(out.file.get()));
  if (!S_ISREG(info.st_mode)) return fail(Errc::InvalidConfig, path + " is no regular file");
  NX_TRY(const std::string head,
         out.qcow2 ? qcow2_head(out.file.get()) : read_at(out.file.get(), 0, kHead), path);
  const auto file_system = file_system_of(head);
  if (!file_system)
    return fail(Error(Errc::InvalidConfig, path + " holds no ext4, xfs, squashfs or EROFS")
                    .hint("the file system must fill the whole disk, without a partition table"));
  out.file_system = *file_system;
  return out;
}

}  // namespace nexcage::backends::vm
