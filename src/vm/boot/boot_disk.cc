#include "nexcage/vm/boot/boot_disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/new_file.h"
#include "nexcage/sys/process.h"
#include "nexcage/vm/boot/cpio.h"
#include "nexcage/vm/boot/tool.h"
#include "nexcage/vm/protocol/standalone.h"

namespace nexcage::vm::boot {
namespace {

constexpr std::uint64_t kDiskSector = 512;
constexpr std::uint64_t kMiB = 1u << 20;
/// Where the partition begins: at the place that partitioning tools choose.
constexpr std::uint64_t kStart = kMiB;
/// Boot loader, tables, and the rests of clusters.
constexpr std::uint64_t kSlack = kMiB;
/// FAT16 is what has more than 4084 clusters and fewer than 65525.
constexpr std::uint64_t kLeastPartition = 4 * kMiB;
constexpr std::uint64_t kMostClusters = 60000;
/// The loader reads no longer command line (syslinux, doc/syslinux.txt).
constexpr std::size_t kMaxLine = 2000;
constexpr std::size_t kMaxKeeper = 64u << 20;
constexpr std::size_t kMaxBootCode = 440;
constexpr const char* kBootCode = "/usr/lib/syslinux/mbr/mbr.bin";

/// What is needed, and the package that has it.
constexpr std::array<std::pair<const char*, const char*>, 3> kTools = {
    {{"mkfs.vfat", "dosfstools"}, {"mcopy", "mtools"}, {"syslinux", "syslinux"}}};

Error missing(const std::string& what, const std::string& package) {
  return Error(Errc::RuntimeNotAvailable, what + " is not installed")
      .hint("It is in the package " + package + ".");
}

Result<> check_tools() {
  for (const auto& [program, package] : kTools)
    if (!sys::find_system_program(program)) return fail(missing(program, package));
  if (::access(kBootCode, R_OK) != 0) return fail(missing(kBootCode, "syslinux-common"));
  return {};
}

/// The kernel as a boot loader has it.
Result<UniqueFd> open_image(const Kernel& kernel) {
  auto image = sys::open_at(AT_FDCWD, kernel.image, O_RDONLY);
  if (image) return image;
  Error error(Errc::RuntimeNotAvailable,
              "no kernel for boot loaders" + (kernel.image.empty() ? "" : ": " + kernel.image));
  return fail(std::move(error).hint("`nexcage vm setup` prepares one."));
}

Result<std::string> loader_config(const BootDisk& what) {
  const std::string line = kernel_line(what);
  if (line.size() > kMaxLine || std::ranges::any_of(line, [](unsigned char c) { return c < ' '; }))
    return fail(Errc::InvalidConfig, "kernel parameters: too long, or with control characters");
  return "DEFAULT nexcage\nPROMPT 0\nNOESCAPE 1\nLABEL nexcage\n LINUX vmlinuz\n INITRD initrd\n"
         " APPEND " +
         line + "\n";
}

/// What only such a machine has in its initramfs. The record is for the first process alone: it
/// holds the container's environment.
Result<std::string> own_archive(const BootDisk& what) {
  const std::string beside = what.init.substr(0, what.init.rfind('/') + 1);
  NX_TRY(const std::string keeper,
         sys::read_file(AT_FDCWD, beside + std::string(protocol::kKeeperFile), kMaxKeeper),
         "keeper");
  CpioWriter archive;
  archive.file(protocol::kKeeperFile, 0755, keeper);
  archive.file(protocol::kStandaloneFile, 0600, what.record);
  return std::move(archive).finish();
}

Result<std::uint64_t> size_of(int fd) {
  NX_TRY(const struct stat info, sys::stat_fd(fd));
  return static_cast<std::uint64_t>(info.st_size);
}

void put_u32(std::string& sector, std::size_t at, std::uint64_t value) {
  for (std::size_t i = 0; i < 4; ++i) sector[at + i] = static_cast<char>(value >> (8 * i) & 0xff);
}

/// The first sector: code that starts the active partition, and the only partition there is.
Result<> write_table(int disk, std::uint64_t bytes) {
  NX_TRY(std::string sector, sys::read_file(AT_FDCWD, kBootCode, kMaxBootCode), "boot code");
  sector.resize(kDiskSector, '\0');
  constexpr std::size_t kEntry = 446;
  sector[kEntry] = '\x80';
  // Positions that cylinders, heads and sectors cannot tell: BIOS goes by the numbers of sectors.
  sector.replace(kEntry + 1, 3, "\xfe\xff\xff");
  sector[kEntry + 4] = '\x0e';  // FAT16 with such positions
  sector.replace(kEntry + 5, 3, "\xfe\xff\xff");
  put_u32(sector, kEntry + 8, kStart / kDiskSector);
  put_u32(sector, kEntry + 12, (bytes - kStart) / kDiskSector);
  sector.replace(kDiskSector - 2, 2, "\x55\xaa");
  if (::pwrite(disk, sector.data(), sector.size(), 0) != static_cast<ssize_t>(sector.size()))
    return fail_errno("write a partition table");
  return {};
}

/// The disk is the tool's descriptor 3: no path of ours is read as something else.
constexpr int kDisk = 3;
const std::string kDiskPath = "/proc/self/fd/3";

/// Runs a tool in an environment that is the same everywhere and has no time of day.
Result<> run_on(int disk, std::vector<std::string> argv,
                std::vector<std::pair<int, int>> fds = {}) {
  sys::Command command;
  command.argv = std::move(argv);
  command.env = {"LC_ALL=C", "TZ=UTC", "SOURCE_DATE_EPOCH=315532800", "MTOOLSRC=/dev/null"};
  const char* path = std::getenv("PATH");
  if (path != nullptr) command.env.push_back(std::string("PATH=") + path);
  command.fds = std::move(fds);
  command.fds.emplace_back(disk, kDisk);
  command.die_with_parent = true;
  NX_CHECK(run_tool(std::move(command)));
  return {};
}

Result<> copy_in(int disk, int file, const std::string& name) {
  constexpr int kFile = 4;
  return run_on(
      disk,
      {"mcopy", "-i", kDiskPath + "@@" + std::to_string(kStart), "/proc/self/fd/4", "::" + name},
      {{file, kFile}});
}

Result<> make_file_system(int disk, std::uint64_t partition) {
  std::uint64_t cluster = 1;  // in sectors
  while (partition / kDiskSector / cluster > kMostClusters) cluster *= 2;
  const std::string start = std::to_string(kStart / kDiskSector);
  return run_on(disk, {"mkfs.vfat", "--invariant", "-F", "16", "-f", "1", "-s",
                       std::to_string(cluster), "-h", start, "--offset=" + start, "-n", "NEXCAGE",
                       kDiskPath, std::to_string(partition / 1024)});
}

}  // namespace

std::string kernel_line(const BootDisk& what) {
  std::vector<std::string> words = {"console=ttyS0", "panic=-1", "quiet", "cryptomgr.notests"};
  words.insert(words.end(), what.parameters.begin(), what.parameters.end());
  return join(words, " ");
}

Result<> make_boot_disk(const BootDisk& what, const std::string& target) {
  NX_CHECK(check_tools());
  NX_TRY(const UniqueFd image, open_image(what.kernel));
  NX_TRY(const std::string config, loader_config(what));
  NX_TRY(const UniqueFd config_file, sys::sealed_data(config, "syslinux.cfg"));
  NX_TRY(const std::string more, own_archive(what));
  NX_TRY(const UniqueFd initrd,
         assemble_initrd(what.kernel.initrd, what.init, what.file_systems, more));
  NX_TRY(const std::uint64_t image_bytes, size_of(image.get()));
  NX_TRY(const std::uint64_t initrd_bytes, size_of(initrd.get()));
  const std::uint64_t content = image_bytes + initrd_bytes + kSlack;
  const std::uint64_t partition =
      std::max(kLeastPartition, (content + content / 64 + kMiB - 1) / kMiB * kMiB);
  NX_TRY(sys::NewFile disk, sys::NewFile::create(target), "boot disk");
  if (::ftruncate(disk.fd(), static_cast<off_t>(kStart + partition)) < 0)
    return fail_errno("make a boot disk of " + format_bytes(kStart + partition));
  NX_CHECK(write_table(disk.fd(), kStart + partition));
  NX_CHECK(make_file_system(disk.fd(), partition));
  NX_CHECK(copy_in(disk.fd(), config_file.get(), "syslinux.cfg"));
  NX_CHECK(copy_in(disk.fd(), image.get(), "vmlinuz"));
  NX_CHECK(copy_in(disk.fd(), initrd.get(), "initrd"));
  NX_CHECK(
      run_on(disk.fd(), {"syslinux", "--offset", std::to_string(kStart), "--install", kDiskPath}));
  disk.keep();
  return {};
}

}  // namespace nexcage::vm::boot
