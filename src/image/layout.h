// The OCI image layout on disk (image-spec, image-layout.md): its files, locks and documents. Store
// and the importer stand on it; it knows nothing of names.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/image/store.h"
#include "nexcage/image/temp.h"
#include "nexcage/oci/image.h"
#include "nexcage/sys/fs.h"

namespace nexcage::image {

/// An open store directory.
///
/// Locks, taken in this order and never the other way round:
///   .blobs.lock   shared by whoever adds blobs or makes names for them, until the names are there;
///                 exclusive to remove blobs
///   .lock         exclusive while index.json and the name view change
class Layout {
 public:
  static Result<Layout> open(const std::string& root, Store::IfMissing if_missing);

  const std::string& root() const { return root_; }
  int fd() const { return fd_.get(); }
  int tmp_fd() const { return tmp_.get(); }

  Result<sys::FileLock> lock_index() const;
  Result<sys::FileLock> share_blobs() const;
  /// nullopt while somebody adds blobs.
  Result<std::optional<sys::FileLock>> try_own_blobs() const;

  /// index.json as it is now. The caller that means to change it holds lock_index().
  Result<oci::Index> read_index() const;
  /// Replaces index.json atomically and durably.
  Result<> write_index(const oci::Index& index) const;

  /// The blob's file, opened for reading. InvalidImage when it is missing, no regular file, or of
  /// another size.
  Result<UniqueFd> open_blob(const oci::Descriptor& blob) const;
  /// A JSON document among the blobs, size and (sha256) digest checked, parsed.
  Result<json::Value> read_document(const oci::Descriptor& blob) const;
  /// Descriptor of blobs/<alg>, made when missing.
  Result<UniqueFd> blob_dir(std::string_view algorithm) const;

 private:
  Layout(std::string root, UniqueFd fd) : root_(std::move(root)), fd_(std::move(fd)) {}
  static Result<> check_or_create(int dir, const std::string& root, Store::IfMissing if_missing);
  Result<> complete();
  std::string root_;
  UniqueFd fd_;
  UniqueFd tmp_;
};

}  // namespace nexcage::image
