// Blobs that may lose, or never get, the image they belong to. A list on disk
// ({root}/.tmp/pending-*) says so before anything happens, so that a command that is killed leaves
// no blob that nobody would ever look at again.
#pragma once

#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/layout.h"
#include "nexcage/image/temp.h"

namespace nexcage::image {

/// A list that its owner holds locked. When it goes without done(), the list stays on disk and
/// sweep() finishes it.
class PendingBlobs {
 public:
  static Result<PendingBlobs> create(const Layout& layout);
  PendingBlobs(PendingBlobs&&) noexcept = default;
  PendingBlobs& operator=(PendingBlobs&&) = delete;
  PendingBlobs(const PendingBlobs&) = delete;
  PendingBlobs& operator=(const PendingBlobs&) = delete;
  ~PendingBlobs();
  /// To be called before the blob gets its name, or before its last reference goes.
  Result<> add(const oci::Digest& blob);
  /// The same for many, in one durable step.
  Result<> add(const std::vector<oci::Digest>& blobs);
  /// Every blob listed has its image; the list is removed.
  void done() { finished_ = true; }

 private:
  explicit PendingBlobs(Temp file) : file_(std::move(file)) {}
  Temp file_;
  bool finished_ = false;
};

struct FreedBlob {
  oci::Digest digest;
  std::uint64_t size = 0;  // bytes
};

/// Removes temporary files of dead writers and, unless somebody is adding blobs just now, the blobs
/// of abandoned lists that no manifest of the index and no lease (lease.h) needs; the list of a
/// leased blob stays. An image that cannot be read is warned of and keeps what of it can be. The
/// caller holds no lock.
Result<std::vector<FreedBlob>> sweep(const Layout& layout);

}  // namespace nexcage::image
