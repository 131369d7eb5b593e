// EROFS images from strangers: the reader stays inside the image, and what it gives is a tree.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "harness.h"
#include "nexcage/layerfs/erofs/format.h"
#include "nexcage/layerfs/erofs/read.h"

namespace nexcage::fuzz {
namespace {

using layerfs::erofs::ImageContent;
using layerfs::tree::Entry;
using layerfs::tree::Inode;
using layerfs::tree::InodeId;
using layerfs::tree::Tree;
using layerfs::tree::Type;

constexpr layerfs::erofs::ReadLimits kLimits = {
    .max_entries = 2000, .max_extents = 5000, .max_metadata = 1 << 20};

void check_inode(const ImageContent& content, const Inode& inode, std::size_t image_size) {
  check(inode.nlink > 0, "a file has a name");
  check(inode.mode <= 07777, "a mode has no type bits");
  check(inode.mtime_ns < 1'000'000'000, "a normal time");
  check((inode.type == Type::symlink) != inode.link_target.empty(), "symlinks have a target");
  check(inode.type == Type::regular || (inode.size == 0 && inode.extents.empty()),
        "only files have data");
  std::uint64_t end = 0;
  for (const auto& extent : inode.extents) {
    check(extent.length > 0 && extent.offset >= end, "runs ascend");
    end = extent.offset + extent.length;
    check(end <= inode.size, "runs lie in the file");
    const bool own = extent.source == layerfs::erofs::kImageSource;
    check(own || extent.source < content.devices.size(), "runs are on a device");
    check(extent.source_offset + extent.length <=
              (own ? image_size : content.devices[extent.source].bytes),
          "runs lie in their device");
  }
  check(std::ranges::is_sorted(inode.xattrs, {}, &layerfs::tree::Xattr::name),
        "attributes are sorted");
}

void check_tree(const ImageContent& content, std::size_t image_size) {
  std::vector<InodeId> open = {Tree::kRoot};
  check_inode(content, content.tree.inode(Tree::kRoot), image_size);
  while (!open.empty()) {
    const InodeId directory = open.back();
    open.pop_back();
    std::string last;
    for (const Entry& entry : content.tree.entries(directory)) {
      check(entry.name > last && entry.name != "." && entry.name != ".." &&
                entry.name.find('/') == std::string_view::npos,
            "names are sorted, and names");
      last = entry.name;
      check_inode(content, content.tree.inode(entry.inode), image_size);
      if (content.tree.is_directory(entry.inode)) open.push_back(entry.inode);
    }
  }
}

}  // namespace

NX_HARNESS(erofs_image) {
  // Chance makes no checksums.
  std::vector<std::byte> image(size);
  std::ranges::copy(std::as_bytes(std::span(data, size)), image.begin());
  constexpr std::size_t kCompat =
      layerfs::erofs::kSuperOffset + offsetof(layerfs::erofs::SuperBlock, feature_compat);
  if (image.size() > kCompat) image[kCompat] &= ~std::byte{layerfs::erofs::kCompatChecksum};
  const auto content = layerfs::erofs::read(image, kLimits);
  if (content) {
    check_tree(*content, image.size());
  } else {
    check(
        content.error().code() == Errc::InvalidImage || content.error().code() == Errc::Unsupported,
        "the code is InvalidImage or Unsupported");
    check_message(content.error());
  }
  return 0;
}

}  // namespace nexcage::fuzz
