#include "nexcage/image/layout.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "nexcage/base/text.h"
#include "nexcage/image/sha256.h"

namespace nexcage::image {

namespace {

constexpr std::string_view kMarker = "oci-layout";
constexpr std::string_view kMarkerText = "{\"imageLayoutVersion\":\"1.0.0\"}";
constexpr std::string_view kIndexFile = "index.json";
constexpr int kLockTimeout = 60'000;    // ms; index changes take milliseconds
constexpr int kBlobsTimeout = 600'000;  // ms; removing the blobs of a large image takes seconds
constexpr std::size_t kMaxDocument = json::Limits{}.max_bytes;

oci::Index empty_index() {
  oci::Index index;
  index.media_type = oci::media::kIndex;
  return index;
}

/// mkdirat that is content with what is there.
Result<> ensure_dir(int dir, const std::string& name, mode_t mode) {
  if (::mkdirat(dir, name.c_str(), mode) != 0 && errno != EEXIST)
    return fail_errno("create directory " + name);
  return {};
}

Result<> check_marker(const std::string& text, const std::string& root) {
  auto marker = json::parse(text);
  if (!marker || !marker->text("imageLayoutVersion").starts_with("1."))
    return fail(Errc::ConfigError,
                root + "/oci-layout is not that of an OCI image layout of version 1");
  return {};
}

}  // namespace

Result<> Layout::check_or_create(int dir, const std::string& root, Store::IfMissing if_missing) {
  NX_TRY(bool marked, sys::exists(dir, std::string(kMarker)));
  if (marked) {
    NX_TRY(std::string text, sys::read_file(dir, std::string(kMarker), kMaxDocument));
    return check_marker(text, root);
  }
  NX_TRY(auto names, sys::list_dir(dir));
  // "lost+found": the store may be a file system of its own. Temporary names: another creator.
  // "containers": info.json of containers made from bundles, which need no image.
  auto foreign = std::ranges::find_if(names, [](const std::string& name) {
    return name != "lost+found" && name != "containers" && !name.starts_with('.');
  });
  if (foreign != names.end())
    return fail(Error(Errc::ConfigError, "image store " + root + ": holds " + quote(*foreign) +
                                             " and is no OCI image layout")
                    .hint("choose an empty or a new directory for [storage] images"));
  if (if_missing == Store::IfMissing::fail)
    return fail(Errc::ConfigError, "image store " + root + ": has no images yet");
  return sys::write_file_atomic(dir, std::string(kMarker), kMarkerText, 0644, sys::Durable::yes);
}

Result<Layout> Layout::open(const std::string& root, Store::IfMissing if_missing) {
  if (if_missing == Store::IfMissing::create) NX_CHECK(sys::mkdirs(root, 0755), "image store");
  auto fd = sys::open_at(AT_FDCWD, root, O_RDONLY | O_DIRECTORY);
  if (!fd && if_missing == Store::IfMissing::fail && fd.error().sys_errno() == ENOENT)
    return fail(Errc::ConfigError, "image store " + root + ": does not exist");
  if (!fd) return fail(std::move(fd).error().wrap("image store"));
  NX_CHECK(check_or_create(fd->get(), root, if_missing));
  Layout layout(root, *std::move(fd));
  NX_CHECK(layout.complete(), "image store " + root);
  return layout;
}

/// Makes what is missing: a new store, one that another tool wrote, or one whose creator died.
Result<> Layout::complete() {
  auto tmp = sys::open_at(fd(), ".tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  NX_TRY(bool indexed, sys::exists(fd(), std::string(kIndexFile)));
  if (!tmp || !indexed) {
    NX_CHECK(ensure_dir(fd(), "blobs", 0755));
    NX_CHECK(ensure_dir(fd(), "blobs/sha256", 0755));
    NX_CHECK(ensure_dir(fd(), ".tmp", 0700));
    tmp = sys::open_at(fd(), ".tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }
  if (!tmp) return fail(std::move(tmp).error());
  tmp_ = *std::move(tmp);
  if (indexed) return {};
  NX_TRY(auto lock, lock_index());
  NX_TRY(bool indexed_now, sys::exists(fd(), std::string(kIndexFile)));
  if (indexed_now) return {};
  return write_index(empty_index());
}

Result<sys::FileLock> Layout::lock_index() const {
  return sys::FileLock::acquire(fd(), ".lock", sys::FileLock::Kind::exclusive, kLockTimeout);
}

Result<sys::FileLock> Layout::share_blobs() const {
  return sys::FileLock::acquire(fd(), ".blobs.lock", sys::FileLock::Kind::shared, kBlobsTimeout);
}

Result<std::optional<sys::FileLock>> Layout::try_own_blobs() const {
  return sys::FileLock::try_acquire(fd(), ".blobs.lock", sys::FileLock::Kind::exclusive);
}

Result<oci::Index> Layout::read_index() const {
  NX_TRY(std::string text, sys::read_file(fd(), std::string(kIndexFile), kMaxDocument));
  std::string where = root_ + "/index.json";
  auto value = json::parse(text);
  if (!value) return fail(std::move(value).error().as(Errc::InvalidImage).wrap(where));
  NX_TRY(oci::Index index, oci::parse_index(*value), where);
  return index;
}

Result<> Layout::write_index(const oci::Index& index) const {
  std::string text = json::dump(oci::to_json(index));
  if (text.size() > kMaxDocument)
    return fail(Errc::InvalidImage, "the store's index.json would become larger than 4 MiB");
  NX_TRY(Temp file, Temp::create(tmp_fd(), "index", Temp::Kind::file));
  NX_CHECK(sys::write_all(file.fd(), text), "write index.json");
  NX_CHECK(sys::fsync_fd(file.fd(), "index.json"));
  NX_CHECK(file.publish(fd(), std::string(kIndexFile)));
  return sys::fsync_fd(fd(), root_);
}

Result<UniqueFd> Layout::open_blob(const oci::Descriptor& blob) const {
  std::string name = "blob " + blob.digest.str();
  // O_NONBLOCK: a FIFO in the place of a blob must not hang us.
  auto file = sys::open_at(fd(), blob.digest.blob_path(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file && file.error().sys_errno() == ENOENT)
    return fail(Errc::InvalidImage, name + ": is missing from the store");
  if (!file) return fail(std::move(file).error().wrap(name));
  NX_TRY(struct stat found, sys::stat_fd(file->get()), name);
  if (!S_ISREG(found.st_mode)) return fail(Errc::InvalidImage, name + ": is no regular file");
  auto size = static_cast<std::uint64_t>(found.st_size);
  if (size != blob.size)
    return fail(Errc::InvalidImage, name + ": has " + std::to_string(size) + " bytes, not " +
                                        std::to_string(blob.size));
  return *std::move(file);
}

Result<json::Value> Layout::read_document(const oci::Descriptor& blob) const {
  std::string name = "blob " + blob.digest.str();
  if (blob.size > kMaxDocument)
    return fail(Errc::InvalidImage, name + ": a JSON document of more than 4 MiB");
  NX_TRY(UniqueFd file, open_blob(blob));
  NX_TRY(std::string text, sys::read_all(file.get(), kMaxDocument), name);
  // sha512 documents are rare and are checked by the helper on entry and by `image verify`.
  if (blob.digest.algorithm() == "sha256" && sha256_digest(text) != blob.digest)
    return fail(Errc::InvalidImage, name + ": the content has another digest");
  auto value = json::parse(text);
  if (!value) return fail(std::move(value).error().as(Errc::InvalidImage).wrap(name));
  return *std::move(value);
}

Result<UniqueFd> Layout::blob_dir(std::string_view algorithm) const {
  std::string name = "blobs/" + std::string(algorithm);
  NX_CHECK(ensure_dir(fd(), name, 0755));
  return sys::open_at(fd(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

}  // namespace nexcage::image
