#include "nexcage/layerfs/unpack/extractor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/tree/member_metadata.h"
#include "nexcage/layerfs/tree/names.h"

namespace nexcage::layerfs::unpack {
namespace {

using image::content::TarEntry;
using image::content::TarType;
using tree::check_device;
using tree::check_target;
using tree::EntryName;
using tree::join_path;
using tree::metadata_of;
using tree::parse_entry_name;
using tree::parse_whiteout;
using tree::Whiteout;

/// Runs a system call that creates `name`; when the name is taken in this layer, the later member
/// wins: what is there goes and the call runs again.
Result<int> create_replacing(LayerTree& tree, const Directory& parent, const std::string& name,
                             const std::function<int()>& create) {
  int result = create();
  if (result < 0 && errno == EEXIST) {
    NX_CHECK(tree.remove(parent, name));
    result = create();
  }
  if (result < 0) return fail_errno("create it");
  NX_CHECK(tree.count_file());
  return result;
}

mode_t node_type(TarType type) {
  switch (type) {
    case TarType::char_device:
      return S_IFCHR;
    case TarType::block_device:
      return S_IFBLK;
    default:
      return S_IFIFO;
  }
}

Result<> write_at(int fd, std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t done = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return fail_errno("write data");
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
  return {};
}

}  // namespace

Result<> Extractor::run() {
  while (true) {
    NX_TRY(const auto entry, reader_.next());
    if (!entry) break;
    NX_CHECK(add(*entry), "member " + quote(entry->name));
  }
  return tree_.finish();
}

Result<> Extractor::add(const TarEntry& entry) {
  NX_TRY(const EntryName name, parse_entry_name(entry.name));
  if (name.is_root()) {
    if (entry.type != TarType::directory)
      return fail(Errc::InvalidImage, "the root can only be a directory");
    NX_TRY(Metadata metadata, metadata_of(entry));
    return tree_.put_root(std::move(metadata));
  }
  if (name.base.starts_with(".wh.")) return add_whiteout(name.parent, name.base);
  if (entry.type == TarType::hard_link) return add_hard_link(entry, name.parent, name.base);

  NX_TRY(const DirectoryPtr parent, tree_.resolve(name.parent, Purpose::fill));
  switch (entry.type) {
    case TarType::directory:
      return add_directory(entry, *parent, name.base);
    case TarType::regular:
      return add_regular(entry, *parent, name.base);
    case TarType::symlink:
      return add_symlink(entry, *parent, name.base);
    default:
      return add_node(entry, *parent, name.base);
  }
}

Result<> Extractor::add_whiteout(const std::vector<std::string>& parent, std::string_view base) {
  NX_TRY(const Whiteout whiteout, parse_whiteout(base));
  if (whiteout.kind == Whiteout::Kind::ignored) return {};
  NX_TRY(const DirectoryPtr directory, tree_.resolve(parent, Purpose::borrow));
  if (!directory) return {};  // nothing there that could be hidden
  if (whiteout.kind == Whiteout::Kind::opaque) return tree_.hide_all(*directory);
  return tree_.hide(*directory, whiteout.name);
}

Result<> Extractor::add_directory(const TarEntry& entry, const Directory& parent,
                                  const std::string& name) {
  NX_TRY(Metadata metadata, metadata_of(entry));
  return tree_.put_directory(parent, name, std::move(metadata));
}

Result<> Extractor::add_regular(const TarEntry& entry, const Directory& parent,
                                const std::string& name) {
  NX_TRY(const Metadata metadata, metadata_of(entry));
  // The mode is right from the start (the umask is 0), which saves a chmod(2) for most files.
  NX_TRY(const int raw, create_replacing(tree_, parent, name, [&] {
           return openat(parent.fd.get(), name.c_str(),
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, metadata.mode);
         }));
  const UniqueFd file(raw);
  NX_CHECK(write_data(entry, file.get()));
  return apply_metadata(file.get(), metadata, ModeState::has_it);
}

Result<> Extractor::write_data(const TarEntry& entry, int fd) {
  std::uint64_t end = 0;
  while (true) {
    NX_TRY(const auto data, reader_.read_data());
    if (!data) break;
    NX_CHECK(tree_.count_bytes(data->bytes.size()));
    NX_CHECK(write_at(fd, data->bytes, data->offset));
    end = data->offset + data->bytes.size();
  }
  // A hole at the end.
  if (end < entry.size && ftruncate(fd, static_cast<off_t>(entry.size)) != 0)
    return fail_errno("set the size");
  return {};
}

Result<> Extractor::add_symlink(const TarEntry& entry, const Directory& parent,
                                const std::string& name) {
  NX_CHECK(check_target(entry));
  NX_TRY(const Metadata metadata, metadata_of(entry));
  NX_CHECK(create_replacing(tree_, parent, name, [&] {
    return symlinkat(entry.link_name.c_str(), parent.fd.get(), name.c_str());
  }));
  return apply_metadata_at(parent.fd.get(), name, metadata, S_IFLNK);
}

Result<> Extractor::add_node(const TarEntry& entry, const Directory& parent,
                             const std::string& name) {
  NX_CHECK(check_device(entry));
  NX_TRY(const Metadata metadata, metadata_of(entry));
  const mode_t type = node_type(entry.type);
  const dev_t device = type == S_IFIFO ? 0
                                       : makedev(static_cast<unsigned>(entry.dev_major),
                                                 static_cast<unsigned>(entry.dev_minor));
  NX_CHECK(create_replacing(tree_, parent, name, [&] {
    return mknodat(parent.fd.get(), name.c_str(), type | (metadata.mode & 0777), device);
  }));
  return apply_metadata_at(parent.fd.get(), name, metadata, type);
}

Result<> Extractor::add_hard_link(const TarEntry& entry,
                                  const std::vector<std::string>& parent_names,
                                  const std::string& name) {
  NX_TRY(const EntryName target, parse_entry_name(entry.link_name), "hard link");
  if (target.is_root()) return fail(Errc::InvalidImage, "hard link to the root directory");
  NX_TRY(const DirectoryPtr target_parent, tree_.resolve(target.parent, Purpose::borrow));
  if (!target_parent)
    return fail(Errc::InvalidImage,
                "hard link to " + quote(target.path()) + ", which does not exist");
  NX_CHECK(tree_.bring_up(*target_parent, target.base));
  NX_TRY(const DirectoryPtr parent, tree_.resolve(parent_names, Purpose::fill));
  if (parent->path == target_parent->path && name == target.base) return {};  // a link to itself
  const std::string path = join_path(parent->path, name);
  if (target_parent->path == path || target_parent->path.starts_with(path + "/"))
    return fail(Errc::InvalidImage, "hard link in the place of a directory that holds its target");
  NX_CHECK(create_replacing(tree_, *parent, name, [&] {
    return linkat(target_parent->fd.get(), target.base.c_str(), parent->fd.get(), name.c_str(), 0);
  }));
  return {};
}

}  // namespace nexcage::layerfs::unpack
