#include "nexcage/layerfs/erofs/read.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/erofs/format.h"
#include "nexcage/layerfs/erofs/image_view.h"
#include "nexcage/layerfs/erofs/xattrs.h"

namespace nexcage::layerfs::erofs {
namespace {

constexpr std::size_t kMaxLinkTarget = 4095;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

FileType file_type(tree::Type type) {
  switch (type) {
    case tree::Type::regular:
      return FileType::regular;
    case tree::Type::directory:
      return FileType::directory;
    case tree::Type::symlink:
      return FileType::symlink;
    case tree::Type::char_device:
      return FileType::char_device;
    case tree::Type::block_device:
      return FileType::block_device;
    case tree::Type::fifo:
      return FileType::fifo;
  }
  return FileType::unknown;
}

/// Attributes of one file; names are put together here, values lie in the image.
struct XattrSet {
  std::vector<std::pair<std::string, std::string_view>> entries;
  std::vector<tree::Xattr> views;
};

class Reader {
 public:
  Reader(ImageView view, const ReadLimits& limits) : view_(std::move(view)), limits_(limits) {}

  Result<ImageContent> run();

 private:
  struct Directory {
    std::uint64_t nid = 0, parent = 0;
    tree::InodeId id = 0;
  };

  Result<std::uint64_t> read_xattr(std::uint64_t offset, XattrSet& set);
  Result<> read_xattrs(const DiskInode& inode, XattrSet& set);
  Result<std::string> read_target(const DiskInode& inode);
  Result<> read_directory(const Directory& directory);
  Result<> read_block(const Directory& directory, std::span<const std::byte> block,
                      std::string& last_name, unsigned& dots);
  Result<> check_name(std::string_view name, const std::string& last_name) const;
  Result<> add_entry(const Directory& directory, std::string_view name, std::uint64_t nid,
                     std::uint8_t type);
  Result<> add_file(const Directory& directory, std::string_view name, const DiskInode& disk);
  Result<> check_links();

  ImageView view_;
  ReadLimits limits_;
  tree::Tree tree_;
  struct Known {
    tree::InodeId id = 0;
    std::uint32_t nlink = 0;  // as the image says
    tree::Type type{};
  };
  std::unordered_map<std::uint64_t, Known> known_;  // by nid
  std::vector<Directory> open_;
  std::uint64_t entries_ = 0, extents_ = 0;
};

/// Adds one entry; where the next one begins.
Result<std::uint64_t> Reader::read_xattr(std::uint64_t offset, XattrSet& set) {
  NX_TRY(const auto entry, view_.object<XattrEntry>(offset));
  const std::string_view prefix = xattr_prefix(entry.prefix);
  if (prefix.empty())
    return fail(Errc::Unsupported,
                "EROFS image: an attribute of kind " + std::to_string(entry.prefix));
  offset += sizeof entry;
  NX_TRY(const auto name, view_.range(offset, entry.name_length));
  NX_TRY(const auto value, view_.range(offset + entry.name_length, entry.value_size));
  if ((entry.name_length == 0) == prefix.ends_with('.') ||
      text_of(name).find('\0') != std::string_view::npos)
    return bad_image("the name of an attribute");
  set.entries.emplace_back(std::string(prefix) + std::string(text_of(name)), text_of(value));
  return align_up(offset + entry.name_length + entry.value_size, kXattrAlign);
}

Result<> Reader::read_xattrs(const DiskInode& inode, XattrSet& set) {
  set.entries.clear();
  set.views.clear();
  if (inode.xattr_bytes == 0) return {};
  NX_TRY(const auto header, view_.object<XattrHeader>(inode.xattrs));
  const std::uint64_t end = inode.xattrs + inode.xattr_bytes;
  std::uint64_t at = inode.xattrs + sizeof header;
  if (header.shared * sizeof(std::uint32_t) > end - at)
    return bad_image("more shared attributes than have room");
  for (unsigned i = 0; i < header.shared; ++i, at += sizeof(std::uint32_t)) {
    NX_TRY(const auto id, view_.object<std::uint32_t>(at));
    NX_CHECK(read_xattr(
        view_.offset_of(view_.super().xattr_block) + std::uint64_t{id} * kXattrAlign, set));
  }
  while (at < end) {
    NX_TRY(at, read_xattr(at, set));
  }
  if (at != end) return bad_image("an attribute longer than its file's attributes");
  std::ranges::sort(set.entries);
  for (const auto& [name, value] : set.entries) {
    if (!set.views.empty() && set.views.back().name == name)
      return bad_image("two attributes of one name");
    set.views.push_back({.name = name, .value = value});
  }
  return {};
}

Result<std::string> Reader::read_target(const DiskInode& inode) {
  if (inode.size == 0 || inode.size > kMaxLinkTarget)
    return bad_image("a symlink of " + std::to_string(inode.size) + " bytes");
  std::string target;
  for (std::uint64_t at = 0; at < inode.size;) {
    const std::uint64_t part = std::min(view_.block_size(), inode.size - at);
    NX_TRY(const auto bytes, view_.content(inode, at, part));
    target += text_of(bytes);
    at += part;
  }
  if (target.find('\0') != std::string::npos) return bad_image("a symlink with a NUL");
  return target;
}

Result<> Reader::check_name(std::string_view name, const std::string& last_name) const {
  if (name.empty() || name.size() > kMaxName || name.find('/') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos)
    return bad_image("a directory with the name " + quote(name));
  if (name <= last_name) return bad_image("a directory that is not sorted at " + quote(name));
  return {};
}

/// One block: entries, then names.
Result<> Reader::read_block(const Directory& directory, std::span<const std::byte> block,
                            std::string& last_name, unsigned& dots) {
  Dirent dirent;
  if (block.size() < sizeof dirent) return bad_image("a directory that ends within an entry");
  std::memcpy(&dirent, block.data(), sizeof dirent);
  const std::size_t names = dirent.name_offset;
  if (names == 0 || names % sizeof dirent != 0 || names > block.size())
    return bad_image("a directory block without entries");
  for (std::size_t at = 0; at < names; at += sizeof dirent) {
    std::memcpy(&dirent, block.data() + at, sizeof dirent);
    std::size_t name_end = block.size();
    if (at + sizeof dirent < names) {
      Dirent next;
      std::memcpy(&next, block.data() + at + sizeof dirent, sizeof next);
      name_end = next.name_offset;
    }
    if (dirent.name_offset < names || name_end > block.size() || dirent.name_offset > name_end)
      return bad_image("a directory entry whose name is elsewhere");
    std::string_view name =
        text_of(block.subspan(dirent.name_offset, name_end - dirent.name_offset));
    if (at + sizeof dirent == names) name = name.substr(0, name.find('\0'));
    NX_CHECK(check_name(name, last_name));
    last_name = name;
    const std::uint64_t nid = (std::uint64_t{dirent.nid_high} << 32) | dirent.nid_low;
    if (name == "." || name == "..") {
      if (nid != (name == "." ? directory.nid : directory.parent))
        return bad_image(quote(name) + " of a directory leads elsewhere");
      ++dots;
      continue;
    }
    NX_CHECK(add_entry(directory, name, nid, dirent.type));
  }
  return {};
}

Result<> Reader::read_directory(const Directory& directory) {
  NX_TRY(const DiskInode inode, view_.inode(directory.nid));
  std::string last_name;
  unsigned dots = 0;
  for (std::uint64_t at = 0; at < inode.size; at += view_.block_size()) {
    const std::uint64_t part = std::min(view_.block_size(), inode.size - at);
    NX_TRY(const auto block, view_.content(inode, at, part));
    NX_CHECK(read_block(directory, block, last_name, dots));
  }
  if (dots != 2) return bad_image("a directory without \".\" or \"..\"");
  return {};
}

Result<> Reader::add_entry(const Directory& directory, std::string_view name, std::uint64_t nid,
                           std::uint8_t type) {
  if (++entries_ > limits_.max_entries) return bad_image("more files than allowed");
  NX_TRY(const DiskInode disk, view_.inode(nid));
  if (type != static_cast<std::uint8_t>(file_type(disk.inode.type)))
    return bad_image(quote(name) + " is of another type than its directory says");
  const auto known = known_.find(nid);
  if (known == known_.end()) return add_file(directory, name, disk);
  if (disk.inode.type == tree::Type::directory)
    return bad_image(quote(name) + " is a directory with two names");
  tree_.link(directory.id, name, known->second.id);
  return {};
}

Result<> Reader::add_file(const Directory& directory, std::string_view name,
                          const DiskInode& disk) {
  tree::Inode inode = disk.inode;
  XattrSet xattrs;
  std::string target;
  std::vector<tree::Extent> extents;
  NX_CHECK(read_xattrs(disk, xattrs), quote(name));
  inode.xattrs = xattrs.views;
  if (inode.type == tree::Type::symlink) {
    NX_TRY(target, read_target(disk), quote(name));
    inode.link_target = target;
  } else if (inode.type == tree::Type::regular) {
    NX_TRY(extents, view_.extents(disk), quote(name));
    extents_ += extents.size();
    if (extents_ > limits_.max_extents) return bad_image("more runs of data than allowed");
    inode.extents = extents;
  }
  const tree::InodeId id = tree_.add(directory.id, name, inode);
  known_.emplace(disk.nid, Known{.id = id, .nlink = disk.inode.nlink, .type = inode.type});
  if (inode.type == tree::Type::directory)
    open_.push_back({.nid = disk.nid, .parent = directory.nid, .id = id});
  return {};
}

Result<> Reader::check_links() {
  for (const auto& [nid, known] : known_)
    if (known.nlink != tree_.inode(known.id).nlink)
      return bad_image("inode " + std::to_string(nid) + " has " +
                       std::to_string(tree_.inode(known.id).nlink) + " links, not " +
                       std::to_string(known.nlink));
  return {};
}

Result<ImageContent> Reader::run() {
  const std::uint64_t root = view_.super().root_nid;
  NX_TRY(const DiskInode disk, view_.inode(root));
  if (disk.inode.type != tree::Type::directory) return bad_image("the root is no directory");
  tree::Inode inode = disk.inode;
  XattrSet xattrs;
  NX_CHECK(read_xattrs(disk, xattrs), "the root");
  inode.xattrs = xattrs.views;
  tree_.set_metadata(tree::Tree::kRoot, inode);
  known_.emplace(root, Known{.id = tree::Tree::kRoot, .nlink = inode.nlink, .type = inode.type});
  open_.push_back({.nid = root, .parent = root, .id = tree::Tree::kRoot});
  while (!open_.empty()) {
    const Directory directory = open_.back();
    open_.pop_back();
    NX_CHECK(read_directory(directory), quote("/" + tree_.path(directory.id)));
  }
  NX_CHECK(check_links());
  ImageContent content{
      .tree = std::move(tree_), .block_bits = view_.super().block_bits, .uuid = view_.super().uuid};
  for (const DeviceSlot& slot : view_.devices())
    content.devices.push_back({view_.offset_of(slot.blocks)});
  return content;
}

}  // namespace

Result<ImageContent> read(std::span<const std::byte> image, const ReadLimits& limits) {
  NX_TRY(ImageView view, ImageView::open(image, limits));
  return Reader(std::move(view), limits).run();
}

}  // namespace nexcage::layerfs::erofs
