#include "nexcage/helpers/confine.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "nexcage/base/log.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::helpers {

namespace {

constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
/// Landlock ABI 2; not in older headers. Renames between directories.
constexpr std::uint64_t kRefer = 1ULL << 13;
/// ABI 3.
constexpr std::uint64_t kTruncate = 1ULL << 14;
/// What ABI 1 knows: EXECUTE (bit 0) to MAKE_SYM (bit 12).
constexpr std::uint64_t kAbi1 = (1ULL << 13) - 1;
/// Rights that a rule on a file, not a directory, may give.
constexpr std::uint64_t kFileRights = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                      LANDLOCK_ACCESS_FS_READ_FILE | kTruncate;

int landlock_abi() {
  return static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
}

std::uint64_t known_rights(int abi) {
  return abi >= 3 ? kAbi1 | kRefer | kTruncate : kAbi1 | kRefer;
}

Result<> allow(int ruleset, const std::string& path, std::uint64_t rights) {
  UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd && errno == ENOENT) return {};
  if (!fd) return fail_errno("open " + path);
  struct stat found{};
  if (::fstat(fd.get(), &found) != 0) return fail_errno("stat " + path);
  if (!S_ISDIR(found.st_mode)) rights &= kFileRights;
  landlock_path_beneath_attr rule{.allowed_access = rights, .parent_fd = fd.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
    return fail_errno("Landlock rule for " + path);
  return {};
}

Result<> restrict_paths(const Confinement& keep) {
  int abi = landlock_abi();
  // ABI 1 forbids every rename between directories, which the store lives by.
  if (abi < 2) {
    log::debug("no Landlock of ABI 2 or later: the helper is confined by its capabilities alone");
    return {};
  }
  std::uint64_t rights = known_rights(abi);
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = rights;
  UniqueFd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0)));
  if (!ruleset) return fail_errno("create Landlock rules");
  for (const std::string& path : keep.read_only) NX_CHECK(allow(ruleset.get(), path, kRead));
  for (const std::string& path : keep.read_write)
    NX_CHECK(allow(ruleset.get(), path, rights & ~LANDLOCK_ACCESS_FS_EXECUTE));
#ifdef __SANITIZE_ADDRESS__
  // The leak check at the end of a sanitizer build looks at /proc/PID/task.
  NX_CHECK(allow(ruleset.get(), "/proc", kRead));
#endif
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0)
    return fail_errno("enter Landlock rules");
  return {};
}

}  // namespace

Result<> confine(const Confinement& keep) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("set no_new_privs");
  NX_CHECK(restrict_paths(keep));
  NX_CHECK(sys::keep_capabilities(keep.capabilities));
  return enter_syscall_filter(keep.network);
}

const std::vector<std::string>& network_files() {
  // Symlinks among them lead to others of these.
  static const std::vector<std::string> kFiles = {"/etc/resolv.conf",
                                                  "/run/systemd/resolve",
                                                  "/run/resolvconf",
                                                  "/run/NetworkManager",
                                                  "/etc/hosts",
                                                  "/etc/host.conf",
                                                  "/etc/gai.conf",
                                                  "/etc/nsswitch.conf",
                                                  "/etc/services",
                                                  "/etc/ssl",
                                                  "/etc/pki",
                                                  "/etc/ca-certificates",
                                                  "/usr/share/ca-certificates",
                                                  "/usr/local/share/ca-certificates",
                                                  "/lib",
                                                  "/lib64",
                                                  "/usr/lib",
                                                  "/usr/lib64",
                                                  "/proc/sys/kernel/random",
                                                  "/dev/urandom"};
  return kFiles;
}

}  // namespace nexcage::helpers
