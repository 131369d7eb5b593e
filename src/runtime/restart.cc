#include "nexcage/runtime/restart.h"

#include <chrono>
#include <optional>
#include <utility>

#include "nexcage/base/testpoint.h"
#include "nexcage/network/network.h"
#include "nexcage/runtime/kept_request.h"
#include "nexcage/runtime/monitor.h"
#include "nexcage/runtime/network_spec.h"
#include "nexcage/runtime/owner.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/prepared.h"
#include "nexcage/runtime/remove.h"

namespace nexcage::runtime {
namespace {

using backends::Record;

constexpr std::chrono::seconds kReaderTime{1};  // for `wait` to read the exit code

/// Everything that can be refused without touching anything.
Result<> check_again(const Resolved& resolved, const Services& with) {
  NX_TRY(const auto backend, with.open_backend(resolved.backend));
  NX_CHECK(backend->probe());
  if (!resolved.network) return {};
  return network::check(*resolved.network, network_config(with.settings));
}

}  // namespace

std::string start_log(const std::string& id) { return id + "@start"; }

bool can_start_again(const Record& record, const Settings& settings) {
  return record.state.status == oci::Status::stopped && is_image_form(record, settings);
}

Result<> check_can_start_again(const Record& record, const Settings& settings) {
  const std::string& id = record.state.id;
  if (record.state.status != oci::Status::stopped)
    return fail(Errc::InvalidState, "cannot start: container " + id + " is " +
                                        std::string(oci::status_name(record.state.status)));
  if (!is_image_form(record, settings))
    return fail(Error(Errc::InvalidState, "cannot start: container " + id + " is stopped")
                    .hint("a container from a bundle runs once; create it anew"));
  NX_TRY(const Kept kept, load_kept(id, settings));
  if (kept.volume && storage::survives(*kept.volume)) return {};
  NX_TRY(const bool this_boot, made_in_this_boot(record.state.bundle));
  if (this_boot) return {};
  return fail(Error(Errc::InvalidState, "cannot start: what container " + id +
                                            " wrote may not have reached the disk before the "
                                            "machine went down")
                  .hint("delete the container and run it anew"));
}

Result<StoppedContainer> StoppedContainer::hold(const std::string& id, const Services& with) {
  auto log = FileUndoLog::create(Paths(with.settings).undo_dir(), start_log(id));
  if (!log && log.error().code() == Errc::ContainerExists)
    return fail(Errc::InvalidState, "container " + id + " is being started by another command");
  if (!log) return fail(std::move(log).error());
  NX_TRY(const Record record, find(id, with));
  NX_CHECK(check_can_start_again(record, with.settings));
  const std::string& bundle = record.state.bundle;
  NX_TRY(Request request, read_request(bundle), "start " + id);
  NX_CHECK(await_monitor(bundle), "start " + id);
  NX_TRY(const auto exit, ExitRecord::open(bundle, id));
  if (exit) exit->wait_for_readers(kReaderTime);
  return StoppedContainer(std::move(*log), std::move(request), record);
}

Result<> StoppedContainer::start(Services& with) {
  testpoint("start-made");
  const std::string& id = request_.id;
  // Whoever reads it from here on waits for that of the new run.
  NX_TRY(const auto exit, ExitRecord::open(bundle_, id));
  if (exit) NX_CHECK(exit->forget());
  NX_CHECK(runtime::start(id, with));
  testpoint("start-done");
  return log_.commit();
}

Result<Resolved> load_stopped(Request& request, Services& with) {
  const std::string& id = request.id;
  NX_CHECK(oci::check_container_id(id));
  NX_TRY(FileUndoLog undo, FileUndoLog::create(Paths(with.settings).undo_dir(), id));
  NX_TRY(const Record record, find(id, with));
  NX_CHECK(check_can_start_again(record, with.settings));
  NX_TRY(const Kept kept, load_kept(id, with.settings));
  if (!kept.volume) return fail(Errc::InvalidState, "info.json does not say where its files are");
  NX_TRY(Resolved resolved, load_bundle(request, std::move(undo), with));
  NX_CHECK(check_again(resolved, with));
  testpoint("phase-1");
  NX_CHECK(take_down(resolved.undo, record, kept, with), "take the former run away");
  resolved.former = Former{.created = record.created,
                           .layerfs = kept.layers ? kept.layers->driver : std::string(),
                           .volume = *kept.volume};
  return resolved;
}

}  // namespace nexcage::runtime
