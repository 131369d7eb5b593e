// Bringing blobs into the store: temporary file, checks, fsync, name.
#pragma once

#include <set>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/image/content/source.h"
#include "nexcage/image/layout.h"
#include "nexcage/image/pending.h"

namespace nexcage::image::content {

/// Writes the blobs of one import. Every blob is noted in `pending` before it gets its name. Holds
/// references: layout and pending must outlive it.
class BlobWriter {
 public:
  BlobWriter(const Layout& layout, PendingBlobs& pending) : layout_(layout), pending_(pending) {}

  struct Layer {
    oci::Descriptor blob;  // with the OCI media type of its compression
    oci::Digest diff_id;
  };
  /// Streams the layer into the store and checks everything that is promised of it; a blob that is
  /// there already and good is only read. `check_tar`: the content must be a readable tar, too.
  enum class CheckTar : std::uint8_t { no, yes };
  Result<Layer> add_layer(const SourceLayer& layer, CheckTar check_tar);
  /// A document whose digest has been checked.
  Result<> add_document(const SourceDocument& document);
  /// Makes the names of all blobs durable. Before this nothing may refer to them.
  Result<> sync();

 private:
  Result<bool> is_there(const SourceLayer& layer, std::uint64_t& size) const;
  Result<Layer> copy_layer(const SourceLayer& layer, CheckTar check_tar);
  Result<> publish(Temp file, const oci::Digest& digest);
  const Layout& layout_;
  PendingBlobs& pending_;
  std::set<std::string> algorithms_;  // directories that have new names
};

}  // namespace nexcage::image::content
