// Extended attributes as EROFS keeps them: those of one file behind its inode, those that several
// files have, and large ones, in an area of their own, once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/tree/tree.h"

namespace nexcage::layerfs::erofs {

/// The number by which an entry names the first part of its name, and what is left of the name.
/// nullopt when the format has no number for it: Linux shows only user., trusted., security. and
/// the two POSIX access control lists from EROFS.
struct PrefixedName {
  std::uint8_t prefix = 0;
  std::string_view rest;
};
std::optional<PrefixedName> split_xattr_name(std::string_view name);
/// The text of a prefix; empty when there is none of this number.
std::string_view xattr_prefix(std::uint8_t prefix);

/// All attributes of an image: first count() for every file, then place() for every file in the
/// same order. Sets are told apart by where they lie (a tree keeps equal ones once) and must live
/// as long as the table.
class XattrTable {
 public:
  using Set = std::span<const tree::Xattr>;

  /// Unsupported for a name or a value that the format cannot hold.
  Result<> count(Set set);

  /// What lies behind an inode with these attributes: nothing for none. Valid until the next
  /// place() of another set. Unsupported when they are too many.
  Result<std::span<const std::byte>> place(Set set);

  /// The area of shared attributes; ids count its words.
  std::span<const std::byte> shared() const { return shared_; }

 private:
  struct PairHash {
    std::size_t operator()(const tree::Xattr& xattr) const;
  };
  struct Use {
    unsigned files = 0;  // two stand for more
    std::optional<std::uint32_t> id{};
  };
  struct Body {
    unsigned files = 0;  // the same
    bool placed = false;
    std::size_t offset = 0, size = 0;  // in bodies_
  };

  std::vector<bool> choose_shared(Set set) const;
  std::uint32_t share(const tree::Xattr& xattr);

  std::unordered_map<const tree::Xattr*, Body> sets_;
  std::unordered_map<tree::Xattr, Use, PairHash> uses_;
  std::vector<std::byte> bodies_, shared_;
};

}  // namespace nexcage::layerfs::erofs
