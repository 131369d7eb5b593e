// Making images.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/storage/copy_tree.h"
#include "nexcage/storage/raw/device.h"
#include "nexcage/storage/raw/image.h"
#include "nexcage/storage/raw/image_file.h"
#include "nexcage/storage/raw/make_ext4.h"
#include "nexcage/storage/raw/tool.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/new_file.h"

namespace nexcage::storage::raw {
namespace {

bool is_uuid(std::string_view text) {
  constexpr std::string_view kForm = "00000000-0000-0000-0000-000000000000";
  return text.size() == kForm.size() && std::ranges::equal(text, kForm, [](char c, char form) {
           return form == '-' ? c == '-' : std::string_view("0123456789abcdefABCDEF").contains(c);
         });
}

Result<> check_spec(const ImageSpec& spec) {
  const std::uint64_t least = minimal_size(spec.file_system);
  if (spec.bytes < least)
    return fail(Errc::InvalidSpec, "size " + format_bytes(spec.bytes) + " is too small: " +
                                       std::string(file_system_name(spec.file_system)) + " needs " +
                                       format_bytes(least));
  if (!spec.uuid.empty() && !is_uuid(spec.uuid))
    return fail(Errc::InvalidSpec, "uuid " + quote(spec.uuid));
  return {};
}

/// What every xfs is made with, whatever the defaults of the program's version: Linux 5.10 mounts
/// it.
Result<> format_xfs(const std::string& path, const ImageSpec& spec, const Programs& programs) {
  constexpr std::size_t kMaxLabel = 12;
  std::string metadata = "crc=1,finobt=1,inobtcount=1,bigtime=1,reflink=1,rmapbt=0";
  if (!spec.uuid.empty()) metadata += ",uuid=" + spec.uuid;
  Tool tool;
  tool.argv = {programs.mkfs_xfs, "-q", "-m", metadata, "-i", "sparse=1,nrext64=0"};
  if (!spec.label.empty())
    tool.argv.insert(tool.argv.end(), {"-L", spec.label.substr(0, kMaxLabel)});
  tool.argv.push_back(path);
  NX_CHECK(run_tool(tool));
  return {};
}

/// Fills a file system that was just made, through a mount that nobody else sees.
Result<> fill(int image, const ImageSpec& spec, const std::string& tree, const Programs& programs) {
  NX_TRY(const sys::DetachedMount mount,
         mount_open_image(image, spec.file_system, sys::Access::read_write, 0));
  // e2fsck makes it again when it needs it; in a container's root it is in the way.
  if (::unlinkat(mount.get(), "lost+found", AT_REMOVEDIR) != 0 && errno != ENOENT)
    return fail_errno("remove lost+found");
  if (!tree.empty())
    NX_CHECK(copy_tree(tree, sys::fd_path(mount.get()), programs.cp));
  else if (::fchownat(mount.get(), "", spec.root_uid, spec.root_gid, AT_EMPTY_PATH) != 0)
    return fail_errno("set the owner of the top directory");
  // Here, and not when it is unmounted, it is told that something could not be written.
  NX_TRY(const UniqueFd top, sys::open_at(mount.get(), ".", O_RDONLY | O_DIRECTORY));
  if (::syncfs(top.get()) != 0) return fail_errno("write the file system back");
  return {};
}

Result<> format_and_fill(int image, const std::string& path, const ImageSpec& spec,
                         const std::string& tree, const Programs& programs) {
  if (spec.file_system == FileSystem::ext4 && !spec.uuid.empty())
    return make_reproducible_ext4(path, spec, tree, programs);
  if (spec.file_system == FileSystem::ext4)
    NX_CHECK(format_ext4(path, spec, programs));
  else
    NX_CHECK(format_xfs(path, spec, programs));
  return fill(image, spec, tree, programs);
}

Error explain_full(Error error, const ImageSpec& spec) {
  if (error.sys_errno() != ENOSPC) return error;
  return std::move(error).hint("the image has " + format_bytes(spec.bytes) +
                               ": make it larger than what is put into it");
}

/// Says which of the two file systems is full: a loop device makes EIO of it when it is the one
/// that the image lies in.
Error explain(Error error, int image, const ImageSpec& spec) {
  constexpr std::uint64_t kNearlyNothing = std::uint64_t{1} << 20;
  struct statvfs host{};
  if (::fstatvfs(image, &host) == 0 && host.f_bavail * host.f_frsize < kNearlyNothing)
    return std::move(error).hint("the file system that the image lies in is full");
  return explain_full(std::move(error), spec);
}

Result<> sync_parent(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path();
  NX_TRY(const UniqueFd dir,
         sys::open_at(AT_FDCWD, parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY));
  return sys::fsync_fd(dir.get(), "directory");
}

}  // namespace

Result<> make_image(const std::string& path, const ImageSpec& spec, const std::string& tree,
                    const Programs& programs) {
  const std::string what = "make image " + path;
  NX_CHECK(check_spec(spec), what);
  NX_TRY(sys::NewFile image, sys::NewFile::create(path), what);
  NX_CHECK(lock_new_image(image.fd()), what);
  if (::ftruncate(image.fd(), static_cast<off_t>(spec.bytes)) != 0) return fail_errno(what);
  if (auto done = format_and_fill(image.fd(), path, spec, tree, programs); !done)
    return fail(explain(std::move(done).error(), image.fd(), spec).wrap(what));
  NX_CHECK(sys::fsync_fd(image.fd(), "image"), what);
  NX_CHECK(sync_parent(path), what);
  image.keep();
  return {};
}

Result<> fill_device(const std::string& path, const ImageSpec& spec, const std::string& tree,
                     const Programs& programs) {
  const std::string what = "make a file system on " + path;
  NX_TRY(const UniqueFd device, open_image(path, sys::Access::read_write, Lock::exclusive), what);
  NX_TRY(const bool is_block, is_device(device.get()), what);
  if (!is_block) return fail(Errc::FileError, what + ": it is no block device");
  ImageSpec fitted = spec;
  NX_TRY(fitted.bytes, size_of(device.get()), what);
  NX_CHECK(check_spec(fitted), what);
  if (auto done = format_and_fill(device.get(), path, fitted, tree, programs); !done)
    return fail(explain_full(std::move(done).error(), fitted).wrap(what));
  return sys::fsync_fd(device.get(), "device");
}

}  // namespace nexcage::storage::raw
