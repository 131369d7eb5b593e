#include "nexcage/layerfs/tree/materialise.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ranges>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "nexcage/base/text.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/layerfs/metadata.h"
#include "nexcage/layerfs/tree/names.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::tree {
namespace {

constexpr std::size_t kBuffer = std::size_t{64} << 10;

Metadata metadata_of(const Inode& inode) {
  const timespec time{.tv_sec = inode.mtime, .tv_nsec = static_cast<long>(inode.mtime_ns)};
  Metadata metadata{
      .mode = inode.mode, .uid = inode.uid, .gid = inode.gid, .atime = time, .mtime = time};
  for (const Xattr& xattr : inode.xattrs) metadata.xattrs.emplace(xattr.name, xattr.value);
  return metadata;
}

mode_t node_type(Type type) {
  if (type == Type::char_device) return S_IFCHR;
  return type == Type::block_device ? S_IFBLK : S_IFIFO;
}

class Writer {
 public:
  Writer(const Tree& tree, std::span<const int> tars, int root)
      : tree_(tree), tars_(tars), root_(root), buffer_(kBuffer) {}

  Result<> run() {
    NX_CHECK(make_plain_directory(root_));
    directories_.push_back({.inode = Tree::kRoot, .path = {}});
    for (std::size_t i = 0; i < directories_.size(); ++i) NX_CHECK(fill(i));
    // Children before parents: filling changes a directory's time, and its mode may forbid it.
    for (const Directory& directory : directories_ | std::views::reverse)
      NX_CHECK(finish(directory), "finish directory " + quote("/" + directory.path));
    return {};
  }

 private:
  struct Directory {
    InodeId inode = 0;
    std::string path;  // in the tree; "" is the root
  };

  Result<UniqueFd> open(const std::string& path) const {
    return sys::open_beneath(root_, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  }

  Result<> fill(std::size_t index) {
    // By value: the list grows.
    const Directory directory = directories_[index];
    NX_TRY(const UniqueFd fd, open(directory.path), "open directory " + quote(directory.path));
    for (const Entry& entry : tree_.entries(directory.inode)) {
      const std::string path = join_path(directory.path, entry.name);
      NX_CHECK(add(fd.get(), std::string(entry.name), path, entry.inode), "write " + quote(path));
    }
    return {};
  }

  Result<> finish(const Directory& directory) const {
    NX_TRY(const UniqueFd fd, open(directory.path));
    return apply_metadata(fd.get(), metadata_of(tree_.inode(directory.inode)), ModeState::set_it);
  }

  Result<> add(int parent, const std::string& name, const std::string& path, InodeId id) {
    const Inode inode = tree_.inode(id);
    if (inode.type == Type::directory) {
      if (mkdirat(parent, name.c_str(), 0700) != 0) return fail_errno("create directory");
      directories_.push_back({.inode = id, .path = path});
      return {};
    }
    if (inode.nlink > 1) {
      const auto [first, is_new] = linked_.try_emplace(id, path);
      // Only directories of our own making lie on the way to it.
      if (!is_new && linkat(root_, first->second.c_str(), parent, name.c_str(), 0) != 0)
        return fail_errno("link it to " + quote(first->second));
      if (!is_new) return {};
    }
    if (inode.type == Type::regular) return add_regular(parent, name, inode);
    return add_other(parent, name, inode);
  }

  Result<> add_other(int parent, const std::string& name, const Inode& inode) const {
    if (inode.type == Type::symlink) {
      if (symlinkat(std::string(inode.link_target).c_str(), parent, name.c_str()) != 0)
        return fail_errno("create symlink");
      return apply_metadata_at(parent, name, metadata_of(inode), S_IFLNK);
    }
    const mode_t type = node_type(inode.type);
    if (mknodat(parent, name.c_str(), type | 0600, makedev(inode.dev_major, inode.dev_minor)) != 0)
      return fail_errno("create device or FIFO");
    return apply_metadata_at(parent, name, metadata_of(inode), type);
  }

  Result<> add_regular(int parent, const std::string& name, const Inode& inode) {
    NX_TRY(const UniqueFd file,
           sys::open_at(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    std::uint64_t end = 0;
    for (const Extent& extent : inode.extents) {
      NX_CHECK(copy(extent, file.get()));
      end = extent.offset + extent.length;
    }
    // A hole at the end.
    if (end < inode.size && ftruncate(file.get(), static_cast<off_t>(inode.size)) != 0)
      return fail_errno("set the size");
    return apply_metadata(file.get(), metadata_of(inode), ModeState::set_it);
  }

  Result<> copy(Extent extent, int to) {
    if (extent.source >= tars_.size())
      return fail(Errc::FileError, "no tar of layer " + std::to_string(extent.source));
    const int from = tars_[extent.source];
    while (extent.length > 0) {
      NX_TRY(const std::uint64_t done, copy_some(from, extent, to));
      extent.offset += done;
      extent.source_offset += done;
      extent.length -= done;
    }
    return {};
  }

  /// The front of the extent, at least one byte.
  Result<std::uint64_t> copy_some(int from, const Extent& extent, int to) {
    if (in_kernel_ && extent.length > kBuffer) {
      auto from_offset = static_cast<off_t>(extent.source_offset);
      auto to_offset = static_cast<off_t>(extent.offset);
      const ssize_t done = copy_file_range(from, &from_offset, to, &to_offset, extent.length, 0);
      if (done > 0) return static_cast<std::uint64_t>(done);
      // Not between these file systems (copy_file_range(2)), or not at all: the other way says why.
      in_kernel_ = false;
    }
    const std::span<char> part(buffer_.data(), std::min<std::uint64_t>(extent.length, kBuffer));
    const ssize_t got =
        pread(from, part.data(), part.size(), static_cast<off_t>(extent.source_offset));
    if (got < 0) return fail_errno("read the tar of layer " + std::to_string(extent.source));
    if (got == 0)
      return fail(Errc::InvalidImage,
                  "the tar of layer " + std::to_string(extent.source) + " ends inside a file");
    const ssize_t put =
        pwrite(to, part.data(), static_cast<std::size_t>(got), static_cast<off_t>(extent.offset));
    if (put < 0) return fail_errno("write data");
    return static_cast<std::uint64_t>(put);
  }

  const Tree& tree_;
  std::span<const int> tars_;
  int root_;
  std::vector<char> buffer_;
  bool in_kernel_ = true;  // copy_file_range(2) has not failed yet
  std::vector<Directory> directories_;
  std::unordered_map<InodeId, std::string> linked_;  // files of several names: the first one's path
};

}  // namespace

Result<> materialise(const Tree& tree, std::span<const int> tars, int directory) {
  return Writer(tree, tars, directory).run();
}

}  // namespace nexcage::layerfs::tree
