// Leases: what keeps removals and garbage collection from taking a blob that a pull in progress has
// found in the store, without a lock that lasts as long as the pull.
#pragma once

#include <set>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/layout.h"
#include "nexcage/image/temp.h"

namespace nexcage::image {

/// A list of blobs on disk ({root}/.tmp/lease-*) that its owner holds locked. It goes with its
/// owner, however that ends.
class Lease {
 public:
  static Result<Lease> create(const Layout& layout);
  /// From the return on no sweep removes these blobs. One that ran before may have: the owner looks
  /// again when it needs them.
  Result<> add(const Layout& layout, const std::vector<oci::Digest>& blobs);

 private:
  explicit Lease(Temp file) : file_(std::move(file)) {}
  Temp file_;
};

/// What living leases name. Read it while owning the blobs (Layout::try_own_blobs).
Result<std::set<oci::Digest>> leased_blobs(const Layout& layout);

}  // namespace nexcage::image
