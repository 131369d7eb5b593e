#include "nexcage/storage/zfs/failure.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <span>

#include "nexcage/base/text.h"

namespace nexcage::storage::zfs {
namespace {

// A rollback or a destruction that is refused names all dependents, which may be thousands.
constexpr std::size_t kMaxWords = 600;
constexpr int kUsage = 2;
constexpr std::string_view kQuota = "quota exceeded";

struct Phrase {
  std::string_view text;
  Failure means;
};

/// What libzfs and the programs say (libzfs_util.c, libzfs_dataset.c, libzfs_sendrecv.c,
/// zfs_main.c, zpool_main.c of 2.1 to 2.4), in lower case. The first that a line has counts, so
/// what is part of another stands after it.
constexpr std::array kPhrases = std::to_array<Phrase>({
    {"modules are not loaded", Failure::not_available},
    {"modules cannot be auto-loaded", Failure::not_available},
    {"and are required", Failure::not_available},  // /dev/zfs and /proc/self/mounts
    {"failed to initialize the libzfs library", Failure::not_available},
    {"permission denied", Failure::permission},
    {"insufficient privileges", Failure::permission},
    {"may only be mounted by root", Failure::permission},
    {"delegated administration is disabled", Failure::permission},
    {"has children", Failure::has_dependents},
    {"has snapshots", Failure::has_dependents},
    {"has dependent clones", Failure::has_dependents},
    {"clones of previous snapshots exist", Failure::has_dependents},
    {"snapshot is cloned", Failure::has_dependents},
    {"more recent", Failure::has_dependents},
    {"does not exist", Failure::no_such_dataset},
    {"no such pool", Failure::no_such_dataset},
    {"no such parent", Failure::no_such_dataset},
    {"could not find any snapshots", Failure::no_such_dataset},
    {"is not found among snapshots", Failure::no_such_dataset},
    {"already exists", Failure::exists},
    {"conflicting snapshot", Failure::exists},
    {"pool or dataset exists", Failure::exists},
    {"destination exists", Failure::exists},
    {"is busy", Failure::busy},
    {"being held", Failure::busy},
    {"out of space", Failure::out_of_space},
    {kQuota, Failure::out_of_space},
    {"size is greater than available space", Failure::out_of_space},
    {"size is less than current used", Failure::out_of_space},
    {"invalid ", Failure::invalid},
    {"is invalid", Failure::invalid},
    {"bad volume", Failure::invalid},
    {"bad numeric value", Failure::invalid},
    {"value is too large", Failure::invalid},
    {"to disable", Failure::invalid},  // "use none to disable quota/refquota"
    {"only allowed on", Failure::invalid},
    {"cannot be zero", Failure::invalid},
    {"can not be modified", Failure::invalid},
    {"pools differ", Failure::invalid},
    {"not an earlier snapshot", Failure::invalid},
    {"since most recent snapshot", Failure::invalid},
    {"match incremental source", Failure::invalid},
    {"checksum mismatch", Failure::invalid},
    {"incomplete stream", Failure::invalid},
    {"failed to read from stream", Failure::invalid},
    {"bad property list", Failure::invalid},
    {"must be ", Failure::invalid},
    {"is readonly", Failure::invalid},
    {"read-only property", Failure::invalid},
    {"apply to datasets of this type", Failure::invalid},
    {"not applicable to datasets of this type", Failure::invalid},
    {"is not a filesystem", Failure::invalid},
    {"not a cloned filesystem", Failure::invalid},
    {"cannot be a descendant", Failure::invalid},
    {"too long", Failure::invalid},
    {"maximum name nesting depth", Failure::invalid},
    {"missing ", Failure::invalid},
    {"too many arguments", Failure::invalid},
    {"unrecognized command", Failure::invalid},
});

/// Without the words that are or hold names, which may be made of any words themselves.
std::string without_names(std::string_view line) {
  std::string out;
  for (const std::string& word : split(line, ' ')) {
    if (word.empty() || word.find_first_of("/@'") != std::string::npos) continue;
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

Failure classify_line(std::string_view line) {
  const std::string text = to_lower(without_names(line));
  const auto* found = std::ranges::find_if(
      kPhrases, [&text](const Phrase& p) { return text.find(p.text) != std::string::npos; });
  return found == kPhrases.end() ? Failure::other : found->means;
}

char printable(char c) { return c >= 0x20 && c < 0x7f ? c : '?'; }

/// The program's words on one line, without the list of options that follows wrong usage.
std::string one_line(std::string_view text) {
  std::string out;
  for (const std::string& line : split(text, '\n')) {
    const std::string_view words = trim(line);
    if (words == "usage:") break;
    if (words.empty()) continue;
    if (!out.empty()) out += out.ends_with(':') ? " " : "; ";
    out += words;
    if (out.size() > kMaxWords) break;
  }
  std::ranges::transform(out, out.begin(), printable);
  if (out.size() > kMaxWords) out = out.substr(0, kMaxWords) + " ...";
  return out;
}

int errno_of(Failure failure, std::string_view words) {
  switch (failure) {
    case Failure::no_such_dataset:
      return ENOENT;
    case Failure::exists:
      return EEXIST;
    case Failure::busy:
      return EBUSY;
    case Failure::has_dependents:
      return ENOTEMPTY;
    case Failure::out_of_space:
      return words.find(kQuota) == std::string_view::npos ? ENOSPC : EDQUOT;
    case Failure::permission:
      return EPERM;
    case Failure::invalid:
      return EINVAL;
    case Failure::not_available:
    case Failure::other:
      return 0;
  }
  return 0;
}

Errc code_of(Failure failure) {
  if (failure == Failure::permission) return Errc::PermissionDenied;
  if (failure == Failure::not_available) return Errc::RuntimeNotAvailable;
  return Errc::ZFSError;
}

std::string_view hint_of(Failure failure) {
  switch (failure) {
    case Failure::busy:
      return "End what uses it: a mount (/proc/PID/mountinfo), an open volume, or a hold "
             "(zfs-holds(8)).";
    case Failure::has_dependents:
      return "Remove what depends on it first: zfs list -t all -o name,origin shows it.";
    case Failure::out_of_space:
      return "Free space in the pool, or raise the quota of the dataset.";
    case Failure::permission:
      return "Run as root; zfs-allow(8) does not let others mount.";
    case Failure::not_available:
      return "Load the kernel module with modprobe zfs.";
    default:
      return "";
  }
}

}  // namespace

Failure classify(std::string_view stderr_text, int exit_code) {
  for (const std::string& line : split(stderr_text, '\n'))
    if (const Failure failure = classify_line(line); failure != Failure::other) return failure;
  return exit_code == kUsage ? Failure::invalid : Failure::other;
}

Error to_error(std::string attempted, std::string_view stderr_text, int exit_code) {
  const Failure failure = classify(stderr_text, exit_code);
  std::string words = one_line(stderr_text);
  const int err = errno_of(failure, words);
  if (words.empty()) words = "exit status " + std::to_string(exit_code);
  Error error =
      Error::from_errno(code_of(failure), err, std::move(words)).wrap(std::move(attempted));
  const std::string_view hint = hint_of(failure);
  return hint.empty() ? error : std::move(error).hint(std::string(hint));
}

Failure failure_of(const Error& error) {
  if (error.code() == Errc::PermissionDenied) return Failure::permission;
  if (error.code() == Errc::RuntimeNotAvailable) return Failure::not_available;
  if (error.code() != Errc::ZFSError) return Failure::other;
  switch (error.sys_errno()) {
    case ENOENT:
      return Failure::no_such_dataset;
    case EEXIST:
      return Failure::exists;
    case EBUSY:
      return Failure::busy;
    case ENOTEMPTY:
      return Failure::has_dependents;
    case ENOSPC:
    case EDQUOT:
      return Failure::out_of_space;
    case EINVAL:
      return Failure::invalid;
    default:
      return Failure::other;
  }
}

}  // namespace nexcage::storage::zfs
