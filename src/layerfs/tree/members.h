// The members of one layer as they stand in its tar: what is kept of a layer while others still
// stream by. Applying them needs the layers below (apply.h); reading them does not.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/image/content/tar_reader.h"
#include "nexcage/layerfs/tree/arena.h"
#include "nexcage/layerfs/tree/limits.h"
#include "nexcage/layerfs/tree/xattr_sets.h"

namespace nexcage::layerfs::tree {

/// One member, checked and cleaned. Views live as long as the Members they are of.
struct Member {
  std::string_view name{};    // "a/b": no "." and "..", no slash at either end; "" is the root
  std::string_view target{};  // of a symlink: its text; of a hard link: a name like the above
  std::span<const image::content::TarSegment> segments{};  // of a sparse file
  std::uint64_t data_offset = 0, size = 0;                 // as in TarEntry
  std::int64_t mtime = 0;
  std::uint32_t mtime_ns = 0, uid = 0, gid = 0, dev_major = 0, dev_minor = 0;
  XattrSets::Id xattrs = XattrSets::kNone;
  std::uint16_t mode = 0;
  image::content::TarType type{};
  bool sparse = false;
};

class Members {
 public:
  explicit Members(const UnpackLimits& limits = {}) : limits_(limits) {}

  /// Takes the next one. InvalidImage for what may not be in an image whatever lies below it: names
  /// and targets that are too long, owners and times that are none, attributes and devices that are
  /// not for images; and for more memory than the limit. Errors name the member. Of a whiteout and
  /// of a hard link only the names count.
  Result<> add(const image::content::TarEntry& entry);

  std::size_t size() const { return members_.size(); }
  const Member& operator[](std::size_t i) const { return members_[i]; }
  std::span<const Xattr> xattrs(const Member& member) const { return sets_.get(member.xattrs); }
  /// Bytes of memory taken.
  std::uint64_t memory() const { return members_.bytes() + arena_.bytes() + sets_.bytes(); }

 private:
  Result<> check_and_add(const image::content::TarEntry& entry);
  Result<> set_metadata(const image::content::TarEntry& entry, Member& member);

  UnpackLimits limits_;
  Arena arena_;
  XattrSets sets_;
  Paged<Member> members_;
};

/// All members of an archive; their data is skipped. InvalidImage as of Members::add and of the
/// reader.
Result<Members> read_members(image::content::TarReader& reader, const UnpackLimits& limits = {});

}  // namespace nexcage::layerfs::tree
