// Names of datasets and snapshots, checked. Nothing outside of the configured dataset can be named:
// a Dataset is made by a Parent only, and lies below it.
#pragma once

#include <compare>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "nexcage/base/error.h"

namespace nexcage::storage::zfs {

/// Longest name of a dataset or snapshot (ZFS_MAX_DATASET_NAME_LEN without its final zero).
inline constexpr std::size_t kMaxName = 255;

class Dataset;

/// A snapshot of a Dataset: "tank/web1@before".
class Snapshot {
 public:
  const std::string& name() const { return name_; }
  /// Name of the dataset: "tank/web1".
  std::string_view dataset() const { return std::string_view(name_).substr(0, at_); }
  /// What follows the '@': "before".
  std::string_view label() const { return std::string_view(name_).substr(at_ + 1); }
  bool operator==(const Snapshot& other) const = default;

 private:
  friend class Dataset;
  Snapshot(std::string name, std::size_t at) : name_(std::move(name)), at_(at) {}
  std::string name_;
  std::size_t at_;
};

/// A dataset strictly below its Parent. It need not exist.
class Dataset {
 public:
  /// "tank/nexcage/web1".
  const std::string& name() const { return name_; }
  /// What Parent::child was given: "web1" below the parent "tank/nexcage".
  std::string_view path() const { return std::string_view(name_).substr(parent_ + 1); }
  /// InvalidSpec for a label that is empty, ".", "..", has other characters than [A-Za-z0-9_.:-],
  /// or makes the whole longer than kMaxName.
  Result<Snapshot> snapshot(std::string_view label) const;
  bool operator==(const Dataset& other) const = default;

 private:
  friend class Parent;
  Dataset(std::string name, std::size_t parent) : name_(std::move(name)), parent_(parent) {}
  std::string name_;
  std::size_t parent_;  // length of the parent's name
};

/// The dataset below which everything of nexcage lies: "tank" or "rpool/cages". A pool's name
/// begins with a letter, so no name made from it is ever taken for an option.
class Parent {
 public:
  /// ConfigError for what zfs(8) would not take as a file system's name (zfsconcepts(7), and
  /// zpool-create(8) for the pool), and for spaces, which zfs would take.
  static Result<Parent> parse(std::string_view name);

  const std::string& name() const { return name_; }
  std::string_view pool() const;
  /// The dataset `path` below this one: "web1", "nexcage/images/ab12". InvalidSpec when it is
  /// empty, has empty, "." or ".." components or other characters than [A-Za-z0-9_.:-], or is too
  /// long or too deep as a whole.
  Result<Dataset> child(std::string_view path) const;
  /// `name` is this dataset or lies below it.
  bool contains(std::string_view name) const;
  /// `name`, which is this dataset or lies below it, as a parent. ConfigError otherwise.
  Result<Parent> below(std::string_view name) const;
  bool operator==(const Parent& other) const = default;

 private:
  explicit Parent(std::string name) : name_(std::move(name)) {}
  std::string name_;
};

/// A container's id as one component of a name. Ids have [A-Za-z0-9_+.-]; zfs has no '+', which
/// becomes ':'. Two ids never give the same component.
std::string component_of(std::string_view container_id);

}  // namespace nexcage::storage::zfs
