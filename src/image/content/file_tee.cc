#include "nexcage/image/content/file_tee.h"

#include <fcntl.h>

#include <algorithm>

#include "nexcage/sys/fs.h"

namespace nexcage::image::content {

namespace {
constexpr std::size_t kSkipBuffer = 256u << 10;
constexpr std::uint64_t kWriteBack = 8u << 20;
}  // namespace

Result<std::size_t> FileTee::read(std::span<std::byte> buffer) {
  NX_TRY(const std::size_t n, from_.read(buffer));
  NX_CHECK(sys::write_all(file_, {reinterpret_cast<const char*>(buffer.data()), n}),
           "write " + what_);
  bytes_ += n;
  write_back();
  return n;
}

Result<std::uint64_t> FileTee::skip(std::uint64_t length) {
  if (skipped_.empty()) skipped_.resize(kSkipBuffer);
  std::uint64_t done = 0;
  while (done < length) {
    const auto want =
        static_cast<std::size_t>(std::min<std::uint64_t>(length - done, skipped_.size()));
    NX_TRY(const std::size_t n, read(std::span(skipped_).first(want)));
    if (n == 0) break;
    done += n;
  }
  return done;
}

void FileTee::write_back() {
  if (bytes_ - started_ < kWriteBack) return;
  // Advice: where it is not supported, fsync does all of it.
  (void)::sync_file_range(file_, static_cast<off_t>(started_),
                          static_cast<off_t>(bytes_ - started_), SYNC_FILE_RANGE_WRITE);
  started_ = bytes_;
}

}  // namespace nexcage::image::content
