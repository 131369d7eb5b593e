// Resolving: from the components of a name to an open directory of the layer.
#include "nexcage/layerfs/unpack/layer_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/tree/names.h"
#include "nexcage/layerfs/unpack/file_type.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::unpack {
namespace {

using tree::components;
using tree::join_path;
using tree::parent_path;

constexpr int kMaxLinks = 40;           // as the kernel's own MAXSYMLINKS
constexpr std::size_t kMaxChain = 64;   // open descriptors kept for the last path
constexpr mode_t kImplicitMode = 0755;  // of a directory no layer has a member for

/// Metadata of a parent directory that nobody described: the same on every host.
Metadata implicit_metadata() {
  return Metadata{
      .mode = kImplicitMode,
  };
}

Error not_a_directory(const std::string& path) {
  return Error(Errc::InvalidImage, quote(path) + " is used as a directory but is none");
}

}  // namespace

LayerTree::LayerTree(UniqueFd root, LowerView lower, const UnpackLimits& limits)
    : root_(std::move(root)), lower_(std::move(lower)), limits_(limits) {
  records_.emplace("", Record{.metadata = implicit_metadata()});
}

Result<LayerTree> LayerTree::open(const std::string& target, LowerView lower,
                                  const UnpackLimits& limits) {
  NX_TRY(UniqueFd root, sys::open_at(AT_FDCWD, target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
         "open the layer's directory");
  NX_CHECK(make_plain_directory(root.get()));
  LayerTree tree(std::move(root), std::move(lower), limits);
  NX_TRY(DirectoryPtr top, tree.open_path(""));
  tree.chain_.push_back(std::move(top));
  return tree;
}

Result<DirectoryPtr> LayerTree::resolve(const std::vector<std::string>& components,
                                        Purpose purpose) {
  if (chain_.empty()) {
    NX_TRY(DirectoryPtr top, open_path(""));
    chain_.push_back(std::move(top));
  }
  const auto [shared_end, unused] = std::ranges::mismatch(chain_names_, components);
  const auto shared = static_cast<std::size_t>(shared_end - chain_names_.begin());
  chain_names_.resize(shared);
  chain_.resize(shared + 1);

  met_borrowed_ = false;
  int links = 0;
  DirectoryPtr at = chain_.back();
  for (std::size_t i = shared; i < components.size(); ++i) {
    NX_TRY(at, step(*at, components[i], purpose, links));
    if (!at) break;
    // What a symlink leads to is not remembered: a member may take the place of a lower layer's
    // symlink without this layer having anything under that name.
    const bool is_direct = at->path == join_path(chain_.back()->path, components[i]);
    if (i < kMaxChain && chain_names_.size() == i && is_direct) {
      chain_names_.push_back(components[i]);
      chain_.push_back(at);
    }
  }
  // A path through a borrowed directory is walked again next time.
  if (met_borrowed_) forget_chain();
  if (at && purpose == Purpose::fill) own(at->path);
  return at;
}

Result<DirectoryPtr> LayerTree::step(const Directory& at, const std::string& name, Purpose purpose,
                                     int& links) {
  UniqueFd fd(openat(at.fd.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd) return enter(at, name, std::move(fd));
  if (errno == ENOENT) return step_below(at, name, purpose, links);
  if (errno == ENOTDIR) return step_over_file(at, name, purpose, links);
  return fail_errno("open directory " + quote(join_path(at.path, name)));
}

Result<DirectoryPtr> LayerTree::step_over_file(const Directory& at, const std::string& name,
                                               Purpose purpose, int& links) {
  NX_TRY(const FileType type, file_type(at.fd.get(), name));
  if (type == FileType::symlink) {
    NX_TRY(const std::string target, sys::read_link(at.fd.get(), name));
    return follow(at, target, purpose, links);
  }
  if (purpose == Purpose::borrow) return DirectoryPtr();
  if (type != FileType::whiteout) return fail(not_a_directory(join_path(at.path, name)));
  NX_CHECK(sys::remove_file(at.fd.get(), name));
  return create(at, name, Record{.metadata = implicit_metadata(), .opaque = true});
}

Result<DirectoryPtr> LayerTree::step_below(const Directory& at, const std::string& name,
                                           Purpose purpose, int& links) {
  if (at.sees_lower) {
    self_contained_ = false;
    NX_TRY(const LowerView::Found found, lower_.find(join_path(at.path, name)));
    switch (found.kind) {
      case LowerView::Kind::missing:
        break;
      case LowerView::Kind::symlink:
        return follow(at, found.link_target, purpose, links);
      case LowerView::Kind::other:
        if (purpose == Purpose::borrow) return DirectoryPtr();
        return fail(not_a_directory(join_path(at.path, name)));
      case LowerView::Kind::directory:
        NX_TRY(Metadata metadata, read_metadata(found.dir.get(), found.name));
        met_borrowed_ = true;
        borrowed_.insert(join_path(at.path, name));
        return create(at, name, Record{.metadata = std::move(metadata)});
    }
  }
  if (purpose == Purpose::borrow) return DirectoryPtr();
  return create(at, name, Record{.metadata = implicit_metadata()});
}

Result<DirectoryPtr> LayerTree::follow(const Directory& at, const std::string& target,
                                       Purpose purpose, int& links) {
  if (++links > kMaxLinks)
    return fail(Errc::InvalidImage, "too many symlinks on the way through " + quote(at.path));
  NX_TRY(DirectoryPtr here, open_path(target.starts_with('/') ? std::string() : at.path));
  // Names that lead nowhere are made at the end only: in "missing/../there" nothing is missing.
  std::vector<std::string> missing;
  for (const std::string& name : components(target)) {
    if (name == "..") {
      if (missing.empty()) {
        NX_TRY(here, open_path(parent_path(here->path)));
      } else {
        missing.pop_back();
      }
      continue;
    }
    DirectoryPtr next;
    if (missing.empty()) {
      NX_TRY(next, step(*here, name, Purpose::borrow, links));
    }
    if (next)
      here = std::move(next);
    else
      missing.push_back(name);
  }
  if (purpose == Purpose::borrow) return missing.empty() ? here : DirectoryPtr();
  for (const std::string& name : missing) {
    NX_TRY(here, step(*here, name, purpose, links));
  }
  return here;
}

Result<DirectoryPtr> LayerTree::create(const Directory& at, const std::string& name,
                                       Record record) {
  std::string path = join_path(at.path, name);
  if (mkdirat(at.fd.get(), name.c_str(), 0700) != 0)
    return fail_errno("create directory " + quote(path));
  NX_TRY(UniqueFd fd, sys::open_at(at.fd.get(), name, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  const bool sees_lower = at.sees_lower && !record.opaque;
  NX_CHECK(remember(path, std::move(record)));
  return std::make_shared<const Directory>(std::move(fd), std::move(path), sees_lower);
}

Result<DirectoryPtr> LayerTree::enter(const Directory& at, const std::string& name, UniqueFd fd) {
  std::string path = join_path(at.path, name);
  met_borrowed_ = met_borrowed_ || borrowed_.contains(path);
  const bool sees_lower = at.sees_lower && !records_.at(path).opaque;
  return std::make_shared<const Directory>(std::move(fd), std::move(path), sees_lower);
}

Result<DirectoryPtr> LayerTree::open_path(const std::string& path) {
  // `path` holds directories of this layer only; nothing but a symlink put in their place, which
  // forget() rules out, could lead elsewhere, and the kernel is told to refuse that as well.
  NX_TRY(UniqueFd fd, sys::open_beneath(root_.get(), path.empty() ? "." : path,
                                        O_PATH | O_DIRECTORY | O_NOFOLLOW));
  bool sees_lower = !records_.at("").opaque;
  for (std::size_t end = path.find('/'); sees_lower && !path.empty();
       end = path.find('/', end + 1)) {
    sees_lower = !records_.at(path.substr(0, end)).opaque;
    if (end == std::string::npos) break;
  }
  return std::make_shared<const Directory>(std::move(fd), path, sees_lower);
}

void LayerTree::own(std::string path) {
  for (; !borrowed_.empty() && !path.empty(); path = parent_path(path)) borrowed_.erase(path);
}

void LayerTree::forget_chain() {
  chain_names_.clear();
  chain_.clear();
}

}  // namespace nexcage::layerfs::unpack
