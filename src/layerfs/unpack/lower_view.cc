#include "nexcage/layerfs/unpack/lower_view.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/tree/names.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::unpack {
namespace {

using tree::components;

/// One directory of the merged view: its layers' directories, nearest first. The descriptors of the
/// roots are borrowed, all others owned.
struct MergedDirectory {
  std::vector<int> parts;
  std::vector<UniqueFd> owned;
};

Result<bool> is_opaque(int dir) {
  char value = 0;
  if (fgetxattr(dir, kOpaqueAttribute, &value, 1) == 1) return value == kOpaqueValue;
  if (errno == ENODATA || errno == ERANGE || errno == EOPNOTSUPP) return false;
  return fail_errno("read the opaque mark of a layer's directory");
}

bool is_whiteout(const struct stat& info) {
  return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0);
}

/// What the layer nearest to the top that knows `name` says about it.
struct Decision {
  std::size_t part = 0;  // index of the deciding layer's directory
  mode_t mode = 0;       // 0: missing
};

Result<Decision> decide(const MergedDirectory& in, const std::string& name) {
  for (std::size_t i = 0; i < in.parts.size(); ++i) {
    struct stat info{};
    if (fstatat(in.parts[i], name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0)
      return is_whiteout(info) ? Decision{} : Decision{i, info.st_mode};
    if (errno != ENOENT) return fail_errno("stat " + quote(name) + " in a layer below");
  }
  return Decision{};
}

/// Enters the directory `name`, whose nearest layer is number `first`.
Result<MergedDirectory> enter(const MergedDirectory& in, const std::string& name,
                              std::size_t first) {
  MergedDirectory result;
  for (std::size_t i = first; i < in.parts.size(); ++i) {
    const int fd =
        openat(in.parts[i], name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) continue;
    // Anything but a directory, a whiteout among it, ends what is merged.
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) break;
    if (fd < 0) return fail_errno("open directory " + quote(name) + " in a layer below");
    result.owned.emplace_back(fd);
    result.parts.push_back(fd);
    NX_TRY(const bool opaque, is_opaque(fd));
    if (opaque) break;
  }
  return result;
}

Result<LowerView::Found> describe(const MergedDirectory& in, const std::string& name,
                                  const Decision& decision) {
  LowerView::Found found;
  if (decision.mode == 0) return found;
  const int dir = in.parts[decision.part];
  found.kind = S_ISDIR(decision.mode)   ? LowerView::Kind::directory
               : S_ISLNK(decision.mode) ? LowerView::Kind::symlink
                                        : LowerView::Kind::other;
  if (found.kind == LowerView::Kind::symlink) {
    NX_TRY(found.link_target, sys::read_link(dir, name));
  }
  found.name = name;
  found.dir.reset(fcntl(dir, F_DUPFD_CLOEXEC, 0));
  if (!found.dir) return fail_errno("duplicate a descriptor");
  return found;
}

}  // namespace

Result<LowerView> LowerView::open(const std::vector<std::string>& layers) {
  std::vector<UniqueFd> roots;
  roots.reserve(layers.size());
  for (const std::string& layer : layers) {
    NX_TRY(UniqueFd fd, sys::open_at(AT_FDCWD, layer, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
           "open the layer below");
    roots.push_back(std::move(fd));
  }
  return LowerView(std::move(roots));
}

Result<LowerView::Found> LowerView::find(const std::string& path) const {
  MergedDirectory at;
  for (const UniqueFd& root : roots_) at.parts.push_back(root.get());
  const std::vector<std::string> names = components(path);
  for (std::size_t i = 0; i < names.size(); ++i) {
    NX_TRY(const Decision decision, decide(at, names[i]));
    if (i + 1 == names.size()) return describe(at, names[i], decision);
    if (!S_ISDIR(decision.mode)) break;
    NX_TRY(at, enter(at, names[i], decision.part));
  }
  return Found{};
}

}  // namespace nexcage::layerfs::unpack
