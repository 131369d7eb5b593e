// The life-cycle verbs other than create and delete.
#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/runtime/guests.h"
#include "nexcage/runtime/hooks.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/runtime.h"
#include "nexcage/runtime/state_file.h"
#include "nexcage/runtime/undo.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

using backends::HookPoint;
using backends::Record;
using oci::Status;

std::string in_state(const Record& record) {
  return "container " + record.state.id + " is " +
         std::string(oci::status_name(record.state.status));
}

Result<Record> load(const std::string& id, const Services& with) {
  NX_CHECK(oci::check_container_id(id));
  return load_record(record_dir(id, with.settings), id);
}

/// A container with its backend and its present status.
struct Found {
  Record record;
  std::unique_ptr<backends::Backend> backend;
};

Result<Found> find_with_backend(const std::string& id, const Services& with) {
  Found found;
  NX_TRY(found.record, load(id, with));
  NX_TRY(found.backend, with.open_backend(found.record.backend));
  NX_CHECK(refresh_status(found.record, *found.backend));
  return found;
}

Result<> expect_alive(const Record& record, const std::string& what) {
  if (record.state.status != Status::stopped && record.state.status != Status::creating) return {};
  return fail(Errc::InvalidState,
              "cannot " + what + ": container not running: " + in_state(record));
}

/// What a container may do with devices is decided when it is created.
Result<> refuse_new_devices(const Record& record, const oci::Resources& resources) {
  if (resources.devices.empty()) return {};
  NX_TRY(const oci::Spec spec, load_spec(record));
  if (spec.linux_ && spec.linux_->resources && spec.linux_->resources->devices == resources.devices)
    return {};
  return fail(Errc::Unsupported,
              "linux.resources.devices: the device rules of a running container do not change");
}

/// A verb of a runtime of its own. Returns only errors, and false when the backend is none.
Result<bool> become_verb(const Found& found, const char* verb) {
  if (!found.backend->complete()) return false;
  NX_TRY(const sys::Command command, found.backend->command(found.record, {verb}));
  NX_CHECK(sys::become(command));
  return true;
}

Result<> check_exec(const Record& record, const backends::ExecRequest& request) {
  const Status status = record.state.status;
  if (status == Status::paused && !request.ignore_paused)
    return fail(Error(Errc::InvalidState, "cannot exec: " + in_state(record))
                    .hint("resume it, or give --ignore-paused"));
  if (status == Status::stopped || status == Status::creating)
    return fail(Errc::InvalidState,
                "cannot exec in a container that is not running: " + in_state(record));
  return {};
}

/// The runtime itself excludes others, runs the hooks and knows that the container runs now.
Result<> start_complete(const Found& found, Ending ending) {
  if (found.record.state.status != Status::created)
    return fail(Errc::InvalidState, "cannot start: " + in_state(found.record));
  if (ending == Ending::becomes) NX_CHECK(become_verb(found, "start"));
  return found.backend->start(found.record);
}

/// Failing poststart hooks of newer spec versions stop the container; older versions ask for a
/// warning.
Result<> run_poststart(const Found& found, const oci::Spec& spec, const Services& with) {
  const int timeout = with.settings.hook_timeout;
  oci::State state = found.record.state;
  state.status = Status::running;
  if (!poststart_is_fatal(spec.oci_version)) {
    run_hooks_logging(spec.hooks, HookPoint::poststart, state, timeout);
    return {};
  }
  auto done = run_hooks(spec.hooks, HookPoint::poststart, state, timeout);
  if (done) return {};
  Error error = std::move(done).error();
  if (auto killed = found.backend->kill(found.record, SIGKILL, true); !killed)
    return fail(std::move(error).also(std::move(killed).error()));
  return fail(std::move(error));
}

}  // namespace

Result<Record> find(const std::string& id, const Services& with) {
  NX_TRY(Found found, find_with_backend(id, with));
  return std::move(found.record);
}

Result<> start(const std::string& id, Services& with, Ending ending) {
  NX_TRY(Found found, find_with_backend(id, with));
  if (found.backend->complete()) {
    NX_CHECK(start_complete(found, ending), "start " + id);
    return {};
  }
  NX_TRY(auto lock, lock_container(found.record), "start " + id);
  // What another command has written of a guest before the lock was ours counts.
  if (found.backend->keeps_guests()) {
    NX_TRY(found.record, load(id, with), "start " + id);
    NX_CHECK(recover_guest(found.record, *found.backend), "start " + id);
  }
  NX_CHECK(refresh_status(found.record, *found.backend));
  const bool is_stopped_guest =
      found.backend->keeps_guests() && found.record.state.status == Status::stopped;
  if (found.record.state.status != Status::created && !is_stopped_guest)
    return fail(Errc::InvalidState, "cannot start: " + in_state(found.record));
  NX_TRY(oci::Spec spec, load_spec(found.record));
  NX_CHECK(found.backend->start(found.record), "start " + id);
  found.record.state.status = Status::running;
  NX_CHECK(found.backend->keeps_guests() ? save_guest(found.record) : save_record(found.record),
           "start " + id);
  NX_CHECK(run_poststart(found, spec, with), "start " + id);
  return {};
}

Result<> kill(const std::string& id, int signal, bool all, Services& with) {
  NX_TRY(Found found, find_with_backend(id, with));
  // `--all` reaches processes that outlive the init (no pid namespace of its own), as in runc.
  if (found.record.state.status == Status::stopped && !all)
    return fail(Errc::InvalidState, "container not running: " + in_state(found.record));
  NX_CHECK(found.backend->kill(found.record, signal, all), "kill " + id);
  return {};
}

Result<> pause(const std::string& id, Services& with, Ending ending) {
  NX_TRY(Found found, find_with_backend(id, with));
  if (found.record.state.status != Status::running && found.record.state.status != Status::created)
    return fail(Errc::InvalidState, "cannot pause: " + in_state(found.record));
  if (ending == Ending::becomes) NX_CHECK(become_verb(found, "pause"));
  NX_CHECK(found.backend->pause(found.record), "pause " + id);
  return {};
}

Result<> resume(const std::string& id, Services& with, Ending ending) {
  NX_TRY(Found found, find_with_backend(id, with));
  if (found.record.state.status != Status::paused)
    return fail(Errc::InvalidState, "cannot resume: " + in_state(found.record));
  if (ending == Ending::becomes) NX_CHECK(become_verb(found, "resume"));
  NX_CHECK(found.backend->resume(found.record), "resume " + id);
  return {};
}

Result<std::vector<pid_t>> processes(const std::string& id, Services& with) {
  NX_TRY(Found found, find_with_backend(id, with));
  return found.backend->processes(found.record);
}

Result<> update(const std::string& id, const oci::Resources& resources, Services& with) {
  NX_TRY(Record before, load(id, with));
  NX_TRY(auto lock, lock_container(before), "update " + id);
  NX_TRY(Found found, find_with_backend(id, with));
  NX_CHECK(expect_alive(found.record, "update"));
  NX_CHECK(refuse_new_devices(found.record, resources), "update " + id);
  NX_CHECK(found.backend->update(found.record, resources), "update " + id);
  return {};
}

Result<sys::CgroupLayout> cgroup_dirs(const std::string& id, const Services& with) {
  NX_TRY(Found found, find_with_backend(id, with));
  NX_CHECK(expect_alive(found.record, "read statistics"));
  return found.backend->cgroup_dirs(found.record);
}

Result<backends::ExecStarted> exec(const std::string& id, const backends::ExecRequest& request,
                                   Services& with) {
  NX_TRY(Found found, find_with_backend(id, with));
  NX_CHECK(check_exec(found.record, request));
  NX_TRY(oci::Spec spec, load_spec(found.record));
  NX_TRY(auto started, found.backend->exec(found.record, spec, request), "exec in " + id);
  return started;
}

Result<bool> become_exec(const Record& record, const backends::ExecRequest& request,
                         const Services& with) {
  NX_TRY(const auto backend, with.open_backend(record.backend));
  if (!backend->complete()) return false;
  NX_CHECK(check_exec(record, request));
  NX_TRY(const backends::ExecCommand exec, backend->exec_command(record, request));
  NX_CHECK(sys::become(exec.command));
  return true;
}

Result<oci::Spec> load_spec(const Record& record) {
  NX_TRY(std::string text,
         sys::read_file(AT_FDCWD, record.state_dir + "/config.json", json::Limits{}.max_bytes));
  NX_TRY(json::Value document, json::parse(text), "config.json of " + record.state.id);
  return oci::parse_spec(document);
}

bool is_image_form(const Record& record, const Settings& settings) {
  return record.state.bundle == Paths(settings).bundle(record.state.id);
}

}  // namespace nexcage::runtime
