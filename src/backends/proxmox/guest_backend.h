// What backends of guests share, whatever their kind: finding them, starting, stopping, telling how
// they are.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "nexcage/backends/backend.h"
#include "nexcage/backends/proxmox/guest.h"

namespace nexcage::backends::proxmox {

/// "/memory/kernel": the first limit that is named; empty: none is.
std::string first_limit(const oci::Resources& resources);

class GuestBackend : public Backend {
 public:
  GuestBackend(Setup setup, GuestKind kind) : setup_(std::move(setup)), kind_(kind) {}

  bool keeps_guests() const override { return true; }
  std::optional<json::Value> moved(const Record& record) const override;
  std::map<std::string, std::string> details(const Record& record) const override;
  Result<> probe() const override;
  Result<> start(const Record& record) const override;
  Result<> stop(const Record& record, std::chrono::seconds time) const override;
  Result<oci::Status> status(const Record& record) const override;
  Result<> kill(const Record& record, int signal, bool all) const override;
  Result<std::vector<pid_t>> processes(const Record& record) const override;
  Result<sys::CgroupLayout> cgroup_dirs(const Record& record) const override;
  Result<> remove(const Record& record) const override { return destroy(record, Purge::no); }
  Result<> purge(const Record& record) const override { return destroy(record, Purge::yes); }

 protected:
  struct Found {
    Cluster cluster;  // on the guest's node
    FoundGuest guest;
    std::string path(std::string_view verb) const {
      return cluster.guest_path(guest.name.vmid) + std::string(verb);
    }
  };
  const Setup& setup() const { return setup_; }
  /// Opened with the first call.
  Result<const Cluster*> cluster() const;
  /// The guest that the record speaks of, wherever it is, and no other that has its VMID.
  Result<std::optional<Found>> look_for(const Record& record) const;
  /// ContainerNotFound.
  Result<Found> find(const Record& record) const;
  /// Unsupported: "backend NAME: what: why".
  std::unexpected<Error> refuse(const std::string& what, const std::string& why) const;
  virtual Result<> destroy(const Record& record, Purge purge) const = 0;

 private:
  Setup setup_;
  GuestKind kind_;
  mutable std::mutex mutex_;
  mutable std::optional<Cluster> cluster_;
  mutable std::map<std::string, GuestName> moved_;  // by their tokens
};

}  // namespace nexcage::backends::proxmox
