#include "nexcage/storage/raw/make_ext4.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <vector>

#include "nexcage/base/text.h"
#include "nexcage/storage/raw/tool.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::storage::raw {
namespace {

/// What every image is made with, whatever /etc/mke2fs.conf and the version of the program say:
/// Linux 4.5 and later mount it, and nothing here depends on a newer e2fsck.
constexpr const char* kFeatures =
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,"
    "large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// Bytes for each inode, as the program's own configuration has them.
std::string inode_ratio(std::uint64_t bytes) {
  constexpr std::uint64_t kSmall = std::uint64_t{512} << 20;
  return bytes < kSmall ? "4096" : "16384";
}

/// No time of its own in anything that has to be the same again; 0 would mean "not set".
std::vector<std::string> environment(const ImageSpec& spec) {
  std::vector<std::string> out{"MKE2FS_CONFIG=/dev/null"};
  if (!spec.uuid.empty()) out.emplace_back("E2FSPROGS_FAKE_TIME=1");
  return out;
}

Tool formatter(const std::string& path, const ImageSpec& spec, const std::string& tree,
               const Programs& programs) {
  constexpr std::size_t kMaxLabel = 16;
  // In a new sparse file everything reads as zero already: the tables of inodes cost nothing and
  // need no thread of the kernel that clears them later, and the journal stays a hole until used.
  std::string extended = "lazy_itable_init=0,lazy_journal_init=1";
  Tool tool;
  tool.env = environment(spec);
  tool.argv = {programs.mke2fs, "-q", "-b", "4096", "-I", "256", "-m", "0", "-O", kFeatures};
  tool.argv.insert(tool.argv.end(), {"-i", inode_ratio(spec.bytes)});
  if (!spec.label.empty())
    tool.argv.insert(tool.argv.end(), {"-L", spec.label.substr(0, kMaxLabel)});
  if (!spec.uuid.empty()) {
    tool.argv.insert(tool.argv.end(), {"-U", spec.uuid});
    extended += ",hash_seed=" + spec.uuid;
  }
  tool.argv.insert(tool.argv.end(), {"-E", extended});
  if (!tree.empty()) tool.argv.insert(tool.argv.end(), {"-d", tree});
  tool.argv.insert(tool.argv.end(), {"--", path});
  return tool;
}

/// Seconds above 32 bits are the two low bits of the field beside the nanoseconds
/// (Documentation/filesystems/ext4/inodes.rst).
std::string extra_time(const timespec& time) {
  const auto epoch =
      static_cast<std::uint64_t>((time.tv_sec - static_cast<std::int32_t>(time.tv_sec)) >> 32 & 3);
  return std::to_string(static_cast<std::uint64_t>(time.tv_nsec) << 2 | epoch);
}

/// Commands of debugfs(8) for what mke2fs leaves out: it gives the top directory an owner, a mode
/// and a time of its own, and adds lost+found.
std::string top_directory(const struct stat& wanted) {
  std::array<char, 16> mode{};
  (void)std::snprintf(mode.data(), mode.size(), "0%o", wanted.st_mode);
  const auto set = [](const std::string& field, const std::string& value) {
    return "set_inode_field <2> " + field + " " + value + "\n";
  };
  return "rmdir lost+found\n" + set("mode", mode.data()) +
         set("uid", std::to_string(wanted.st_uid)) + set("gid", std::to_string(wanted.st_gid)) +
         set("mtime", "@" + std::to_string(static_cast<std::uint32_t>(wanted.st_mtim.tv_sec))) +
         set("mtime_extra", extra_time(wanted.st_mtim));
}

/// Exits with 0 whatever happened; what goes wrong is told after the line with its version.
Result<> run_debugfs(const std::string& path, const ImageSpec& spec, std::string commands,
                     const Programs& programs) {
  Tool tool;
  tool.argv = {programs.debugfs, "-w", "-f", "-", path};
  tool.env = environment(spec);
  tool.input = std::move(commands);
  NX_TRY(const sys::Output output, run_tool(tool));
  const std::vector<std::string> lines = split(trim(output.err), '\n');
  if (lines.size() > 1) return fail(Errc::FileError, programs.debugfs + ": " + lines[1]);
  return {};
}

Result<struct stat> top_of(const ImageSpec& spec, const std::string& tree) {
  if (!tree.empty()) {
    NX_TRY(const UniqueFd top, sys::open_at(AT_FDCWD, tree, O_PATH | O_DIRECTORY));
    return sys::stat_fd(top.get());
  }
  struct stat made{};
  made.st_mode = S_IFDIR | 0755;
  made.st_uid = spec.root_uid;
  made.st_gid = spec.root_gid;
  made.st_mtim.tv_sec = 1;
  return made;
}

/// The tree as it is, through a mount in which reading it leaves no trace: times of access are kept
/// in the image, and would be others the next time.
Result<sys::DetachedMount> untouched(const std::string& tree) {
  NX_TRY(sys::DetachedMount mount, sys::clone_mount(AT_FDCWD, tree, sys::Recursive::yes));
  NX_CHECK(sys::set_attributes(mount.get(), MOUNT_ATTR_NOATIME, 0, 0, sys::Recursive::yes));
  return mount;
}

}  // namespace

Result<> format_ext4(const std::string& path, const ImageSpec& spec, const Programs& programs) {
  NX_CHECK(run_tool(formatter(path, spec, "", programs)));
  return {};
}

Result<> make_reproducible_ext4(const std::string& path, const ImageSpec& spec,
                                const std::string& tree, const Programs& programs) {
  constexpr int kTree = 3;  // the descriptor's number in mke2fs
  NX_TRY(const struct stat top, top_of(spec, tree));
  if (tree.empty()) {
    NX_CHECK(format_ext4(path, spec, programs));
  } else {
    NX_TRY(const sys::DetachedMount from, untouched(tree), "read " + tree);
    // "/.": of a symlink it would take the attributes of the link.
    Tool tool = formatter(path, spec, sys::fd_path(kTree) + "/.", programs);
    tool.fds = {{from.get(), kTree}};
    NX_CHECK(run_tool(tool));
  }
  return run_debugfs(path, spec, top_directory(top), programs);
}

}  // namespace nexcage::storage::raw
