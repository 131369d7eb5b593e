#include "nexcage/backends/proxmox/guest_backend.h"

#include <csignal>

#include "nexcage/backends/guest_details.h"
#include "nexcage/backends/proxmox/backend.h"
#include "nexcage/backends/proxmox/power.h"
#include "nexcage/base/log.h"
#include "nexcage/pve/answer.h"

namespace nexcage::backends::proxmox {

namespace {

std::string gone(const Record& record) {
  return "guest " + pve::as_text(record.backend_data.find("vmid")) + " is gone from the cluster";
}

}  // namespace

std::string first_limit(const oci::Resources& resources) {
  const json::Value all = oci::to_json(resources);
  if (all.if_object() == nullptr) return {};
  for (const auto& [section, limits] : *all.if_object()) {
    if (limits.if_object() == nullptr) return "/" + section;
    for (const auto& [name, value] : *limits.if_object()) return "/" + section + "/" + name;
  }
  return {};
}

std::unexpected<Error> GuestBackend::refuse(const std::string& what, const std::string& why) const {
  return fail(Errc::Unsupported, "backend " + std::string(name()) + ": " + what + ": " + why);
}

Result<const Cluster*> GuestBackend::cluster() const {
  const std::lock_guard lock(mutex_);
  if (!cluster_) {
    NX_TRY(Cluster opened, open_cluster(setup_.libexec, setup_.proxmox, kind_));
    cluster_.emplace(std::move(opened));
  }
  return &*cluster_;
}

Result<std::optional<GuestBackend::Found>> GuestBackend::look_for(const Record& record) const {
  NX_TRY(const GuestName name, guest_name(record.backend_data));
  NX_TRY(const Cluster* there, cluster());
  NX_TRY(auto guest, find_guest(*there, name));
  if (!guest) return std::nullopt;
  if (guest->name.node != name.node) {
    const std::lock_guard lock(mutex_);
    moved_[name.token] = guest->name;
  }
  Cluster on_node = there->on(guest->name.node);
  return Found{.cluster = std::move(on_node), .guest = std::move(*guest)};
}

Result<GuestBackend::Found> GuestBackend::find(const Record& record) const {
  NX_TRY(std::optional<Found> found, look_for(record));
  if (found) return std::move(*found);
  return fail(Errc::ContainerNotFound, gone(record));
}

std::optional<json::Value> GuestBackend::moved(const Record& record) const {
  const std::lock_guard lock(mutex_);
  const auto found = moved_.find(record.backend_data.text("token"));
  if (found == moved_.end()) return std::nullopt;
  json::Object data =
      record.backend_data.if_object() ? *record.backend_data.if_object() : json::Object();
  data.set("node", found->second.node);
  return json::Value(std::move(data));
}

std::map<std::string, std::string> GuestBackend::details(const Record& record) const {
  const auto name = guest_name(record.backend_data);
  if (!name) return {};  // none is made yet
  return {{std::string(kVmidDetail), std::to_string(name->vmid)},
          {std::string(kNodeDetail), name->node}};
}

Result<> GuestBackend::probe() const {
  NX_CHECK(cluster());
  return {};
}

Result<> GuestBackend::start(const Record& record) const {
  NX_TRY(const Found found, find(record));
  return found.cluster.api().run("POST", found.path("/status/start"), {});
}

Result<> GuestBackend::stop(const Record& record, std::chrono::seconds time) const {
  NX_TRY(const Found found, find(record));
  return stop_guest(found.cluster, found.guest.name.vmid, time);
}

Result<oci::Status> GuestBackend::status(const Record& record) const {
  NX_TRY(const std::optional<Found> found, look_for(record));
  if (!found) {
    log::warning("container " + record.state.id + ": " + gone(record));
    return oci::Status::stopped;
  }
  NX_TRY(const json::Value status,
         found->cluster.api().call("GET", found->path("/status/current"), {}));
  // A machine may be suspended by somebody else; it is running to its cluster.
  if (status.text("qmpstatus") == "paused") return oci::Status::paused;
  if (status.text("status") == "running") return oci::Status::running;
  const bool never_ran = record.state.status == oci::Status::created;
  return never_ran ? oci::Status::created : oci::Status::stopped;
}

Result<> GuestBackend::kill(const Record& record, int signal, bool /*all*/) const {
  switch (signal) {
    case SIGKILL: {
      NX_TRY(const Found found, find(record));
      return kill_guest(found.cluster, found.guest.name.vmid);
    }
    case SIGTERM: {
      // What is in the guest hands on the signal that the image wants.
      NX_TRY(const Found found, find(record));
      NX_CHECK(
          found.cluster.api().call("POST", found.path("/status/shutdown"), {{"timeout", "60"}}));
      return {};
    }
    default:
      return refuse("signal " + std::to_string(signal),
                    "Proxmox VE can only ask a guest to end (TERM) and end it (KILL)");
  }
}

Result<std::vector<pid_t>> GuestBackend::processes(const Record& /*record*/) const {
  return refuse("processes", "the API does not tell them");
}

Result<sys::CgroupLayout> GuestBackend::cgroup_dirs(const Record& /*record*/) const {
  return refuse("statistics", "the guest's control groups are on its node");
}

}  // namespace nexcage::backends::proxmox
