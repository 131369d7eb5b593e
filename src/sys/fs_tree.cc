// Walking and removing trees.
#include "nexcage/sys/fs_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "nexcage/sys/btrfs.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/fs_resolve.h"

namespace nexcage::sys {
namespace {

constexpr std::uint64_t kStayInside = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

/// Somebody may still be writing into the tree; after so many new scans of one directory it is an
/// error that it does not become empty.
constexpr int kScans = 16;

/// One directory on the way down. Only the deepest one is open, so that the depth of a tree costs
/// memory and no descriptors; the way up is "..", checked against what was left.
struct Level {
  std::string name;
  dev_t device = 0;
  ino_t inode = 0;
  std::vector<std::string> directories;  // still to be removed
  int scans = 0;
};

class TreeWalker {
 public:
  TreeWalker(int dir, const TreeWalk& walk) : start_(dir), walk_(walk) {}

  Result<> run(const std::string& name) {
    NX_TRY(const bool entered, enter(start_, name));
    if (!entered) return drop_file(start_, name);
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.directories.empty()) {
        NX_CHECK(leave(), name);
        continue;
      }
      const std::string next = std::move(level.directories.back());
      level.directories.pop_back();
      NX_CHECK(descend(next), name);
    }
    return {};
  }

 private:
  /// False when `name` is no directory (or missing). A mount point is an error (EXDEV).
  Result<bool> enter(int parent, const std::string& name) {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    UniqueFd fd(openat2_retry(parent, name.c_str(), kFlags, 0, kStayInside));
    if (!fd && errno == EACCES && removes_files() && allow_owner(parent, name))
      fd.reset(openat2_retry(parent, name.c_str(), kFlags, 0, kStayInside));
    if (!fd && (errno == ENOTDIR || errno == ELOOP || errno == ENOENT)) return false;
    if (!fd) return fail_errno("enter " + name);
    NX_TRY(const struct stat info, stat_fd(fd.get()));
    if (removes_files()) NX_CHECK(allow_writing(fd.get()), name);
    // Without CAP_DAC_OVERRIDE a directory of our own may forbid what we are about to do.
    if (removes_files() && (info.st_mode & S_IRWXU) != S_IRWXU && info.st_uid == ::geteuid())
      (void)::fchmod(fd.get(), S_IRWXU);
    levels_.push_back({name, info.st_dev, info.st_ino, {}, 0});
    current_ = std::move(fd);
    if (walk_.visit) NX_CHECK(walk_.visit(current_.get()));
    NX_CHECK(scan(), name);
    return true;
  }

  /// A directory of ours without read permission: gives it to us, by descriptor.
  static bool allow_owner(int parent, const std::string& name) {
    UniqueFd fd(
        openat2_retry(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, kStayInside));
    const bool done = fd && ::chmod(fd_path(fd.get()).c_str(), S_IRWXU) == 0;
    errno = EACCES;
    return done;
  }

  /// A read-only snapshot of btrfs forbids it to everybody; as an ordinary subvolume it can be
  /// emptied, and goes like a directory (Linux 4.18). Not deleted as a whole: what is mounted in it
  /// would be detached instead of being found.
  static Result<> allow_writing(int directory) {
    NX_TRY(const bool subvolume, is_subvolume(directory));
    if (!subvolume) return {};
    NX_TRY(const Access access, subvolume_access(directory));
    if (access == Access::read_write) return {};
    return set_subvolume_access(directory, Access::read_write);
  }

  bool removes() const { return walk_.removal != TreeWalk::Removal::nothing; }
  bool removes_files() const { return walk_.removal == TreeWalk::Removal::everything; }

  Result<> drop_file(int parent, const std::string& name) {
    if (!removes_files()) return {};
    return remove_file(parent, name);
  }

  /// An empty directory goes at once, another becomes the deepest level.
  Result<> descend(const std::string& name) {
    const bool at_once = removes() && !walk_.visit;
    if (at_once && (::unlinkat(current_.get(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT))
      return {};
    NX_TRY(const bool entered, enter(current_.get(), name));
    if (!entered) return drop_file(current_.get(), name);
    return {};
  }

  /// Notes the directories in the deepest level, and removes what is none.
  Result<> scan() {
    Level& level = levels_.back();
    if (++level.scans > kScans) return fail_errno(ENOTEMPTY, "it is being written to");
    if (::lseek(current_.get(), 0, SEEK_SET) < 0) return fail_errno("rewind");
    alignas(dirent64) std::array<char, 32768> buffer;
    for (;;) {
      const ssize_t n = ::getdents64(current_.get(), buffer.data(), buffer.size());
      // ENOENT: the directory itself was removed by somebody else.
      if (n == 0 || (n < 0 && errno == ENOENT)) return {};
      if (n < 0) return fail_errno("read directory");
      for (ssize_t at = 0; at < n;) {
        const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
        NX_CHECK(take_entry(level, entry->d_name, entry->d_type));
        at += entry->d_reclen;
      }
    }
  }

  Result<> take_entry(Level& level, const char* name, unsigned char type) {
    const std::string_view text(name);
    if (text == "." || text == "..") return {};
    if (type != DT_DIR && type != DT_UNKNOWN && !removes_files()) return {};
    if (type != DT_DIR && removes_files()) {
      if (::unlinkat(current_.get(), name, 0) == 0 || errno == ENOENT) return {};
      if (errno != EISDIR) return fail_errno("remove " + std::string(text));
    }
    level.directories.emplace_back(text);
    return {};
  }

  /// Steps up from a directory that is done with, and removes it.
  Result<> leave() {
    UniqueFd up;
    if (levels_.size() > 1) {
      NX_TRY(up, open_parent(levels_[levels_.size() - 2]));
    }
    const int parent = up ? up.get() : start_;
    const std::string& name = levels_.back().name;
    if (removes() && ::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      if (errno != ENOTEMPTY && errno != EEXIST) return fail_errno("remove " + name);
      return scan();
    }
    levels_.pop_back();
    current_ = std::move(up);
    return {};
  }

  /// ".." of the deepest level; it must be the directory that we came from: if somebody moved ours
  /// elsewhere meanwhile, nothing there may be touched.
  Result<UniqueFd> open_parent(const Level& expected) {
    UniqueFd up(
        openat2_retry(current_.get(), "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, kStayInside));
    if (!up) return fail_errno("return to " + expected.name);
    NX_TRY(const struct stat info, stat_fd(up.get()));
    if (info.st_dev != expected.device || info.st_ino != expected.inode)
      return fail(Errc::FileError, "a directory was moved while its tree was being removed");
    return up;
  }

  int start_;
  const TreeWalk& walk_;
  UniqueFd current_;
  std::vector<Level> levels_;
};

bool names_itself(const std::string& name) { return name.empty() || name == "." || name == ".."; }

const TreeWalk kRemoveAll{TreeWalk::Removal::everything, {}};

}  // namespace

Result<> walk_tree(int dir, const std::string& name, const TreeWalk& walk) {
  return TreeWalker(dir, walk).run(name);
}

Result<> remove_tree(int dir, const std::string& name) {
  const auto [parent, last] = split_last(name);
  if (names_itself(last) || last == "/") return fail_errno(EINVAL, "remove " + name);
  if (parent.empty()) {
    NX_CHECK(walk_tree(dir, last, kRemoveAll), "remove " + name);
    return {};
  }
  auto fd = open_at(dir, parent, O_PATH | O_DIRECTORY);
  if (!fd && (fd.error().sys_errno() == ENOENT || fd.error().sys_errno() == ENOTDIR)) return {};
  if (!fd) return fail(std::move(fd).error().wrap("remove " + name));
  NX_CHECK(walk_tree(fd->get(), last, kRemoveAll), "remove " + name);
  return {};
}

Result<> remove_tree(const std::string& path) { return remove_tree(AT_FDCWD, path); }

Result<> remove_file(int dir, const std::string& name) {
  if (::unlinkat(dir, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  return fail_errno("remove " + name);
}

}  // namespace nexcage::sys
