#include "nexcage/layerfs/convert/flat_archive.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <unordered_map>

#include "nexcage/base/text.h"
#include "nexcage/image/content/gzip_writer.h"
#include "nexcage/image/content/stream.h"
#include "nexcage/image/content/tar_writer.h"
#include "nexcage/layerfs/convert/layer_input.h"
#include "nexcage/layerfs/tree/apply.h"
#include "nexcage/layerfs/tree/names.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::convert {

namespace {

using image::content::GzipWriter;
using image::content::TarHead;
using tree::Inode;
using tree::InodeId;
using tree::Tree;
using tree::Type;

constexpr std::size_t kBlock = 512, kRecord = 20 * kBlock, kBuffer = std::size_t{256} << 10;
constexpr std::uint64_t kMostAccounts = std::uint64_t{1} << 20;
constexpr int kMostLinks = 40;  // as the kernel follows

TarHead entry_of(const Inode& inode, std::string name) {
  TarHead entry{.name = std::move(name),
                .mode = inode.mode,
                .uid = inode.uid,
                .gid = inode.gid,
                .mtime = inode.mtime};
  for (const tree::Xattr& xattr : inode.xattrs) entry.xattrs.emplace_back(xattr.name, xattr.value);
  return entry;
}

/// Writes the archive member by member.
class Archive {
 public:
  Archive(const std::vector<LayerInput>& layers, int fd)
      : layers_(layers), out_(fd), buffer_(kBuffer) {}

  Result<> put_tree(const Tree& tree);
  Result<> put_text(const TarHead& like, std::string_view text);
  Result<> finish() {
    const std::size_t over = position_ % kRecord;
    NX_CHECK(put(std::string(2 * kBlock, '\0')));
    NX_CHECK(put(std::string(over == 0 ? 0 : kRecord - over, '\0')));
    return out_.finish();
  }
  /// The bytes of a regular file.
  Result<std::string> text_of(const Inode& inode);
  std::uint64_t bytes() const { return out_.written(); }
  std::uint64_t unpacked() const { return unpacked_; }

 private:
  Result<> put(std::string_view bytes) {
    position_ += bytes.size();
    return out_.put(bytes);
  }
  Result<> pad() {
    const std::size_t over = position_ % kBlock;
    return over == 0 ? Result<>() : put(std::string(kBlock - over, '\0'));
  }
  Result<> put_member(const std::string& path, InodeId id, const Inode& inode);
  Result<> put_data(const Inode& inode);
  Result<> put_zeros(std::uint64_t count);
  Result<std::string_view> read(const tree::Extent& extent, std::uint64_t done);

  const std::vector<LayerInput>& layers_;
  GzipWriter out_;
  std::vector<char> buffer_;
  std::unordered_map<InodeId, std::string> linked_;
  std::uint64_t position_ = 0, unpacked_ = 0;
};

Result<std::string_view> Archive::read(const tree::Extent& extent, std::uint64_t done) {
  const std::uint64_t want = std::min<std::uint64_t>(extent.length - done, buffer_.size());
  const ssize_t got = ::pread(layers_[extent.source].tar.get(), buffer_.data(), want,
                              static_cast<off_t>(extent.source_offset + done));
  if (got < 0) return fail_errno("read the tar of layer " + std::to_string(extent.source));
  if (got == 0) return fail(Errc::InvalidImage, "a layer's tar ends inside a file");
  return std::string_view(buffer_.data(), static_cast<std::size_t>(got));
}

Result<> Archive::put_zeros(std::uint64_t count) {
  const std::string zeros(std::min<std::uint64_t>(count, kBuffer), '\0');
  for (; count > 0; count -= std::min<std::uint64_t>(count, zeros.size()))
    NX_CHECK(put(std::string_view(zeros).substr(0, std::min<std::uint64_t>(count, zeros.size()))));
  return {};
}

Result<> Archive::put_data(const Inode& inode) {
  std::uint64_t at = 0;
  for (const tree::Extent& extent : inode.extents) {
    NX_CHECK(put_zeros(extent.offset - at));
    for (std::uint64_t done = 0; done < extent.length;) {
      NX_TRY(const std::string_view part, read(extent, done));
      NX_CHECK(put(part));
      done += part.size();
    }
    at = extent.offset + extent.length;
  }
  NX_CHECK(put_zeros(inode.size - at));
  unpacked_ += inode.size;
  return pad();
}

Result<std::string> Archive::text_of(const Inode& inode) {
  std::string text(inode.size, '\0');
  for (const tree::Extent& extent : inode.extents)
    for (std::uint64_t done = 0; done < extent.length;) {
      NX_TRY(const std::string_view part, read(extent, done));
      text.replace(extent.offset + done, part.size(), part);
      done += part.size();
    }
  return text;
}

Result<> Archive::put_member(const std::string& path, InodeId id, const Inode& inode) {
  TarHead entry = entry_of(inode, "./" + path);
  switch (inode.type) {
    case Type::directory:
      entry.type = '5';
      if (!entry.name.ends_with('/')) entry.name += '/';
      return put(tar_head(entry));
    case Type::symlink:
      entry.type = '2';
      entry.link_name = inode.link_target;
      return put(tar_head(entry));
    case Type::fifo:
      entry.type = '6';
      return put(tar_head(entry));
    case Type::char_device:
    case Type::block_device:
      // Those of /dev are the host's to give.
      if (path.starts_with("dev/")) return {};
      return fail(Errc::InvalidImage, "/" + path + ": a device node outside /dev");
    case Type::regular:
      break;
  }
  if (inode.nlink > 1) {
    const auto [first, is_new] = linked_.try_emplace(id, entry.name);
    if (!is_new) {
      entry.type = '1';
      entry.link_name = first->second;
      entry.xattrs.clear();
      return put(tar_head(entry));
    }
  }
  entry.size = inode.size;
  NX_CHECK(put(tar_head(entry)));
  return put_data(inode);
}

Result<> Archive::put_tree(const Tree& tree) {
  struct Directory {
    InodeId inode;
    std::string path;
  };
  std::vector<Directory> left = {{Tree::kRoot, {}}};
  while (!left.empty()) {
    const Directory directory = std::move(left.back());
    left.pop_back();
    NX_CHECK(put_member(directory.path, directory.inode, tree.inode(directory.inode)));
    for (const tree::Entry& entry : tree.entries(directory.inode)) {
      const std::string path = tree::join_path(directory.path, entry.name);
      if (tree.is_directory(entry.inode))
        left.push_back({entry.inode, path});
      else
        NX_CHECK(put_member(path, entry.inode, tree.inode(entry.inode)));
    }
  }
  return {};
}

Result<> Archive::put_text(const TarHead& like, std::string_view text) {
  TarHead entry = like;
  entry.size = text.size();
  unpacked_ += text.size();
  NX_CHECK(put(tar_head(entry)));
  NX_CHECK(put(text));
  return pad();
}

/// What a path of the tree leads to, symlinks followed inside; nullopt: nothing.
std::optional<InodeId> resolve(const Tree& tree, std::string_view path) {
  std::vector<std::string> left;
  const auto push = [&](std::string_view text) {
    auto parts = split(text, '/');
    left.insert(left.end(), parts.rbegin(), parts.rend());
  };
  push(path);
  InodeId at = Tree::kRoot;
  for (int links = 0; !left.empty();) {
    const std::string part = std::move(left.back());
    left.pop_back();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      at = tree.parent(at);
      continue;
    }
    if (!tree.is_directory(at)) return std::nullopt;
    const auto next = tree.find(at, part);
    if (!next) return std::nullopt;
    const Inode inode = tree.inode(*next);
    if (inode.type != Type::symlink) {
      at = *next;
      continue;
    }
    if (++links > kMostLinks) return std::nullopt;
    if (inode.link_target.starts_with('/')) at = Tree::kRoot;
    push(inode.link_target);
  }
  return at;
}

/// The directory that an extra file goes into, as the tree has it; made where it is missing.
Result<InodeId> place_for(Tree& tree, const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return Tree::kRoot;
  const std::string parent = path.substr(0, slash);
  if (const auto found = resolve(tree, parent)) {
    if (tree.is_directory(*found)) return *found;
    return fail(Errc::InvalidImage, "/" + parent + " is no directory");
  }
  NX_TRY(const InodeId above, place_for(tree, parent));
  const std::string name = parent.substr(parent.rfind('/') + 1);
  if (tree.find(above, name)) return fail(Errc::InvalidImage, "/" + parent + " leads nowhere");
  return tree.add(above, name, tree::kImplicitDirectory);
}

Result<> put_extra(Archive& archive, const FlattenJob::Extra& extra, const std::string& directory) {
  const std::string name = extra.path.substr(extra.path.rfind('/') + 1);
  TarHead entry{.name = "./" + tree::join_path(directory, name), .mode = extra.mode};
  if (!extra.link.empty()) {
    entry.type = '2';
    entry.mode = 0777;
    entry.link_name = extra.link;
    return archive.put_text(entry, {});
  }
  if (extra.file.empty()) return archive.put_text(entry, extra.text);
  NX_TRY(const std::string text, sys::read_file(AT_FDCWD, extra.file));
  return archive.put_text(entry, text);
}

Result<> keep_accounts(const Tree& tree, Archive& archive, const std::string& directory) {
  NX_CHECK(sys::mkdirs(directory + "/etc", 0700));
  for (const char* name : {"etc/passwd", "etc/group", "etc/os-release"}) {
    const auto found = resolve(tree, name);
    if (!found) continue;
    const Inode inode = tree.inode(*found);
    if (inode.type != Type::regular || inode.size > kMostAccounts) continue;
    NX_TRY(const std::string text, archive.text_of(inode));
    NX_CHECK(sys::write_file_atomic(directory + "/" + name, text, 0600, sys::Durable::no));
  }
  return {};
}

Result<Tree> read_tree(const FlattenJob& job, const std::vector<LayerInput>& layers) {
  Tree tree;
  for (std::size_t i = 0; i < layers.size(); ++i)
    NX_CHECK(tree::apply(tree, layers[i].members, static_cast<std::uint32_t>(i)),
             "layer " + job.stack.layers[i].digest.str());
  return tree;
}

}  // namespace

Result<Flattened> write_archive(const FlattenJob& job) {
  NX_TRY(const std::vector<LayerInput> layers, read_layers(job.stack.layers, {}));
  NX_TRY(Tree tree, read_tree(job, layers));
  if (job.output.empty()) {
    Archive reader(layers, -1);
    NX_CHECK(keep_accounts(tree, reader, job.accounts));
    return Flattened{};
  }
  const UniqueFd file(
      ::open(job.output.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail_errno("create " + job.output);
  Archive archive(layers, file.get());
  NX_CHECK(keep_accounts(tree, archive, job.accounts));
  std::vector<InodeId> places;
  for (const FlattenJob::Extra& extra : job.extras) {
    NX_TRY(const InodeId place, place_for(tree, extra.path));
    const std::string name = extra.path.substr(extra.path.rfind('/') + 1);
    if (tree.find(place, name)) tree.remove(place, name);
    places.push_back(place);
  }
  NX_CHECK(archive.put_tree(tree));
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::string directory = tree.path(places[i]);
    if (directory.starts_with('/')) directory.erase(0, 1);
    NX_CHECK(put_extra(archive, job.extras[i], directory));
  }
  NX_CHECK(archive.finish());
  image::content::SliceSource source(file.get(), 0, archive.bytes(), job.output);
  NX_TRY(const auto hashing, image::content::HashingSource::create(source));
  NX_CHECK(image::content::drain(*hashing));
  return Flattened{.sha256 = std::string(hashing->finish().hex()),
                   .bytes = archive.bytes(),
                   .unpacked = archive.unpacked()};
}

}  // namespace nexcage::layerfs::convert
