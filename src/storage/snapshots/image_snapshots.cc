// Snapshots of a raw image: files beside it that share its blocks.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <tuple>
#include <utility>

#include "nexcage/base/testpoint.h"
#include "nexcage/storage/raw/image.h"
#include "nexcage/storage/raw/image_file.h"
#include "nexcage/storage/snapshots/parts.h"
#include "nexcage/storage/snapshots/snapshots.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/reflink.h"

namespace nexcage::storage {
namespace {

constexpr std::string_view kSuffix = ".raw";
constexpr mode_t kPrivate = 0700, kOurs = 0600, kReadOnly = 0400, kModeBits = 07777;

std::string file_name(const std::string& name) { return name + std::string(kSuffix); }

/// A file without a name: a process that is killed leaves nothing.
Result<UniqueFd> unnamed_file(int directory) {
  auto file = sys::open_at(directory, ".", O_RDWR | O_TMPFILE, kReadOnly);
  if (file || (file.error().sys_errno() != EOPNOTSUPP && file.error().sys_errno() != EISDIR))
    return file;
  NX_TRY(const std::string name, sys::fs_name(directory));
  return fail(std::move(file)
                  .error()
                  .as(Errc::Unsupported)
                  .wrap("the file system (" + name + ") cannot make a file without a name"));
}

Result<> give_name(int file, int directory, const std::string& name) {
  if (::linkat(AT_FDCWD, sys::fd_path(file).c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW) !=
      0)
    return fail_errno("name the snapshot");
  return {};
}

/// A time for a new snapshot: now, and later than those of all that are there, so that their order
/// is that of their making, however coarse or unsteady the clock is. The caller holds the lock.
Result<struct timespec> next_time(int directory) {
  constexpr long kSecond = 1'000'000'000;
  struct timespec next{};
  if (::clock_gettime(CLOCK_REALTIME, &next) != 0) return fail_errno("read the clock");
  NX_TRY(const std::vector<std::string> names, sys::list_dir(directory));
  for (const std::string& file : names) {
    if (!file.ends_with(kSuffix)) continue;
    NX_TRY(const auto info, sys::stat_at(directory, file));
    if (!info ||
        std::tie(info->st_mtim.tv_sec, info->st_mtim.tv_nsec) < std::tie(next.tv_sec, next.tv_nsec))
      continue;
    next = info->st_mtim;
    if (++next.tv_nsec == kSecond) next = {.tv_sec = next.tv_sec + 1, .tv_nsec = 0};
  }
  return next;
}

class ImageSnapshots : public Snapshots {
 public:
  ImageSnapshots(std::string image, std::string directory, std::optional<std::string> mounted)
      : image_(std::move(image)), directory_(std::move(directory)), mounted_(std::move(mounted)) {}

  Result<> create(const std::string& name) override {
    NX_CHECK(check_snapshot_name(name));
    NX_CHECK(make(name), "snapshot " + name);
    return {};
  }
  Result<std::vector<SnapshotInfo>> list() override;
  Result<> rollback(const std::string& name) override {
    NX_CHECK(check_snapshot_name(name));
    NX_CHECK(replace(name), "roll back to " + name);
    return {};
  }
  Result<> remove(const std::string& name) override;

 private:
  Result<> make(const std::string& name);
  Result<> replace(const std::string& name);
  Result<> clone_image(int to) const;
  /// The directory that the image is in, without what a killed rollback has left there.
  Result<UniqueFd> open_parent() const;

  std::filesystem::path image_;
  std::string directory_;  // of the snapshots
  std::optional<std::string> mounted_;
};

Result<UniqueFd> ImageSnapshots::open_parent() const {
  NX_TRY(UniqueFd parent, sys::open_at(AT_FDCWD, image_.parent_path(), O_RDONLY | O_DIRECTORY));
  NX_CHECK(sys::remove_file(parent.get(), replacement_name(image_.filename())));
  return parent;
}

/// Of an image that nobody has mounted to be written to, or that is frozen for the moment.
Result<> ImageSnapshots::clone_image(int to) const {
  if (!mounted_) {
    NX_TRY(const UniqueFd image,
           raw::open_image(image_, sys::Access::read_only, raw::Lock::shared));
    return sys::clone_file(image.get(), to);
  }
  NX_TRY(const UniqueFd image, raw::open_image(image_, sys::Access::read_only, raw::Lock::none));
  NX_TRY(const UniqueFd top, sys::open_at(AT_FDCWD, *mounted_, O_RDONLY | O_DIRECTORY));
  NX_CHECK(raw::device_of_mounted(image.get(), image_, top.get()));
  NX_TRY(raw::Frozen frozen, raw::Frozen::freeze(top.get()));
  testpoint("image-frozen");
  const auto cloned = sys::clone_file(image.get(), to);
  NX_CHECK(frozen.thaw());
  return cloned;
}

Result<> ImageSnapshots::make(const std::string& name) {
  NX_CHECK(sys::mkdirs(directory_, kPrivate));
  NX_TRY(const UniqueFd directory, open_if_there(directory_));
  NX_TRY(const sys::FileLock lock, lock_snapshots(directory.get()));
  NX_CHECK(open_parent());
  NX_TRY(const bool taken, sys::exists(directory.get(), file_name(name)));
  if (taken) return fail(exists_already(name));
  NX_TRY(const UniqueFd file, unnamed_file(directory.get()));
  NX_CHECK(clone_image(file.get()));
  // The time that list() tells: nobody writes to the file after this.
  NX_TRY(const struct timespec now, next_time(directory.get()));
  if (const std::array times{now, now}; ::futimens(file.get(), times.data()) != 0)
    return fail_errno("set the time of the snapshot");
  NX_CHECK(sys::fsync_fd(file.get(), "snapshot"));
  NX_CHECK(give_name(file.get(), directory.get(), file_name(name)));
  return sys::fsync_fd(directory.get(), "directory");
}

Result<std::vector<SnapshotInfo>> ImageSnapshots::list() {
  NX_TRY(const UniqueFd directory, open_if_there(directory_), "list snapshots");
  std::vector<Dated> found;
  if (!directory) return by_age(std::move(found));
  NX_TRY(const std::vector<std::string> names, sys::list_dir(directory.get()), "list snapshots");
  for (const std::string& file : names) {
    if (!file.ends_with(kSuffix)) continue;
    const std::string name = file.substr(0, file.size() - kSuffix.size());
    NX_TRY(const auto info, sys::stat_at(directory.get(), file), "list snapshots");
    if (!info || !S_ISREG(info->st_mode) || !check_snapshot_name(name)) continue;
    NX_TRY(const UniqueFd snapshot, sys::open_at(directory.get(), file, O_RDONLY | O_NOFOLLOW),
           "list snapshots");
    NX_TRY(const std::uint64_t bytes, sys::unshared_bytes(snapshot.get()), "list snapshots");
    found.push_back({.info = {.name = name,
                              .created = static_cast<std::uint64_t>(info->st_mtim.tv_sec),
                              .bytes = bytes},
                     .nanoseconds = static_cast<std::uint64_t>(info->st_mtim.tv_nsec),
                     .serial = 0});
  }
  return by_age(std::move(found));
}

/// Makes `to` a copy of the snapshot that can take the place of `image`.
Result<> prepare_replacement(int snapshot, int to, int image) {
  NX_TRY(const struct stat before, sys::stat_fd(image));
  NX_CHECK(sys::clone_file(snapshot, to));
  if (::fchown(to, before.st_uid, before.st_gid) != 0)
    return fail_errno("set the owner of the image");
  if (::fchmod(to, before.st_mode & kModeBits) != 0) return fail_errno("set the mode of the image");
  return sys::fsync_fd(to, "image");
}

Result<> ImageSnapshots::replace(const std::string& name) {
  NX_TRY(const UniqueFd directory, open_if_there(directory_));
  if (!directory) return fail(no_such_snapshot(name));
  NX_TRY(const sys::FileLock lock, lock_snapshots(directory.get()));
  auto snapshot = sys::open_at(directory.get(), file_name(name), O_RDONLY | O_NOFOLLOW);
  if (!snapshot && snapshot.error().sys_errno() == ENOENT) return fail(no_such_snapshot(name));
  if (!snapshot) return fail(std::move(snapshot).error());
  // Nobody may have it mounted, and nobody can mount it until its successor has the name.
  NX_TRY(const UniqueFd image,
         raw::open_image(image_, sys::Access::read_write, raw::Lock::exclusive));
  NX_TRY(const UniqueFd parent, open_parent());
  const std::string aside = replacement_name(image_.filename());
  NX_TRY(const UniqueFd file,
         sys::open_at(parent.get(), aside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, kOurs));
  auto done = prepare_replacement(snapshot->get(), file.get(), image.get());
  testpoint("rollback-before-exchange");
  if (done && ::renameat(parent.get(), aside.c_str(), parent.get(), image_.filename().c_str()) != 0)
    done = fail_errno("put the image in place");
  testpoint("rollback-after-exchange");
  if (done) return sys::fsync_fd(parent.get(), "directory");
  if (auto undone = sys::remove_file(parent.get(), aside); !undone)
    return fail(std::move(done).error().also(std::move(undone).error()));
  return done;
}

Result<> ImageSnapshots::remove(const std::string& name) {
  const std::string what = "remove snapshot " + name;
  NX_CHECK(check_snapshot_name(name));
  NX_TRY(const UniqueFd directory, open_if_there(directory_), what);
  if (!directory) return fail(no_such_snapshot(name));
  NX_TRY(const sys::FileLock lock, lock_snapshots(directory.get()), what);
  NX_CHECK(open_parent(), what);
  NX_TRY(const bool there, sys::exists(directory.get(), file_name(name)), what);
  if (!there) return fail(no_such_snapshot(name));
  NX_CHECK(sys::remove_file(directory.get(), file_name(name)), what);
  NX_CHECK(sys::fsync_fd(directory.get(), "directory"), what);
  return {};
}

}  // namespace

Result<std::unique_ptr<Snapshots>> open_image_snapshots(const std::string& image,
                                                        const std::string& directory,
                                                        const std::optional<std::string>& mounted) {
  // What the names of files are made of later must not depend on the current directory.
  std::error_code error;
  const std::string path = std::filesystem::absolute(image, error);
  if (error) return fail_errno(error.value(), "find the current directory");
  NX_CHECK(raw::open_image(path, sys::Access::read_only, raw::Lock::none),
           "snapshots of image " + image);
  return std::make_unique<ImageSnapshots>(path, directory, mounted);
}

}  // namespace nexcage::storage
