// The members of a layer, one after the other, into a LayerBuilder.
#include "nexcage/layerfs/tree/apply.h"

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/tree/layer_builder.h"
#include "nexcage/layerfs/tree/names.h"

namespace nexcage::layerfs::tree {
namespace {

using image::content::TarSegment;
using image::content::TarType;

struct SplitName {
  std::string_view parent, base;
};

SplitName split_name(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos) return {.parent = {}, .base = name};
  return {.parent = name.substr(0, slash), .base = name.substr(slash + 1)};
}

Type type_of(TarType type) {
  switch (type) {
    case TarType::symlink:
      return Type::symlink;
    case TarType::char_device:
      return Type::char_device;
    case TarType::block_device:
      return Type::block_device;
    case TarType::directory:
      return Type::directory;
    case TarType::fifo:
      return Type::fifo;
    default:
      return Type::regular;
  }
}

class Planner {
 public:
  Planner(const Tree& below, const Members& members, std::uint32_t source,
          const UnpackLimits& limits)
      : members_(members), source_(source), limits_(limits), builder_(below, limits) {}

  Result<LayerChange> run() && {
    for (std::size_t i = 0; i < members_.size(); ++i)
      NX_CHECK(add(members_[i]), "member " + quote(members_[i].name));
    LayerChange change = std::move(builder_).finish();
    change.applied.bytes = bytes_;
    return change;
  }

 private:
  Result<> add(const Member& member) {
    if (member.name.empty()) {
      builder_.put_root(inode_of(member));
      return {};
    }
    const auto [parent_path, base] = split_name(member.name);
    if (base.starts_with(".wh.")) return add_whiteout(parent_path, base);
    if (member.type == TarType::hard_link) return add_hard_link(member, parent_path, base);
    NX_TRY(const InodeId parent, builder_.resolve(parent_path, Purpose::fill));
    if (member.type == TarType::directory)
      return builder_.put_directory(parent, base, inode_of(member));
    NX_CHECK(builder_.put_file(parent, base, inode_of(member)));
    return count_bytes();
  }

  Result<> add_whiteout(std::string_view parent, std::string_view base) {
    NX_TRY(const Whiteout whiteout, parse_whiteout(base));
    if (whiteout.kind == Whiteout::Kind::ignored) return {};
    NX_TRY(const InodeId directory, builder_.resolve(parent, Purpose::borrow));
    if (directory == LayerBuilder::kNowhere) return {};  // nothing there that could be hidden
    if (whiteout.kind == Whiteout::Kind::name) return builder_.hide(directory, whiteout.name);
    builder_.hide_all(directory);
    return {};
  }

  Result<> add_hard_link(const Member& member, std::string_view parent_path,
                         std::string_view base) {
    const auto [target_path, target_base] = split_name(member.target);
    NX_TRY(const InodeId target_parent, builder_.resolve(target_path, Purpose::borrow));
    if (target_parent == LayerBuilder::kNowhere)
      return fail(Errc::InvalidImage,
                  "hard link to " + quote(member.target) + ", which does not exist");
    NX_TRY(const InodeId file, builder_.bring_up(target_parent, target_base));
    NX_TRY(const InodeId parent, builder_.resolve(parent_path, Purpose::fill));
    if (parent == target_parent && base == target_base) return {};  // a link to itself
    if (builder_.holds(parent, base, target_parent))
      return fail(Errc::InvalidImage,
                  "hard link in the place of a directory that holds its target");
    return builder_.put_link(parent, base, file);
  }

  /// The extents are good until the next call.
  Inode inode_of(const Member& member) {
    extents_.clear();
    if (member.type == TarType::regular) set_extents(member);
    return {.type = type_of(member.type),
            .mode = member.mode,
            .uid = member.uid,
            .gid = member.gid,
            .mtime = member.mtime,
            .mtime_ns = member.mtime_ns,
            .size = member.size,
            .dev_major = member.dev_major,
            .dev_minor = member.dev_minor,
            .link_target = member.target,
            .extents = extents_,
            .xattrs = members_.xattrs(member)};
  }

  void set_extents(const Member& member) {
    const TarSegment whole{.offset = 0, .length = member.size};
    const std::span segments = member.sparse ? member.segments : std::span(&whole, 1);
    std::uint64_t at = member.data_offset;
    for (const TarSegment& segment : segments) {
      if (segment.length == 0) continue;
      // Pieces that touch in the file touch in the tar.
      if (!extents_.empty() && extents_.back().offset + extents_.back().length == segment.offset)
        extents_.back().length += segment.length;
      else
        extents_.push_back({.offset = segment.offset,
                            .length = segment.length,
                            .source_offset = at,
                            .source = source_});
      at += segment.length;
    }
  }

  Result<> count_bytes() {
    for (const Extent& extent : extents_) bytes_ += extent.length;
    if (bytes_ > limits_.max_bytes)
      return fail(Errc::InvalidImage,
                  "more than " + format_bytes(limits_.max_bytes) + " of files in one layer");
    return {};
  }

  const Members& members_;
  std::uint32_t source_;
  UnpackLimits limits_;
  LayerBuilder builder_;
  std::vector<Extent> extents_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

Result<LayerChange> plan_layer(const Tree& below, const Members& members, std::uint32_t source,
                               const UnpackLimits& limits) {
  return Planner(below, members, source, limits).run();
}

Result<Applied> apply(Tree& tree, const Members& members, std::uint32_t source,
                      const UnpackLimits& limits) {
  NX_TRY(LayerChange change, plan_layer(tree, members, source, limits));
  const Applied applied = change.applied;
  merge(tree, std::move(change));
  return applied;
}

}  // namespace nexcage::layerfs::tree
