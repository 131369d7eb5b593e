#include "nexcage/registry/client/tar_staging.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <utility>

#include "nexcage/image/inflated.h"
#include "nexcage/sys/fs.h"

namespace nexcage::registry::client {

namespace {
constexpr std::uint64_t kWriteBack = 8u << 20;
}

StagedTar::StagedTar(StagedTar&& other) noexcept
    : directory_(other.directory_),
      name_(std::exchange(other.name_, {})),
      file_(std::move(other.file_)),
      bytes_(other.bytes_),
      started_(other.started_) {}

StagedTar::~StagedTar() {
  if (!name_.empty()) (void)::unlinkat(directory_, name_.c_str(), 0);
}

Result<> StagedTar::write(std::span<const std::byte> bytes) {
  NX_CHECK(sys::write_all(file_.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}),
           "write an inflated layer");
  bytes_ += bytes.size();
  if (bytes_ - started_ < kWriteBack) return {};
  // Advice: where it is not supported, fsync does all of it.
  (void)::sync_file_range(file_.get(), static_cast<off_t>(started_),
                          static_cast<off_t>(bytes_ - started_), SYNC_FILE_RANGE_WRITE);
  started_ = bytes_;
  return {};
}

Result<> StagedTar::publish(const oci::Digest& diff_id) && {
  NX_CHECK(sys::fsync_fd(file_.get(), "an inflated layer"));
  const std::string name = image::inflated_name(diff_id);
  if (::renameat(directory_, name_.c_str(), directory_, name.c_str()) != 0)
    return fail_errno("rename an inflated layer");
  name_.clear();
  return {};
}

Result<TarStaging> TarStaging::open(const std::string& directory) {
  NX_TRY(UniqueFd fd, sys::open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return TarStaging(std::move(fd));
}

Result<StagedTar> TarStaging::begin() const {
  static std::atomic<unsigned> number = 0;
  std::string name = "new-" + std::to_string(number++);
  UniqueFd file(::openat(directory_.get(), name.c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400));
  if (!file) return fail_errno("create a file for an inflated layer");
  return StagedTar(directory_.get(), std::move(name), std::move(file));
}

}  // namespace nexcage::registry::client
