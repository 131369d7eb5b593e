// A dataset that is a container's, and nobody else's of the same name: it carries a token that the
// container's record has too. Only with the right token is it mounted again or destroyed.
#pragma once

#include <string>
#include <utility>

#include "nexcage/base/error.h"
#include "nexcage/storage/zfs/client.h"
#include "nexcage/storage/zfs/dataset.h"

namespace nexcage::storage::zfs {

/// Property of a container's dataset: the token.
inline constexpr const char* kOwnerProperty = "org.nexcage:owner";

class OwnedDataset {
 public:
  /// `name`: the whole name, below `parent`. ConfigError, InvalidSpec for what are no such names.
  static Result<OwnedDataset> make(const std::string& parent, const std::string& name,
                                   std::string token);
  /// From a record: the dataset above `name` is the parent.
  static Result<OwnedDataset> parse(const std::string& name, std::string token);

  const Dataset& dataset() const { return dataset_; }
  const Client& client() const { return client_; }

  /// Makes it a clone, or an empty dataset; one that is there with this token is left as it is. The
  /// mount point is legacy. ContainerExists for one with another token or none. `program`: see
  /// Client::clone.
  Result<> clone(const Snapshot& of, Properties properties, const std::string& program = {}) const;
  Result<> create(Properties properties) const;
  /// As a sparse volume of at least this size, whose device has no partitions.
  Result<> create_volume(std::uint64_t bytes) const;
  /// Makes the volume at least that large, and returns its size. InvalidSpec for less than it has:
  /// what lies behind the new end would be lost.
  Result<std::uint64_t> grow_volume(std::uint64_t bytes) const;
  /// It is there and carries the token.
  Result<bool> exists() const;
  /// Destroys it with its own snapshots; children stay and are an error. Missing is success, and so
  /// is one that carries another token: that is not ours.
  Result<> destroy() const;

 private:
  OwnedDataset(Client client, Dataset dataset, std::string token)
      : client_(std::move(client)), dataset_(std::move(dataset)), token_(std::move(token)) {}
  Result<> accept_existing(Result<> made) const;
  Client client_;
  Dataset dataset_;
  std::string token_;
};

}  // namespace nexcage::storage::zfs
