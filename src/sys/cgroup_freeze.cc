// Stopping and resuming all processes of a cgroup: freezer.state of version 1
// (Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst), cgroup.freeze of version 2.
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "nexcage/base/text.h"
#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/cgroup_parts.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/poll_until.h"
#include "nexcage/sys/read_once.h"

namespace nexcage::sys {
namespace {

using std::chrono::milliseconds;

/// A process in the middle of a system call that cannot be interrupted holds freezing up.
constexpr milliseconds kFreezeTime{10'000};

/// The one file to write to and the one that tells.
class Freezer {
 public:
  static Result<Freezer> of(const Cgroup& cgroup) {
    NX_CHECK(check_own(cgroup));
    NX_TRY(const bool v1, has(cgroup.dir("freezer"), "freezer.state"));
    if (v1) return Freezer(cgroup.dir("freezer"), false);
    NX_TRY(const bool v2, has(cgroup.dir(""), "cgroup.freeze"));
    if (v2) return Freezer(cgroup.dir(""), true);
    if (cgroup.existing_dirs().empty())
      return fail(Errc::InvalidState, "cgroup " + cgroup.path() + " does not exist");
    return fail(Error(Errc::Unsupported, "cgroup " + cgroup.path() + " has no freezer")
                    .hint("the host must have the freezer controller or cgroup version 2"));
  }

  /// Without looking for the file first: nullopt where there is none. For those who ask of many.
  static Result<std::optional<bool>> state_in(const std::string& dir, bool v2) {
    if (dir.empty()) return std::nullopt;
    auto state = Freezer(dir, v2).frozen();
    if (state) return *state;
    if (state.error().sys_errno() == ENOENT) return std::nullopt;
    return fail(std::move(state).error());
  }

  Result<> write(bool freeze) const {
    if (v2_) return write_cgroup_file(dir_, "cgroup.freeze", freeze ? "1" : "0");
    return write_cgroup_file(dir_, "freezer.state", freeze ? "FROZEN" : "THAWED");
  }

  Result<bool> frozen() const {
    NX_TRY(const std::string text, read_once(dir_ + (v2_ ? "/cgroup.events" : "/freezer.state")));
    if (!v2_) return trim(text) == "FROZEN";
    const std::vector<std::string> lines = split(text, '\n');
    return std::ranges::find(lines, "frozen 1") != lines.end();
  }

  /// Writes and waits until it holds: true, or false after the time.
  Result<bool> set(bool freeze) const {
    const auto deadline = std::chrono::steady_clock::now() + kFreezeTime;
    for (milliseconds pause(1);; pause = std::min(pause * 2, milliseconds(50))) {
      // Version 1 stops at FREEZING when processes were forked meanwhile; writing again helps.
      NX_CHECK(write(freeze));
      NX_TRY(const bool now, frozen());
      if (now == freeze) return true;
      if (std::chrono::steady_clock::now() >= deadline) return false;
      sleep_for(pause);
    }
  }

 private:
  Freezer(std::string dir, bool v2) : dir_(std::move(dir)), v2_(v2) {}

  static Result<bool> has(const std::string& dir, const std::string& file) {
    if (dir.empty()) return false;
    return exists(AT_FDCWD, dir + "/" + file);
  }

  std::string dir_;
  bool v2_;
};

}  // namespace

Result<> Cgroup::freeze() const {
  NX_TRY(const Freezer freezer, Freezer::of(*this));
  NX_TRY(const bool done, freezer.set(true), "freeze cgroup " + path_);
  if (done) return {};
  (void)freezer.write(false);
  return fail(Errc::Timeout, "freeze cgroup " + path_ + ": some process does not stop");
}

Result<> Cgroup::thaw() const {
  NX_TRY(const Freezer freezer, Freezer::of(*this));
  NX_TRY(const bool done, freezer.set(false), "thaw cgroup " + path_);
  if (done) return {};
  return fail(Error(Errc::Timeout, "thaw cgroup " + path_)
                  .hint("a cgroup above it may be frozen: thaw that one first"));
}

Result<bool> Cgroup::frozen() const {
  NX_CHECK(check_own(*this));
  NX_TRY(const auto v1, Freezer::state_in(dir("freezer"), false));
  if (v1) return *v1;
  NX_TRY(const auto v2, Freezer::state_in(dir(""), true));
  if (v2) return *v2;
  NX_TRY(const Freezer freezer, Freezer::of(*this));  // says what is missing
  return freezer.frozen();
}

}  // namespace nexcage::sys
