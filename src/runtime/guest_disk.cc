#include "nexcage/runtime/guest_disk.h"

#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "nexcage/base/text.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/undo.h"
#include "nexcage/storage/raw/image.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kBlock = 4096;
// mke2fs makes an inode for so many bytes (inode_ratio of mke2fs.conf).
constexpr std::uint64_t kBytesPerInode = 16384;

struct CloseFts {
  void operator()(FTS* tree) const { (void)::fts_close(tree); }
};

/// Bytes of a file that are no hole. Blocks do not tell: file systems that compress have fewer.
std::uint64_t data_of(const FTSENT& entry) {
  const struct stat& about = *entry.fts_statp;
  const auto size = static_cast<std::uint64_t>(about.st_size);
  if (!S_ISREG(about.st_mode) || static_cast<std::uint64_t>(about.st_blocks) * 512 >= size)
    return size;
  const auto file = sys::open_at(AT_FDCWD, entry.fts_accpath, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file) return size;
  std::uint64_t bytes = 0;
  for (off_t at = 0, end = 0; (at = ::lseek(file->get(), end, SEEK_DATA)) >= 0;) {
    end = ::lseek(file->get(), at, SEEK_HOLE);
    if (end < 0) return size;
    bytes += static_cast<std::uint64_t>(end - at);
  }
  return errno == ENXIO ? bytes : size;
}

/// What the files below `top`, a mount that only we see, take on disk.
Result<std::uint64_t> measure(const std::string& top) {
  std::string path = top;
  char* roots[] = {path.data(), nullptr};
  const std::unique_ptr<FTS, CloseFts> tree(
      ::fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, nullptr));
  if (!tree) return fail_errno("read " + top);
  std::uint64_t files = 0, bytes = 0;
  errno = 0;
  while (const FTSENT* entry = ::fts_read(tree.get())) {
    if (entry->fts_info == FTS_DP) continue;
    if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS) {
      errno = entry->fts_errno;
      return fail_errno("read " + std::string(entry->fts_path));
    }
    ++files;
    bytes += (data_of(*entry) + kBlock - 1) / kBlock * kBlock;
    errno = 0;
  }
  if (errno != 0) return fail_errno("read " + top);
  return disk_size(files, bytes);
}

Result<std::string> mount_image(const image::Store& store, const image::Image& image,
                                const std::string& work, FileUndoLog& log, const Services& with) {
  NX_TRY(const auto driver, with.open_layerfs({}));
  NX_CHECK(log.will_prepare_layers(with.settings.layers, std::string(driver->name())));
  NX_TRY(const layerfs::PreparedStack stack, driver->prepare(store, image));
  const layerfs::MountPoint at{.target = work + "/tree", .upper = work + "/upper"};
  for (const std::string& directory : {at.target, at.upper}) {
    NX_CHECK(log.will_create_dir(directory));
    NX_CHECK(sys::mkdirs(directory, 0700));
  }
  NX_CHECK(log.will_mount_layers(with.settings.layers, driver->plan(stack, at)));
  NX_CHECK(driver->mount(stack, at, {.access = layerfs::Access::read_only}));
  return at.target;
}

Result<std::string> make_file(const std::string& tree, const std::string& file) {
  storage::raw::ImageSpec spec;
  spec.label = "nexcage-root";
  NX_TRY(spec.bytes, measure(tree));
  NX_CHECK(storage::raw::make_image(file, spec, tree));
  return file;
}

}  // namespace

std::uint64_t disk_size(std::uint64_t files, std::uint64_t bytes) {
  // A tenth for what is not files' content, and the journal with a little room.
  const std::uint64_t content = bytes + bytes / 10 + 48 * kMiB;
  const std::uint64_t inodes = (files + files / 10 + 1024) * kBytesPerInode;
  return (std::max(content, inodes) + kMiB - 1) / kMiB * kMiB;
}

Result<backends::GuestImage::Disk> make_guest_disk(const image::Store& store,
                                                   const image::Image& image, const std::string& id,
                                                   const std::string& work, const Services& with) {
  const std::string what = "root disk of image " + image.manifest_descriptor.digest.str();
  const std::string file = work + "/root.raw";
  NX_TRY(auto log, FileUndoLog::create(Paths(with.settings).undo_dir(), id + "@disk"), what);
  if (::unlink(file.c_str()) != 0 && errno != ENOENT) return fail_errno("remove " + file);
  NX_TRY(const std::string tree, mount_image(store, image, work, log, with), what);
  auto made = make_file(tree, file);
  auto undone = log.roll_back();
  if (!made) return fail(std::move(made).error().wrap(what));
  NX_CHECK(std::move(undone), what);
  struct stat about{};
  if (::stat(file.c_str(), &about) != 0) return fail_errno(what);
  return backends::GuestImage::Disk{.file = file,
                                    .bytes = static_cast<std::uint64_t>(about.st_size)};
}

}  // namespace nexcage::runtime
