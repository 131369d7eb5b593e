// `delete`: everything a container made goes; and of one that is started again everything that its
// former run made. What is to go is written into an undo log first, so that a removal that is
// killed half-way is finished by the next command.
#include "nexcage/runtime/remove.h"

#include <fcntl.h>

#include <string>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/layerfs/batch.h"
#include "nexcage/runtime/generations.h"
#include "nexcage/runtime/guests.h"
#include "nexcage/runtime/hooks.h"
#include "nexcage/runtime/kept.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/runtime/state_file.h"
#include "nexcage/runtime/undo.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

using backends::Record;

Result<> record_cgroup(FileUndoLog& log, const Record& record) {
  auto spec = load_spec(record);
  if (!spec || !spec->linux_) return {};  // damaged: the backend still knows its own
  const std::string& path = spec->linux_->cgroups_path;
  if (!path.starts_with('/') || path.size() < 2) return {};
  return log.will_create_cgroup(path.substr(1));
}

/// The roots that it had before its updates. The bundle, which the log has already, goes last.
Result<> record_generations(FileUndoLog& log, const std::string& bundle) {
  NX_TRY(const Generations all, load_generations(bundle));
  for (const Generation& one : all.earlier) NX_CHECK(log.will_make_volume(one.volume));
  for (const Generation& one : all.discarded) NX_CHECK(log.will_make_volume(one.volume));
  return {};
}

/// What a container keeps when it has ended: only its removal takes that away. Recorded, as
/// everything here, in the order in which it was made; the log undoes it in reverse.
Result<> record_lasting(FileUndoLog& log, const Record& record, const Kept& kept,
                        const Settings& settings) {
  const std::string& id = record.state.id;
  NX_CHECK(log.will_create_dir(record.state_dir));
  NX_CHECK(log.will_create_dir(Paths(settings).info_dir(id)));
  const bool image_form = is_image_form(record, settings);
  if (image_form) NX_CHECK(log.will_create_dir(record.state.bundle));
  if (image_form) NX_CHECK(record_generations(log, record.state.bundle));
  if (!kept.volume) return {};
  if (!image_form) NX_CHECK(log.will_create_dir(record.state.bundle + "/" + id));
  return log.will_make_volume(*kept.volume);
}

/// What belongs to one run of it.
Result<> record_run(FileUndoLog& log, const Record& record, const Kept& kept,
                    const backends::Backend& backend, const Settings& settings) {
  const Paths paths(settings);
  const std::string& id = record.state.id;
  if (kept.layers) NX_CHECK(log.will_mount_layers(settings.layers, *kept.layers));
  if (is_image_form(record, settings) || kept.volume) NX_CHECK(log.will_mount(record.rootfs));
  // Off the network when nothing of the container runs any more, and before its directories go.
  NX_TRY(const bool connected, sys::exists(AT_FDCWD, paths.network_dir(id)));
  if (connected) NX_CHECK(log.will_attach_network(paths.network_dir(id)));
  if (backend.complete()) {
    NX_TRY(const backends::Foreign container, backend.foreign(record));
    NX_CHECK(log.will_create_foreign(container));
  } else {
    NX_CHECK(record_cgroup(log, record));
  }
  NX_CHECK(backend.announce_removal(log, record));
  if (record.init.pid > 0) NX_CHECK(log.will_run_process(record.init));
  return {};
}

Result<> check_removable(const Record& record, bool force) {
  const oci::Status status = record.state.status;
  if (force || status == oci::Status::stopped) return {};
  return fail(Error(Errc::InvalidState, "cannot delete container " + record.state.id + ": it is " +
                                            std::string(oci::status_name(status)))
                  .hint("stop it first, or give --force"));
}

void run_poststop(const Record& record, const Settings& settings) {
  auto spec = load_spec(record);
  if (!spec) {
    log::warning(spec.error().message());
    return;
  }
  oci::State state = record.state;
  state.status = oci::Status::stopped;
  state.pid = 0;
  run_hooks_logging(spec->hooks, backends::HookPoint::poststop, state, settings.hook_timeout);
}

/// The backend's part goes now; the rest, or all of it if we are killed, when the log is undone.
Result<> end_run(FileUndoLog& log, const Record& record, const Kept& kept,
                 const backends::Backend& backend, const Settings& settings) {
  NX_CHECK(record_run(log, record, kept, backend, settings));
  NX_CHECK(backend.remove(record));
  if (!backend.complete() && !is_taken_down(record)) run_poststop(record, settings);
  return {};
}

/// nullopt: it is gone already.
Result<std::optional<Record>> find_removable(const std::string& id, bool force,
                                             const Services& with) {
  auto found = find(id, with);
  if (!found && force && found.error().code() == Errc::ContainerNotFound) return std::nullopt;
  if (!found) return fail(std::move(found).error());
  NX_CHECK(check_removable(*found, force));
  return std::move(*found);
}

}  // namespace

Result<> take_down(FileUndoLog& log, const Record& record, const Kept& kept, Services& with) {
  NX_TRY(const auto backend, with.open_backend(record.backend));
  NX_CHECK(log.will_reuse_state(record.state_dir, ended_text(record)));
  NX_CHECK(end_run(log, record, kept, *backend, with.settings));
  return log.undo_so_far();
}

Result<> remove(const std::string& id, bool force, Services& with) {
  NX_CHECK(oci::check_container_id(id));
  if (is_guest(id, with.settings)) return remove_guest(id, {.force = force, .purge = false}, with);
  NX_TRY(std::optional<Record> record, find_removable(id, force, with));
  if (!record) return {};
  // The log's name is the container's: a creation of the same id has to wait for the end of this.
  NX_TRY(FileUndoLog log, FileUndoLog::create(Paths(with.settings).undo_dir(), id), "delete " + id);
  if (is_image_form(*record, with.settings)) {
    // Another command may have started it again before the log was ours.
    NX_TRY(record, find_removable(id, force, with));
    if (!record) return {};
  }
  NX_TRY(const auto backend, with.open_backend(record->backend));
  NX_TRY(const Kept kept, load_kept(id, with.settings), "delete " + id);
  NX_CHECK(record_lasting(log, *record, kept, with.settings), "delete " + id);
  NX_CHECK(end_run(log, *record, kept, *backend, with.settings), "delete " + id);
  NX_CHECK(log.roll_back(), "delete " + id);
  return {};
}

Result<> remove_all(std::span<const std::string> ids, bool force, Services& with) {
  // Most of a removal is waiting: for processes to end, for mounts to go.
  return layerfs::run_batch({.count = ids.size(),
                             .work = [&](std::size_t i) { return remove(ids[i], force, with); },
                             .load = layerfs::BatchLoad::kernel})
      .joined();
}

}  // namespace nexcage::runtime
