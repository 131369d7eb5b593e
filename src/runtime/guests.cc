#include "nexcage/runtime/guests.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "nexcage/base/clock.h"
#include "nexcage/base/log.h"
#include "nexcage/base/testpoint.h"
#include "nexcage/base/text.h"
#include "nexcage/runtime/guest_earlier.h"
#include "nexcage/runtime/guest_image.h"
#include "nexcage/runtime/kept_source.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/routing.h"
#include "nexcage/runtime/state_file.h"
#include "nexcage/runtime/undo.h"
#include "nexcage/storage/select.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {

namespace {

using backends::Record;
using oci::Status;

constexpr int kLockWait = 10'000;  // ms

std::string guests_dir(const Settings& settings) { return settings.containers + "/@guests"; }
std::string guest_dir(const std::string& id, const Settings& settings) {
  return guests_dir(settings) + "/" + id;
}

std::string route_backend(const Request& request, const Services& with) {
  RouteQuery query{request.backend, {}, request.id, {}};
  if (const auto* image = std::get_if<ImageSource>(&request.source)) {
    query.image = image->image;
    query.annotations = image->annotations;
  }
  return route(query, with.settings.rules, with.settings.default_backend).backend;
}

/// How the root file system of a container of this machine is made, by option.
constexpr std::array<std::pair<const char*, std::string_view>, 5> kLocalAnnotations = {
    {{"--storage-size", storage::kSizeAnnotation},
     {"--raw", storage::kRawAnnotation},
     {"--storage-size", storage::kRawSizeAnnotation},
     {"--layerfs", storage::kLayerfsAnnotation},
     {"--tmpfs-upper", storage::kTmpfsAnnotation}}};

/// Options that are about processes and namespaces of this machine.
Result<> check_options(const Request& request, const ImageSource& source) {
  const auto refuse = [](const char* option) {
    return fail(Errc::Unsupported, std::string(option) + ": a guest is no process of this machine");
  };
  if (request.keep_master || request.console_socket || source.terminal) return refuse("--tty");
  if (!request.pid_file.empty()) return refuse("--pid-file");
  if (request.preserve_fds > 0) return refuse("--preserve-fds");
  if (request.remove_ended) return refuse("--rm");
  if (request.keep_stdin) return refuse("--interactive");
  if (request.pivot != backends::Pivot::pivot_root) return refuse("--no-pivot");
  if (request.keyring != backends::Keyring::fresh) return refuse("--no-new-keyring");
  if (request.cgroup_manager == backends::CgroupManager::systemd) return refuse("--systemd-cgroup");
  if (request.cgroup_manager == backends::CgroupManager::disabled)
    return refuse("--cgroup-manager disabled");
  if (!source.uid_map.empty()) return refuse("--uidmap");
  if (!source.network.publish.empty()) return refuse("--publish");
  for (const auto& [option, annotation] : kLocalAnnotations)
    if (source.annotations.contains(std::string(annotation))) return refuse(option);
  const auto unwritten = [](const char* option) {
    return fail(
        Error(Errc::Unsupported, std::string(option) + ": nexcage writes no files into a guest")
            .hint("--annotation org.nexcage.proxmox.nameserver=ADDRESS and searchdomain, "
                  "for distributions that Proxmox VE knows"));
  };
  if (!source.network.dns.empty()) return unwritten("--dns");
  if (!source.network.search.empty()) return unwritten("--dns-search");
  if (!source.network.add_host.empty()) return unwritten("--add-host");
  if (!source.network.network.empty() && source.network.network != "none")
    return fail(Error(Errc::Unsupported, "--network " + source.network.network +
                                             ": a guest is on the bridges of its cluster")
                    .hint("--annotation org.nexcage.proxmox.net0=name=eth0,bridge=vmbr0,ip=dhcp"));
  return {};
}

Record first_record(const std::string& id, const std::string& backend, const std::string& dir) {
  Record record;
  record.state.oci_version = "1.0.2";
  record.state.id = id;
  record.state.status = Status::creating;
  record.state.bundle = dir;
  record.backend = backend;
  record.state_dir = dir;
  record.created = format_rfc3339(now());
  return record;
}

/// What the backend makes and remembers is the record's from then on.
backends::Remember remember_in(Record& record) {
  return [&record](const json::Value& data) -> Result<> {
    record.backend_data = data;
    NX_CHECK(save_guest(record));
    testpoint("guest-remembered");
    return {};
  };
}

backends::CreateJob job_of(Record& record, GuestPlan& plan) {
  plan.image.remember = remember_in(record);
  return backends::CreateJob{.id = record.state.id,
                             .spec = plan.spec,
                             .bundle = record.state.bundle,
                             .rootfs = {},
                             .state_dir = record.state_dir,
                             .console_socket = {},
                             .image = &plan.image,
                             .restore = {},
                             .config_file = {},
                             .pid_file = {}};
}

/// No undo log is needed: the record is one.
class NoUndo final : public backends::UndoLog {
 public:
  Result<> will_mount(const std::string&) override { return {}; }
  Result<> will_create_dir(const std::string&) override { return {}; }
  Result<> will_create_file(const std::string&) override { return {}; }
  Result<> will_create_cgroup(const std::string&) override { return {}; }
  Result<> will_run_process(const sys::ProcessId&) override { return {}; }
  Result<> will_create_foreign(const backends::Foreign&) override { return {}; }
  Result<> will_create_unit(const backends::Unit&) override { return {}; }
  Result<> will_redirect(const sys::Redirection&) override { return {}; }
};

/// Files on their way to the cluster that a killed command has left.
Result<> remove_work(const std::string& id, const Settings& settings) {
  return settings.proxmox.work.empty() ? Result<>()
                                       : sys::remove_tree(settings.proxmox.work + "/" + id);
}

/// The guest, if it was made, then the record.
Result<> take_away(const Record& record, const backends::Backend& backend,
                   const Settings& settings) {
  NX_CHECK(backend.remove(record));
  NX_CHECK(remove_work(record.state.id, settings));
  return sys::remove_tree(record.state_dir);
}

struct Found {
  Record record;
  std::unique_ptr<backends::Backend> backend;
};

Result<Found> load_guest(const std::string& id, const Services& with) {
  Found found;
  NX_TRY(found.record, load_record(guest_dir(id, with.settings), id));
  NX_TRY(found.backend, with.open_backend(found.record.backend));
  return found;
}

/// A guest that nobody else changes meanwhile.
struct Held {
  sys::FileLock lock;
  Found guest;
};

Result<Held> hold_guest(const std::string& id, const Services& with) {
  NX_TRY(const Found before, load_guest(id, with));
  NX_TRY(sys::FileLock lock, lock_container(before.record));
  // Read again: it is another record now if the lock was somebody's.
  NX_TRY(Found guest, load_guest(id, with));
  return Held{.lock = std::move(lock), .guest = std::move(guest)};
}

Result<> finish_one(const std::string& id, const Services& with) {
  const std::string dir = guest_dir(id, with.settings);
  // One that is being made, before its record is there.
  NX_TRY(const bool has_record, sys::exists(AT_FDCWD, dir + "/state.json"));
  if (!has_record) return {};
  NX_TRY(const auto lock,
         sys::FileLock::try_acquire(AT_FDCWD, dir + "/lock", sys::FileLock::Kind::exclusive));
  if (!lock) return {};
  NX_TRY(Found found, load_guest(id, with));
  if (found.record.state.status != Status::creating)
    return recover_guest(found.record, *found.backend);
  auto gone = take_away(found.record, *found.backend, with.settings);
  // The VMID is another's: ours was never made.
  if (!gone && gone.error().code() == Errc::InvalidState) return sys::remove_tree(dir);
  return gone;
}

/// Creations and updates that were killed: those that nobody holds.
void finish_killed(const Services& with) {
  const auto ids = guest_ids(with.settings);
  if (!ids) return;
  for (const std::string& id : *ids)
    if (auto done = finish_one(id, with); !done)
      log::warning("guest " + id + " of a command that was killed: " + done.error().message());
}

/// Makes the guest's directory. One id is one container: a creation on this machine looks for that
/// directory when the id's undo logs are its own, so we look for what it has when the directory is
/// there and the logs are ours.
Result<> reserve(const std::string& id, const Settings& settings) {
  const Paths paths(settings);
  const std::string dir = guest_dir(id, settings);
  NX_CHECK(sys::mkdirs(guests_dir(settings), 0700));
  const bool is_new = ::mkdir(dir.c_str(), 0700) == 0;
  if (!is_new && errno != EEXIST) return fail_errno("create " + dir);
  const auto is_free = [&]() -> Result<bool> {
    NX_TRY(auto bundle, FileUndoLog::create(paths.undo_dir(), id + "@bundle"));
    NX_CHECK(bundle.commit());
    NX_TRY(auto container, FileUndoLog::create(paths.undo_dir(), id));
    NX_CHECK(container.commit());
    NX_TRY(const bool has_state, sys::exists(AT_FDCWD, paths.state_dir(id)));
    NX_TRY(const bool has_bundle, sys::exists(AT_FDCWD, paths.bundle(id)));
    return !has_state && !has_bundle;
  };
  auto free = is_new ? is_free() : Result<bool>(false);
  if (free && *free) return {};
  if (is_new) NX_CHECK(sys::remove_tree(dir));
  if (!free) return fail(std::move(free).error());
  return fail(Error(Errc::ContainerExists, "container with id " + id + " exists already")
                  .hint("choose another id, or remove it with `nexcage delete " + id + "`"));
}

Result<Record> make(const Request& request, const ImageSource& source, const std::string& dir,
                    Services& with) {
  Record record = first_record(request.id, route_backend(request, with), dir);
  NX_TRY(const auto backend, with.open_backend(record.backend));
  NX_CHECK(backend->probe());
  NX_TRY(const auto plan, plan_guest_image(request.id, source, with));
  record.state.annotations = plan->spec.annotations;
  NX_CHECK(write_document(dir + "/config.json", oci::to_json(plan->spec)));
  NX_CHECK(write_document(dir + "/source.json", to_json(source)));
  NX_CHECK(save_guest(record));
  NX_TRY(const auto configured, backend->configure(job_of(record, *plan)),
         "configure backend " + record.backend);
  if (log::enabled(log::Level::debug)) log::debug(configured->describe());
  NoUndo undo;
  NX_TRY(backends::Created created, configured->create(undo, {}), "backend " + record.backend);
  record.backend_data = std::move(created.backend_data);
  record.state.status = Status::created;
  if (auto saved = save_guest(record); !saved) {
    Error error = std::move(saved).error();
    if (auto gone = backend->remove(record); !gone)
      error = std::move(error).also(std::move(gone).error());
    return fail(std::move(error));
  }
  return record;
}

Result<ImageSource> load_source(const Record& record) {
  NX_TRY(const std::string text, sys::read_file(AT_FDCWD, record.state_dir + "/source.json"));
  NX_TRY(const json::Value value, json::parse(text), "source.json of " + record.state.id);
  return source_from_json(value);
}

}  // namespace

Result<bool> makes_guest(const Request& request, const Services& with) {
  // A rule or the default that sends a bundle to a cluster is refused by the ordinary creation,
  // which knows the bundle's own annotations.
  if (std::holds_alternative<BundleSource>(request.source) && request.backend.empty()) return false;
  NX_TRY(const auto backend, with.open_backend(route_backend(request, with)));
  return backend->keeps_guests();
}

bool is_guest(const std::string& id, const Settings& settings) {
  struct stat about{};
  return ::stat(guest_dir(id, settings).c_str(), &about) == 0;
}

std::string record_dir(const std::string& id, const Settings& settings) {
  return is_guest(id, settings) ? guest_dir(id, settings) : Paths(settings).state_dir(id);
}

Result<std::vector<std::string>> guest_ids(const Settings& settings) {
  auto dir = sys::open_at(AT_FDCWD, guests_dir(settings), O_RDONLY | O_DIRECTORY);
  if (!dir && dir.error().sys_errno() == ENOENT) return std::vector<std::string>();
  if (!dir) return fail(std::move(dir).error());
  NX_TRY(auto names, sys::list_dir(dir->get()));
  std::ranges::sort(names);
  return names;
}

Result<Record> create_guest(const Request& request, Services& with) {
  NX_CHECK(oci::check_container_id(request.id));
  const auto* source = std::get_if<ImageSource>(&request.source);
  if (source == nullptr)
    return fail(Error(Errc::Unsupported, "a guest cannot be made from a bundle")
                    .hint("nexcage run IMAGE: it becomes a template of the cluster"));
  NX_CHECK(check_options(request, *source));
  finish_killed(with);
  const std::string dir = guest_dir(request.id, with.settings);
  NX_CHECK(reserve(request.id, with.settings));
  NX_TRY(
      const sys::FileLock lock,
      sys::FileLock::acquire(AT_FDCWD, dir + "/lock", sys::FileLock::Kind::exclusive, kLockWait));
  auto record = make(request, *source, dir, with);
  if (record) return record;
  Error error = std::move(record).error().wrap("create " + request.id);
  // The backend has taken back what it made. If it could not, the record stays: it knows the guest.
  const auto left = load_record(dir, request.id);
  const bool is_named = left && !left->backend_data.is_null();
  const auto backend = with.open_backend(route_backend(request, with));
  Result<> gone =
      is_named && backend ? take_away(*left, **backend, with.settings) : sys::remove_tree(dir);
  if (!gone) error = std::move(error).also(std::move(gone).error());
  return fail(std::move(error));
}

Result<> remove_guest(const std::string& id, const GuestRemoval& how, Services& with) {
  NX_TRY(const Held held, hold_guest(id, with), "delete " + id);
  Record record = held.guest.record;
  const backends::Backend& backend = *held.guest.backend;
  if (record.state.status != Status::creating && !how.force)
    NX_CHECK(refresh_status(record, backend));
  if (!how.force && record.state.status == Status::running)
    return fail(Error(Errc::InvalidState, "cannot delete container " + id + ": it is running")
                    .hint("stop it first, or give --force"));
  auto gone = how.purge ? backend.purge(record) : backend.remove(record);
  // Another's guest is left alone; that ours is gone is what was asked for.
  const bool is_foreign = !gone && gone.error().code() == Errc::InvalidState;
  if (is_foreign && how.force) {
    log::warning("delete " + id + ": " + gone.error().message());
    gone = {};
  }
  NX_CHECK(std::move(gone), "delete " + id);
  NX_CHECK(remove_work(id, with.settings), "delete " + id);
  NX_CHECK(sys::remove_tree(record.state_dir), "delete " + id);
  return {};
}

Result<> recover_guest(Record& record, const backends::Backend& backend) {
  NX_TRY(auto data, backend.recover(record));
  if (data) record.backend_data = std::move(*data);
  NX_TRY(const bool has_settled, settle_change(record));
  return data || has_settled ? save_guest(record) : Result<>();
}

Result<> stop_guest(const std::string& id, std::chrono::seconds time, Services& with) {
  NX_TRY(Found found, load_guest(id, with));
  NX_CHECK(refresh_status(found.record, *found.backend));
  if (found.record.state.status != Status::running) return {};
  NX_CHECK(found.backend->stop(found.record, time), "stop " + id);
  return {};
}

Result<> update_image(const std::string& id, const std::string& image, Services& with) {
  NX_TRY(Held held, hold_guest(id, with), "update " + id);
  Found& found = held.guest;
  Record& record = found.record;
  NX_CHECK(recover_guest(found.record, *found.backend), "update " + id);
  NX_TRY(ImageSource source, load_source(record));
  if (!image.empty()) source.image = image;
  NX_TRY(const auto plan, plan_guest_image(id, source, with), "update " + id);
  NX_CHECK(announce_update(record, with.settings, oci::to_json(plan->spec), to_json(source)),
           "update " + id);
  NX_TRY(record.backend_data, found.backend->replace_image(record, job_of(record, *plan)),
         "update " + id);
  NX_CHECK(settle_change(record), "update " + id);
  return save_guest(record);
}

Result<> roll_back(const std::string& id, Services& with) {
  NX_TRY(Held held, hold_guest(id, with), "update " + id);
  Found& found = held.guest;
  NX_CHECK(recover_guest(found.record, *found.backend), "update " + id);
  NX_CHECK(announce_rollback(found.record), "update " + id);
  NX_TRY(found.record.backend_data,
         found.backend->roll_back(found.record, remember_in(found.record)), "update " + id);
  NX_CHECK(settle_change(found.record), "update " + id);
  return save_guest(found.record);
}

}  // namespace nexcage::runtime
