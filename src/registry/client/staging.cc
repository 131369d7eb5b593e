#include "nexcage/registry/client/staging.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "nexcage/sys/boot.h"
#include "nexcage/sys/fs.h"

namespace nexcage::registry::client {

namespace {

constexpr mode_t kBlobMode = 0644;
constexpr std::size_t kMaxMap = 1u << 20;

std::string name_of(const oci::Digest& digest) {
  return std::string(digest.algorithm()) + "-" + std::string(digest.hex());
}
std::string done_name(const std::string& name) { return name + ".done"; }
std::string map_name(const std::string& name) { return name + ".map"; }

/// Where it cannot be read, never equal to what a map says: then only what is durable counts.
std::string boot_id() { return sys::boot_id().value_or("unknown-boot"); }

Result<> write_at(int fd, std::uint64_t offset, std::string_view bytes, std::string_view what) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write " + std::string(what));
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

/// A file of this name and size.
Result<bool> is_file(int dir, const std::string& name, std::uint64_t size) {
  NX_TRY(auto found, sys::stat_at(dir, name));
  return found && S_ISREG(found->st_mode) && static_cast<std::uint64_t>(found->st_size) == size;
}

/// Opens or makes a file of ours with the mode of a blob, whatever the umask.
Result<UniqueFd> open_file(int dir, const std::string& name) {
  NX_TRY(UniqueFd fd, sys::open_at(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW, kBlobMode));
  if (::fchmod(fd.get(), kBlobMode) != 0) return fail_errno("set the mode of " + name);
  return fd;
}

}  // namespace

Result<> Partial::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  NX_CHECK(write_at(data_.get(), offset,
                    {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name_));
  map_.written.add({.begin = offset, .end = offset + bytes.size()});
  return save_map();
}

Result<> Partial::set_durable(std::uint64_t end) {
  map_.durable.add({.begin = 0, .end = end});
  return save_map();
}

Result<> Partial::save_map() {
  // In place and in one write: a process that is killed leaves the old or the new text, a power cut
  // may leave a mixture, which the checksum shows.
  return write_at(map_fd_.get(), 0, to_text(map_), map_name(name_));
}

Result<> Partial::start_over() {
  map_.written.clear();
  map_.durable.clear();
  if (::ftruncate(data_.get(), 0) != 0) return fail_errno("truncate " + name_);
  return save_map();
}

Result<> Partial::open_map(std::uint64_t size) {
  NX_TRY(map_fd_, open_file(dir_, map_name(name_)));
  NX_TRY(std::string text, sys::read_all(map_fd_.get(), kMaxMap));
  NX_TRY(struct stat data, sys::stat_fd(data_.get()));
  const auto known = parse_partial_map(text);
  map_ = {.size = size, .boot = boot_id(), .written = {}, .durable = {}};
  if (!known || usable(*known, size, boot_id()).empty()) {
    if (::ftruncate(data_.get(), 0) != 0) return fail_errno("truncate " + name_);
    return {};
  }
  map_.written = usable(*known, size, boot_id());
  map_.durable = known->durable;
  // Whatever the map says: bytes behind the end of the file are not there.
  const Interval behind{.begin = static_cast<std::uint64_t>(data.st_size), .end = size};
  map_.written.remove(behind);
  map_.durable.remove(behind);
  return {};
}

Result<> Partial::discard() {
  NX_CHECK(sys::remove_file(dir_, map_name(name_)));
  return sys::remove_file(dir_, name_);
}

Result<> Partial::publish() {
  if (::renameat(dir_, name_.c_str(), dir_, done_name(name_).c_str()) != 0)
    return fail_errno("rename " + name_);
  return sys::remove_file(dir_, map_name(name_));
}

Result<Staging> Staging::open(const std::string& images) {
  NX_TRY(UniqueFd root, sys::open_at(AT_FDCWD, images, O_RDONLY | O_DIRECTORY), "image store");
  const std::string name(kStagingDir);
  if (::mkdirat(root.get(), name.c_str(), 0700) != 0 && errno != EEXIST)
    return fail_errno("create " + images + "/" + name);
  NX_TRY(UniqueFd dir, sys::open_at(root.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return Staging(std::move(root), std::move(dir));
}

Result<Staging::Found> Staging::find(const oci::Digest& digest, std::uint64_t size) const {
  // In the order of its way: what is moved on between the two looks is seen by the second.
  NX_TRY(bool staged, is_file(dir_.get(), done_name(name_of(digest)), size));
  NX_TRY(bool stored, is_file(images_.get(), digest.blob_path(), size));
  if (stored) return Found::stored;
  return staged ? Found::staged : Found::nowhere;
}

Result<std::optional<std::string>> Staging::read(const oci::Digest& digest,
                                                 std::uint64_t size) const {
  NX_TRY(const Found found, find(digest, size));
  if (found == Found::nowhere) return std::nullopt;
  // It may be on its way from one name to the other.
  auto text = sys::read_file(dir_.get(), done_name(name_of(digest)), size);
  if (!text && text.error().sys_errno() == ENOENT)
    text = sys::read_file(images_.get(), digest.blob_path(), size);
  if (!text && text.error().sys_errno() == ENOENT) return std::nullopt;
  if (!text) return fail(std::move(text).error());
  return *std::move(text);
}

Result<std::optional<Partial>> Staging::try_begin(const oci::Digest& digest,
                                                  std::uint64_t size) const {
  const std::string name = name_of(digest);
  while (true) {
    NX_TRY(UniqueFd data, open_file(dir_.get(), name));
    if (::flock(data.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return std::nullopt;
      if (errno == EINTR) continue;
      return fail_errno("lock " + name);
    }
    // It may have been finished, and renamed, between the two calls.
    NX_TRY(struct stat ours, sys::stat_fd(data.get()));
    NX_TRY(auto named, sys::stat_at(dir_.get(), name));
    if (!named || named->st_ino != ours.st_ino) continue;
    Partial partial(dir_.get(), name, std::move(data));
    NX_CHECK(partial.open_map(size), name);
    return partial;
  }
}

Result<> Staging::add_document(const oci::Digest& digest, std::string_view text) const {
  NX_TRY(Found found, find(digest, text.size()));
  if (found != Found::nowhere) return {};
  const std::string name = name_of(digest);
  // One name for all: two processes write the same bytes to the same places, and what a killed one
  // leaves is taken up by the next.
  const std::string temporary = name + ".new";
  NX_TRY(UniqueFd file, open_file(dir_.get(), temporary));
  NX_CHECK(write_at(file.get(), 0, text, name));
  if (::ftruncate(file.get(), static_cast<off_t>(text.size())) != 0)
    return fail_errno("truncate " + temporary);
  NX_CHECK(sys::fsync_fd(file.get(), name));
  if (::renameat(dir_.get(), temporary.c_str(), dir_.get(), done_name(name).c_str()) == 0)
    return {};
  const int error = errno;
  NX_TRY(found, find(digest, text.size()));
  if (error == ENOENT && found != Found::nowhere) return {};  // the other one was faster
  return fail_errno(error, "rename " + temporary);
}

}  // namespace nexcage::registry::client
