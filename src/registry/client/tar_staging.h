// Layers that were inflated to check them, kept for LayerFS, which would otherwise inflate each a
// second time. {directory}/<alg>-<hex>.tar is whole, verified and durable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/oci/digest.h"

namespace nexcage::registry::client {

/// One layer while it comes in; removed again unless published.
class StagedTar {
 public:
  StagedTar(int directory, std::string name, UniqueFd file)
      : directory_(directory), name_(std::move(name)), file_(std::move(file)) {}
  StagedTar(StagedTar&& other) noexcept;
  StagedTar& operator=(StagedTar&&) = delete;
  StagedTar(const StagedTar&) = delete;
  StagedTar& operator=(const StagedTar&) = delete;
  ~StagedTar();

  Result<> write(std::span<const std::byte> bytes);
  /// Makes it durable and gives it its name. The bytes have this diff ID.
  Result<> publish(const oci::Digest& diff_id) &&;

 private:
  int directory_;     // borrowed
  std::string name_;  // empty: nothing to remove
  UniqueFd file_;
  std::uint64_t bytes_ = 0, started_ = 0;  // written; of these handed to the disk
};

/// May be used by several threads.
class TarStaging {
 public:
  /// FileError when the directory is not there.
  static Result<TarStaging> open(const std::string& directory);
  /// A new file, mode 0400.
  Result<StagedTar> begin() const;

 private:
  explicit TarStaging(UniqueFd directory) : directory_(std::move(directory)) {}
  UniqueFd directory_;
};

}  // namespace nexcage::registry::client
