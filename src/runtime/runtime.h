// The runtime: the creation flow and the life-cycle verbs, for cli/ to call. No function here reads
// the command line or prints.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/oci/state.h"
#include "nexcage/registry/pull.h"
#include "nexcage/runtime/request.h"
#include "nexcage/runtime/settings.h"
#include "nexcage/storage/select.h"
#include "nexcage/sys/cgroup.h"

namespace nexcage::runtime {

/// What every verb needs, opened once. Opening makes the state root and finishes roll-backs that a
/// crash cut short. The factories are the seam for tests.
struct Services {
  Settings settings;
  std::function<Result<std::unique_ptr<backends::Backend>>(const std::string& name)> open_backend;
  /// The driver of a choice of storage.
  std::function<Result<std::unique_ptr<layerfs::Driver>>(const storage::Choice& choice)>
      open_layerfs;
  /// The driver that keeps layers as images for another kernel to mount. Not probed: this host need
  /// not be able to.
  std::function<Result<std::unique_ptr<layerfs::Driver>>()> open_disk_layers{};
  /// What the drivers have read of prepared layers.
  std::shared_ptr<layerfs::RecordCache> records{};
  /// Every driver that has something prepared (layerfs::open_used).
  std::function<Result<std::vector<std::unique_ptr<layerfs::Driver>>>()> used_layerfs;
  /// Brings an image that a container needs into the store. Without a watch here; cli/ puts one in.
  std::function<Result<registry::Pulled>(const std::string& image, const storage::Choice& storage)>
      pull;
  /// The same for a guest: nothing is prepared here. Empty: without a watch.
  std::function<Result<registry::Pulled>(const std::string& image)> pull_for_guest{};

  static Result<Services> open(const Settings& settings);
};

struct Container {
  backends::Record record;
  UniqueFd pty_master;  // with Request::keep_master and a terminal
};

/// Phases 1 to 8 and the backend's "created" state; pid file written. ContainerExists before
/// anything is written. On failure everything is undone.
Result<Container> create(const Request& request, Services& services);

/// For `run -d`: phases 1 and 2 only. The bundle {containers}/{id} exists with config.json and
/// request.json; `nexcage create --prepared --bundle BUNDLE ID`, called by the monitor, does the
/// rest. Dropping the value removes the bundle again, `keep` gives it to the container.
class PreparedBundle {
 public:
  PreparedBundle(std::string bundle, std::string backend, std::unique_ptr<backends::UndoLog> undo,
                 std::function<Result<>()> commit)
      : bundle_(std::move(bundle)),
        backend_(std::move(backend)),
        undo_(std::move(undo)),
        commit_(std::move(commit)) {}
  const std::string& bundle() const { return bundle_; }
  const std::string& backend() const { return backend_; }  // decided in phase 1
  /// Call it when the container exists: its removal then removes the bundle.
  Result<> keep() { return commit_(); }

 private:
  std::string bundle_, backend_;
  std::unique_ptr<backends::UndoLog> undo_;
  std::function<Result<>()> commit_;
};
Result<PreparedBundle> prepare_bundle(const Request& request, Services& services);
/// Phases 3 to 9 for a bundle that prepare_bundle made; request.source is a BundleSource naming it.
Result<Container> create_prepared(const Request& request, Services& services);

/// The same for a container made from an image that has ended and is started again (restart.h).
/// Nothing it wrote is lost, whatever happens. InvalidState when nobody holds it to start it.
Result<Container> create_again(const Request& request, Services& services);

/// ContainerNotFound with a hint when there is none. Status is asked of the backend.
Result<backends::Record> find(const std::string& id, const Services& services);
/// All containers, sorted by id. One that cannot be read is logged and left out.
Result<std::vector<backends::Record>> list(const Services& services);

/// How a verb may end. `becomes`: this process may turn into the runtime that does the verb (crun,
/// runc), for a caller that has nothing left to do.
enum class Ending : std::uint8_t { returns, becomes };

/// InvalidState unless "created". Runs poststart hooks (as the spec version demands).
Result<> start(const std::string& id, Services& services, Ending ending = Ending::returns);
/// InvalidState for a stopped container, as the spec demands ("container not running").
Result<> kill(const std::string& id, int signal, bool all, Services& services);
/// InvalidState for a running container without `force`. With `force` a missing one is success.
/// Runs poststop hooks (failures are logged); removes mounts, cgroups, directories, info.json.
Result<> remove(const std::string& id, bool force, Services& services);
/// The same for several, side by side; each is tried. The first error, with the others beside it.
Result<> remove_all(std::span<const std::string> ids, bool force, Services& services);
Result<> pause(const std::string& id, Services& services, Ending ending = Ending::returns);
Result<> resume(const std::string& id, Services& services, Ending ending = Ending::returns);
Result<std::vector<pid_t>> processes(const std::string& id, Services& services);
/// What becomes of a container that was written to files.
enum class After : std::uint8_t { goes_on, ends };
/// Writes a running container to files; `options` are those of its runtime's verb. Unsupported with
/// the reason where CRIU cannot. A container from a bundle is deleted when it has ended, as runc
/// does; one from an image stays, stopped.
Result<> checkpoint(const std::string& id, const std::vector<std::string>& options, After after,
                    Services& services);
/// Changes limits of a container that has not ended. InvalidState for one that has; Unsupported for
/// device rules other than those that it was created with (engines send the whole section again).
Result<> update(const std::string& id, const oci::Resources& resources, Services& services);
/// Where the statistics of a container that has not ended are read (sys/cgroup_stats.h).
Result<sys::CgroupLayout> cgroup_dirs(const std::string& id, const Services& services);
/// InvalidState unless created or running (paused: only with ignore_paused).
Result<backends::ExecStarted> exec(const std::string& id, const backends::ExecRequest& request,
                                   Services& services);
/// The same by becoming the container's runtime, which then waits, relays the terminal, and exits
/// with the process's code. False: the backend is no runtime of its own, nothing was done.
Result<bool> become_exec(const backends::Record& record, const backends::ExecRequest& request,
                         const Services& services);
/// The spec the container was created from ({state_dir}/config.json): exec and the image form's
/// defaults (environment, user, cwd) come from it.
Result<oci::Spec> load_spec(const backends::Record& record);
/// {bundle} of an image-form container (below settings.containers)?
bool is_image_form(const backends::Record& record, const Settings& settings);
/// "name", "uid:gid" ... looked up in the container's own /etc/passwd and /etc/group, opened
/// in-root.
Result<oci::User> resolve_user(const std::string& rootfs, const std::string& text);

}  // namespace nexcage::runtime
