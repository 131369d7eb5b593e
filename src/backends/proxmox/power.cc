#include "nexcage/backends/proxmox/power.h"

#include <thread>

#include "nexcage/base/text.h"

namespace nexcage::backends::proxmox {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenLooks{250};
constexpr std::chrono::seconds kGrace{60};  // for the cluster, after the guest's own time

/// Success if the guest is as asked for, whatever the request's answer was.
Result<> unless_running(const Cluster& cluster, std::uint64_t vmid, bool wanted, Result<> done) {
  if (done) return done;
  const auto runs = is_running(cluster, vmid);
  if (runs && *runs == wanted) return {};
  return done;
}

Result<> await_end(const Cluster& cluster, std::uint64_t vmid, std::chrono::seconds limit) {
  const auto end = Clock::now() + limit;
  while (true) {
    NX_TRY(const bool runs, is_running(cluster, vmid));
    if (!runs) return {};
    if (Clock::now() >= end)
      return fail(Errc::Timeout, "guest " + std::to_string(vmid) + " still runs");
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

}  // namespace

Result<bool> is_running(const Cluster& cluster, std::uint64_t vmid) {
  NX_TRY(const json::Value status,
         cluster.api().call("GET", cluster.guest_path(vmid) + "/status/current", {}));
  return status.text("status") == "running";
}

Result<> start_guest(const Cluster& cluster, std::uint64_t vmid) {
  return unless_running(cluster, vmid, true,
                        cluster.api().run("POST", cluster.guest_path(vmid) + "/status/start", {}));
}

Result<> stop_guest(const Cluster& cluster, std::uint64_t vmid, std::chrono::seconds time) {
  if (time.count() == 0) return kill_guest(cluster, vmid);
  // One request for both, which holds the guest's lock all the time: another one would wait for it.
  auto done = cluster.api().run("POST", cluster.guest_path(vmid) + "/status/shutdown",
                                {{"timeout", std::to_string(time.count())}, {"forceStop", "1"}});
  NX_CHECK(unless_running(cluster, vmid, false, std::move(done)));
  return await_end(cluster, vmid, time + kGrace);
}

Result<> kill_guest(const Cluster& cluster, std::uint64_t vmid) {
  auto done = cluster.api().run("POST", cluster.guest_path(vmid) + "/status/stop",
                                {{"overrule-shutdown", "1"}});
  NX_CHECK(unless_running(cluster, vmid, false, std::move(done)));
  return await_end(cluster, vmid, kGrace);
}

}  // namespace nexcage::backends::proxmox
