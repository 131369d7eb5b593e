// The undo log: what a verb is about to make, on disk before it is made. Whoever holds the log owns
// the clean-up; when that process dies, the next command finishes it (recover).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/storage/volume.h"

namespace nexcage::runtime {

/// One recorded effect.
struct UndoEntry {
  enum class Kind : char {
    mount = 'm',
    dir = 'd',
    file = 'f',
    cgroup = 'c',
    process = 'p',
    network = 'n',
    foreign = 'x',
    unit = 'u',
    layers = 'l',
    state = 's',
    preparation = 'y',
    volume = 'v',
    redirection = 'r',
    exchange = 'g',
    discarded = 'o',
  };
  Kind kind;
  /// Path, cgroup path, "pid start_time"; network: its directory; foreign, unit: a
  /// Foreign or Unit as JSON; layers: the layers directory and a MountRecord as JSON; state: as in
  /// undo_state.h; preparation: the layers directory and a driver as JSON; volume: a
  /// storage::Volume as JSON; redirection: a sys::Redirection as its text; exchange: the bundle;
  /// discarded: the logs' directory, the id and the bundle as JSON.
  std::string argument;
  bool operator==(const UndoEntry&) const = default;
};

/// The text of one entry in the file: kind, argument, NUL. Paths cannot hold NUL, so nothing needs
/// escaping. A record cut short by a crash was not acted upon and is ignored.
std::string encode(const UndoEntry& entry);
std::vector<UndoEntry> decode_undo_log(std::string_view text);

/// Undoes one effect; what is already gone is success.
Result<> undo(const UndoEntry& entry);

/// {undo_dir}/{name}, locked for as long as this lives. Also the reservation of a container id: two
/// logs of the same name cannot exist. Dropping it without `commit` undoes everything, last first.
class FileUndoLog final : public backends::UndoLog {
 public:
  /// ContainerExists when a live process holds a log of this name. One left by a dead process is
  /// finished first.
  static Result<FileUndoLog> create(const std::string& undo_dir, const std::string& name);
  FileUndoLog(const FileUndoLog&) = delete;
  FileUndoLog& operator=(const FileUndoLog&) = delete;
  FileUndoLog(FileUndoLog&&) noexcept;
  FileUndoLog& operator=(FileUndoLog&&) noexcept;
  ~FileUndoLog() override;

  Result<> will_mount(const std::string& path) override;
  Result<> will_create_dir(const std::string& path) override;
  Result<> will_create_file(const std::string& path) override;
  Result<> will_create_cgroup(const std::string& relative_path) override;
  Result<> will_run_process(const sys::ProcessId& id) override;
  /// `directory`: network::Job's. Undone by DEL of the network's plugins (network::detach).
  Result<> will_attach_network(const std::string& directory);
  /// `root`: the layers directory. Undone by layerfs::undo_mount, which leaves what was written.
  Result<> will_mount_layers(const std::string& root, const layerfs::MountRecord& mount);
  /// Undone by layerfs::sweep.
  Result<> will_prepare_layers(const std::string& root, const std::string& driver);
  /// Undone by storage::remove_volume.
  Result<> will_make_volume(const storage::Volume& volume);
  Result<> will_create_foreign(const backends::Foreign& container) override;
  Result<> will_create_unit(const backends::Unit& unit) override;
  Result<> will_redirect(const sys::Redirection& redirection) override;
  /// The state directory of a container that has ended is used again. Undone by undo_state.h:
  /// `record`, the state.json of the ended container, comes back.
  Result<> will_reuse_state(const std::string& state_dir, const std::string& record);

  /// Undone by undo_exchange (exchange.h).
  Result<> will_exchange(const std::string& bundle);
  /// Undone, when nobody holds the container `id`, by remove_discarded (generations.h).
  Result<> will_discard(const std::string& id, const std::string& bundle);

  /// Undoes everything so far and goes on empty: the log, and with it the id, stays ours.
  Result<> undo_so_far();
  /// How much is recorded; and what was recorded since then is not undone any more.
  Result<std::size_t> position() const;
  Result<> forget_since(std::size_t position);
  /// The log `name` beside this one, which another process holds, gets this process to end.
  /// InvalidState when that log is gone: its writer is dead and somebody has finished it.
  Result<> hand_over(const std::string& name, const sys::ProcessId& id) const;
  /// Everything stays; the log is removed. Call it when the state on disk owns the effects.
  Result<> commit();
  /// Undoes now, also what was handed over, and removes the log. Returns the first failure; the log
  /// stays then, for the next command to try again.
  Result<> roll_back();

 private:
  FileUndoLog(std::string path, UniqueFd fd);
  Result<> record(const UndoEntry& entry);
  Result<> undo_recorded();
  std::string path_;
  UniqueFd fd_;
};

/// Finishes every log in `undo_dir` whose writer is dead. Failures are logged and left for the next
/// time: a command must not fail because of another's leftovers.
void recover(const std::string& undo_dir);

}  // namespace nexcage::runtime
