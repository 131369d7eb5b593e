// The runtime: the creation flow and the life-cycle verbs, for cli/ to call. No function here reads
// the command line or prints.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/oci/state.h"
#include "nexcage/runtime/request.h"
#include "nexcage/runtime/settings.h"

namespace nexcage::runtime {

/// What every verb needs, opened once. Opening finishes roll-backs that a crash cut short.
class Services {
 public:
  static Result<Services> open(Settings settings);
  Services(Services&&) noexcept;
  Services& operator=(Services&&) noexcept;
  ~Services();
  const Settings& settings() const { return settings_; }

 private:
  explicit Services(Settings settings);
  Settings settings_;
};

/// The product of phases 1 and 2: request checked, spec complete, image verified; the id is reserved
/// (lock and undo log on disk), the bundle of an image-form container exists with its config.json.
/// Dropping it undoes all that.
class Prepared;

struct Container {
  backends::Record record;
  UniqueFd pty_master;  // with Request::keep_master and a terminal
};

/// Phases 1 to 8 and the backend's "created" state; pid file written. ContainerExists before anything
/// is written. On failure everything is undone.
Result<Container> create(const Request& request, Services& services);

/// For `run -d`: phases 1 and 2 only; the bundle keeps the request in {bundle}/request.json, and
/// `nexcage create --prepared --bundle {bundle} ID`, called by the monitor, does the rest.
struct PreparedBundle {
  std::string bundle;   // {containers}/{id}
  std::string backend;  // decided in phase 1
};
Result<PreparedBundle> prepare_bundle(const Request& request, Services& services);
Result<Container> create_prepared(const std::string& bundle, const Request& request,
                                  Services& services);
/// Undoes prepare_bundle when the monitor could not be started.
Result<> discard_prepared(const std::string& id, Services& services);

/// ContainerNotFound with a hint when there is none. Status is asked of the backend.
Result<backends::Record> find(const std::string& id, const Services& services);
/// All containers, sorted by id. One that cannot be read is logged and left out.
Result<std::vector<backends::Record>> list(const Services& services);

/// InvalidState unless "created". Runs poststart hooks (as the spec version demands).
Result<> start(const std::string& id, Services& services);
/// InvalidState for a stopped container, as the spec demands ("container not running").
Result<> kill(const std::string& id, int signal, bool all, Services& services);
/// InvalidState for a running container without `force`. With `force` a missing one is success.
/// Runs poststop hooks (failures are logged); removes mounts, cgroups, directories, info.json.
Result<> remove(const std::string& id, bool force, Services& services);
Result<> pause(const std::string& id, Services& services);
Result<> resume(const std::string& id, Services& services);
Result<std::vector<pid_t>> processes(const std::string& id, Services& services);
/// InvalidState unless created or running (paused: only with ignore_paused).
Result<backends::ExecStarted> exec(const std::string& id, const backends::ExecRequest& request,
                                   Services& services);
/// The spec the container was created from ({state_dir}/config.json): exec and the image form's
/// defaults (environment, user, cwd) come from it.
Result<oci::Spec> load_spec(const backends::Record& record);
/// {bundle} of an image-form container (below settings.containers)?
bool is_image_form(const backends::Record& record, const Settings& settings);
/// "name", "uid:gid" ... looked up in the container's own /etc/passwd and /etc/group, opened in-root.
Result<oci::User> resolve_user(const std::string& rootfs, const std::string& text);

}  // namespace nexcage::runtime
