// Changing: directories, whiteouts, what is removed and what is copied from below.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/tree/names.h"
#include "nexcage/layerfs/unpack/copy_file.h"
#include "nexcage/layerfs/unpack/file_type.h"
#include "nexcage/layerfs/unpack/layer_tree.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::unpack {
namespace {

using tree::join_path;
using tree::parent_path;

// An empty value means "copied up, origin unknown": overlayfs then expects whiteouts in a directory
// even where no layer below has it, and leaves them out of readdir(3). Without it a whiteout of
// nothing would be listed in the container.
constexpr const char* kOriginAttribute = "trusted.overlay.origin";
// What a map node and its strings cost beside their characters; an estimate.
constexpr std::uint64_t kRecordOverhead = 256;
// Descriptors kept of copied files; more are copied once for each name.
constexpr std::size_t kMaxCopies = 512;

std::uint64_t memory_of(const std::string& path, const Metadata& metadata) {
  std::uint64_t sum = path.size() + kRecordOverhead;
  for (const auto& [name, value] : metadata.xattrs) sum += name.size() + value.size();
  return sum;
}

/// Erases `path` and all below it from an ordered container of paths.
template <class Container, class KeyOf>
void erase_subtree(Container& paths, const std::string& path, KeyOf key_of) {
  paths.erase(path);
  const std::string prefix = path + "/";
  auto first = paths.lower_bound(prefix);
  auto last = first;
  while (last != paths.end() && key_of(*last).starts_with(prefix)) ++last;
  paths.erase(first, last);
}

}  // namespace

Result<> LayerTree::put_directory(const Directory& parent, const std::string& name,
                                  Metadata metadata) {
  const std::string path = join_path(parent.path, name);
  if (mkdirat(parent.fd.get(), name.c_str(), 0700) == 0)
    return remember(path, Record{.metadata = std::move(metadata)});
  if (errno != EEXIST) return fail_errno("create directory");
  NX_TRY(const FileType type, file_type(parent.fd.get(), name));
  if (type == FileType::directory) {
    Record record = records_.at(path);
    record.metadata = std::move(metadata);
    borrowed_.erase(path);
    return remember(path, std::move(record));
  }
  // The file (or whiteout) hid what is below; the directory that takes its place still does.
  NX_CHECK(remove(parent, name));
  if (mkdirat(parent.fd.get(), name.c_str(), 0700) != 0) return fail_errno("create directory");
  return remember(path, Record{.metadata = std::move(metadata), .opaque = true});
}

Result<> LayerTree::put_root(Metadata metadata) {
  root_entry_ = true;
  Record record = records_.at("");
  record.metadata = std::move(metadata);
  return remember("", std::move(record));
}

Result<> LayerTree::remove(const Directory& parent, const std::string& name) {
  NX_TRY(const FileType type, file_type(parent.fd.get(), name));
  if (type == FileType::missing) return {};
  const std::string path = join_path(parent.path, name);
  if (type == FileType::directory) {
    forget(path);
    return sys::remove_tree(parent.fd.get(), name);
  }
  if (type == FileType::symlink) forget_chain();
  borrowed_.erase(path);
  return sys::remove_file(parent.fd.get(), name);
}

Result<> LayerTree::hide(const Directory& parent, const std::string& name) {
  const std::string path = join_path(parent.path, name);
  NX_TRY(const FileType type, file_type(parent.fd.get(), name));
  if (type == FileType::whiteout) return {};
  if (type == FileType::directory) {
    if (!borrowed_.contains(path)) return hide_below(path);
  } else if (type != FileType::missing && !borrowed_.contains(path)) {
    return {};
  }
  NX_CHECK(remove(parent, name));
  if (!parent.sees_lower) return {};
  return make_whiteout(parent, name);
}

Result<> LayerTree::make_whiteout(const Directory& parent, const std::string& name) {
  NX_CHECK(count_file());
  if (mknodat(parent.fd.get(), name.c_str(), S_IFCHR, makedev(0, 0)) != 0)
    return fail_errno("create whiteout");
  records_.at(parent.path).has_whiteouts = true;
  return {};
}

Result<> LayerTree::hide_all(const Directory& directory) { return hide_below(directory.path); }

Result<> LayerTree::hide_below(const std::string& path) {
  records_.at(path).opaque = true;
  forget_chain();
  // What was borrowed from below is hidden as well. Each removal shortens the set; what lay inside
  // went with it.
  const std::string prefix = path.empty() ? path : path + "/";
  for (auto item = borrowed_.lower_bound(prefix);
       item != borrowed_.end() && item->starts_with(prefix); item = borrowed_.lower_bound(prefix)) {
    NX_TRY(const DirectoryPtr parent, open_path(parent_path(*item)));
    const std::string name = item->substr(item->rfind('/') + 1);
    NX_CHECK(remove(*parent, name));
    borrowed_.erase(join_path(parent->path, name));
  }
  return {};
}

Result<> LayerTree::bring_up(const Directory& parent, const std::string& name) {
  NX_TRY(const FileType type, file_type(parent.fd.get(), name));
  if (type == FileType::symlink || type == FileType::other) return {};
  const std::string path = join_path(parent.path, name);
  if (type == FileType::directory)
    return fail(Errc::InvalidImage, "hard link to the directory " + quote(path));
  if (type == FileType::missing && parent.sees_lower) {
    self_contained_ = false;
    NX_TRY(const LowerView::Found found, lower_.find(path));
    if (found.kind == LowerView::Kind::directory)
      return fail(Errc::InvalidImage, "hard link to the directory " + quote(path));
    if (found.kind != LowerView::Kind::missing) {
      NX_CHECK(copy_up(found, parent, name), "copy " + quote(path) + " from the layer below");
      borrowed_.insert(path);
      return {};
    }
  }
  return fail(Errc::InvalidImage, "hard link to " + quote(path) + ", which does not exist");
}

Result<> LayerTree::copy_up(const LowerView::Found& found, const Directory& parent,
                            const std::string& name) {
  NX_CHECK(count_file());
  NX_TRY(const auto info, sys::stat_at(found.dir.get(), found.name));
  const bool has_names = info && info->st_nlink > 1;
  const std::pair id = has_names ? std::pair(info->st_dev, info->st_ino) : std::pair(0ul, 0ul);
  if (has_names)
    if (const auto copy = copies_.find(id);
        copy != copies_.end() && link_to_copy(copy->second.get(), parent, name))
      return {};
  NX_TRY(const std::uint64_t bytes, copy_file(found.dir.get(), found.name, parent.fd.get(), name));
  NX_CHECK(count_bytes(bytes));
  if (has_names && copies_.size() < kMaxCopies) {
    NX_TRY(copies_[id], sys::open_at(parent.fd.get(), name, O_PATH | O_NOFOLLOW));
  }
  return {};
}

/// False when the copy has lost all its names: then nothing could tell that it was the same file.
bool LayerTree::link_to_copy(int copy, const Directory& parent, const std::string& name) const {
  return linkat(AT_FDCWD, sys::fd_path(copy).c_str(), parent.fd.get(), name.c_str(),
                AT_SYMLINK_FOLLOW) == 0;
}

Result<> LayerTree::count_file() {
  if (++files_ > limits_.max_files)
    return fail(Errc::InvalidImage,
                "more than " + std::to_string(limits_.max_files) + " files in one layer");
  return {};
}

Result<> LayerTree::count_bytes(std::uint64_t bytes) {
  bytes_ += bytes;
  if (bytes_ > limits_.max_bytes)
    return fail(Errc::InvalidImage,
                "more than " + format_bytes(limits_.max_bytes) + " of files in one layer");
  return {};
}

Result<> LayerTree::remember(const std::string& path, Record record) {
  directory_memory_ += memory_of(path, record.metadata);
  if (directory_memory_ > limits_.max_directory_memory)
    return fail(Errc::InvalidImage, "directories of one layer need more than " +
                                        format_bytes(limits_.max_directory_memory) + " of memory");
  if (records_.insert_or_assign(path, std::move(record)).second) return count_file();
  return {};
}

void LayerTree::forget(const std::string& path) {
  erase_subtree(records_, path, [](const auto& item) -> const std::string& { return item.first; });
  erase_subtree(borrowed_, path, std::identity{});
  forget_chain();
}

Result<> LayerTree::finish() {
  forget_chain();
  // Children before parents: a directory's mode may forbid what is still to be done below it.
  for (auto item = records_.rbegin(); item != records_.rend(); ++item)
    NX_CHECK(finish_directory(item->first, item->second),
             "finish directory " + quote("/" + item->first));
  return {};
}

Result<> LayerTree::finish_directory(const std::string& path, const Record& record) {
  NX_TRY(const UniqueFd fd, sys::open_beneath(root_.get(), path.empty() ? "." : path,
                                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (record.opaque && fsetxattr(fd.get(), kOpaqueAttribute, &kOpaqueValue, 1, 0) != 0)
    return fail_errno("mark it as opaque");
  if (record.has_whiteouts && fsetxattr(fd.get(), kOriginAttribute, "", 0, 0) != 0)
    return fail_errno("mark it as holding whiteouts");
  return apply_metadata(fd.get(), record.metadata, ModeState::set_it);
}

}  // namespace nexcage::layerfs::unpack
