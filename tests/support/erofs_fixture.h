// Trees for tests of EROFS images: files whose data lies in scratch archives, written as images,
// and what a mount of them must show.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/unique_fd.h"
#include "nexcage/layerfs/erofs/write.h"
#include "nexcage/layerfs/tree/tree.h"
#include "tree_compare.h"

namespace nexcage::testing {

/// An unnamed file below the working directory (the build tree under ctest).
inline UniqueFd scratch_file() {
  UniqueFd fd(::open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  EXPECT_TRUE(fd) << "O_TMPFILE: errno " << errno;
  return fd;
}

inline std::uint64_t size_of_file(int fd) {
  struct stat info{};
  EXPECT_EQ(::fstat(fd, &info), 0);
  return static_cast<std::uint64_t>(info.st_size);
}

inline std::string bytes_of(int fd, std::uint64_t offset, std::uint64_t length) {
  std::string bytes(length, '\0');
  EXPECT_EQ(::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
            static_cast<ssize_t>(length));
  return bytes;
}

/// Stand-ins for the tars of layers: file data at block bounds, as in a tar, or where a test wants
/// it.
class Archives {
 public:
  explicit Archives(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) files_.push_back(scratch_file());
    ends_.resize(count);
  }

  /// Appends data, `skew` bytes behind the next block bound; where it came to lie.
  std::uint64_t add(std::uint32_t source, std::string_view data, std::uint64_t skew = 0) {
    const std::uint64_t at = (ends_[source] + 511) / 512 * 512 + skew;
    EXPECT_EQ(::pwrite(files_[source].get(), data.data(), data.size(), static_cast<off_t>(at)),
              static_cast<ssize_t>(data.size()));
    ends_[source] = at + data.size();
    return at;
  }
  /// Fills the last blocks, as tar does.
  void finish() {
    for (std::size_t i = 0; i < files_.size(); ++i)
      EXPECT_EQ(::ftruncate(files_[i].get(), static_cast<off_t>((ends_[i] + 511) / 512 * 512)), 0);
  }

  int fd(std::size_t source) const { return files_[source].get(); }
  std::vector<int> fds() const {
    std::vector<int> fds;
    fds.reserve(files_.size());
    for (const UniqueFd& file : files_) fds.push_back(file.get());
    return fds;
  }
  std::vector<layerfs::erofs::Device> devices() const {
    std::vector<layerfs::erofs::Device> devices;
    devices.reserve(files_.size());
    for (const UniqueFd& file : files_) devices.push_back({.bytes = size_of_file(file.get())});
    return devices;
  }

 private:
  std::vector<UniqueFd> files_;
  std::vector<std::uint64_t> ends_;
};

/// A piece of a sparse file.
struct Piece {
  std::uint64_t offset;
  std::string data;
  std::uint64_t skew = 0;  // in the archive, see Archives::add
};

/// A tree and the archives of its data.
struct Sample {
  explicit Sample(std::size_t sources = 1) : archives(sources) {}

  layerfs::tree::Tree tree;
  Archives archives;

  layerfs::tree::InodeId directory(layerfs::tree::InodeId in, std::string_view name,
                                   layerfs::tree::Inode like = {.mode = 0755}) {
    like.type = layerfs::tree::Type::directory;
    return tree.add(in, name, like);
  }
  layerfs::tree::InodeId sparse(layerfs::tree::InodeId in, std::string_view name,
                                std::uint64_t size, const std::vector<Piece>& pieces,
                                layerfs::tree::Inode like = {.mode = 0644},
                                std::uint32_t source = 0) {
    std::vector<layerfs::tree::Extent> extents;
    extents.reserve(pieces.size());
    for (const Piece& piece : pieces)
      extents.push_back({.offset = piece.offset,
                         .length = piece.data.size(),
                         .source_offset = archives.add(source, piece.data, piece.skew),
                         .source = source});
    like.type = layerfs::tree::Type::regular;
    like.size = size;
    like.extents = extents;
    return tree.add(in, name, like);
  }
  layerfs::tree::InodeId file(layerfs::tree::InodeId in, std::string_view name,
                              const std::string& data, layerfs::tree::Inode like = {.mode = 0644},
                              std::uint32_t source = 0) {
    std::vector<Piece> pieces;
    if (!data.empty()) pieces.push_back({.offset = 0, .data = data});
    return sparse(in, name, data.size(), pieces, like, source);
  }
  layerfs::tree::InodeId symlink(layerfs::tree::InodeId in, std::string_view name,
                                 std::string_view target,
                                 layerfs::tree::Inode like = {.mode = 0777}) {
    like.type = layerfs::tree::Type::symlink;
    like.link_target = target;
    return tree.add(in, name, like);
  }
  layerfs::tree::InodeId device(layerfs::tree::InodeId in, std::string_view name,
                                layerfs::tree::Type type, std::uint32_t major,
                                std::uint32_t minor) {
    return tree.add(in, name, {.type = type, .mode = 0600, .dev_major = major, .dev_minor = minor});
  }

  /// The image as a file.
  Result<UniqueFd> write(layerfs::erofs::Form form,
                         std::array<std::byte, 16> uuid = {std::byte{1}}) const {
    UniqueFd out = scratch_file();
    layerfs::erofs::WriteOptions options{.form = form, .uuid = uuid};
    if (form == layerfs::erofs::Form::index) options.devices = archives.devices();
    NX_TRY(const auto written, layerfs::erofs::write(tree, options, archives.fds(), out.get()));
    EXPECT_EQ(written.bytes, size_of_file(out.get()));
    return out;
  }
};

/// Bytes that differ from place to place and from seed to seed.
inline std::string noise(std::size_t size, std::uint32_t seed) {
  std::string bytes(size, '\0');
  std::uint32_t state = seed * 2654435761U + 1;
  for (char& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

/// A file's content, holes as zeros.
inline std::string content_of(const Sample& sample, const layerfs::tree::Inode& file) {
  std::string content(file.size, '\0');
  for (const layerfs::tree::Extent& extent : file.extents)
    content.replace(
        extent.offset, extent.length,
        bytes_of(sample.archives.fd(extent.source), extent.source_offset, extent.length));
  return content;
}

inline std::string hash_of(const std::string& content) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : content) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return std::to_string(hash);
}

/// The fields of read_tree() that a file with this inode must have, and its link count.
inline TreeFields expected_fields(const Sample& sample, const layerfs::tree::Inode& inode) {
  using layerfs::tree::Type;
  static const std::map<Type, mode_t> type_bits = {
      {Type::regular, S_IFREG},     {Type::directory, S_IFDIR},    {Type::symlink, S_IFLNK},
      {Type::char_device, S_IFCHR}, {Type::block_device, S_IFBLK}, {Type::fifo, S_IFIFO}};
  TreeFields fields;
  char text[64];
  (void)std::snprintf(text, sizeof text, "%o", type_bits.at(inode.type) | inode.mode);
  fields["mode"] = text;
  fields["owner"] = std::to_string(inode.uid) + ":" + std::to_string(inode.gid);
  (void)std::snprintf(text, sizeof text, "%lld.%09u", static_cast<long long>(inode.mtime),
                      inode.mtime_ns);
  fields["mtime"] = text;
  fields["xattrs"] = "";
  for (const layerfs::tree::Xattr& xattr : inode.xattrs)
    fields["xattrs"] += std::string(xattr.name) + "=" + std::string(xattr.value) + ";";
  if (inode.type == Type::regular) {
    fields["size"] = std::to_string(inode.size);
    fields["content"] = hash_of(content_of(sample, inode));
  } else if (inode.type == Type::symlink) {
    fields["target"] = std::string(inode.link_target);
  } else if (inode.type == Type::char_device || inode.type == Type::block_device) {
    fields["device"] = std::to_string(inode.dev_major) + ":" + std::to_string(inode.dev_minor);
  }
  fields["nlink"] = std::to_string(inode.nlink);
  return fields;
}

/// What read_tree() and add_link_counts() must find where the sample's image is mounted.
inline Tree expected_tree(const Sample& sample) {
  Tree expected;
  std::map<layerfs::tree::InodeId, std::vector<std::string>> names;
  std::vector<std::pair<std::string, layerfs::tree::InodeId>> open = {
      {".", layerfs::tree::Tree::kRoot}};
  while (!open.empty()) {
    const auto [path, id] = open.back();
    open.pop_back();
    const layerfs::tree::Inode inode = sample.tree.inode(id);
    expected[path] = expected_fields(sample, inode);
    if (inode.type != layerfs::tree::Type::directory) {
      names[id].push_back(path);
      continue;
    }
    for (const layerfs::tree::Entry& entry : sample.tree.entries(id))
      open.emplace_back((path == "." ? "" : path + "/") + std::string(entry.name), entry.inode);
  }
  for (auto& [id, paths] : names) {
    std::ranges::sort(paths);
    for (const std::string& path : paths)
      if (paths.size() > 1) expected[path]["links"] = paths.front();
  }
  return expected;
}

inline Tree add_link_counts(Tree tree, const std::string& root) {
  for (auto& [path, fields] : tree) {
    struct stat info{};
    EXPECT_EQ(::lstat((root + "/" + path).c_str(), &info), 0) << path;
    fields["nlink"] = std::to_string(info.st_nlink);
  }
  return tree;
}

}  // namespace nexcage::testing
