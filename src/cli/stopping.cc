#include "nexcage/cli/stopping.h"

#include <csignal>

#include "nexcage/base/text.h"
#include "nexcage/runtime/guests.h"
#include "nexcage/runtime/monitor.h"
#include "nexcage/sys/process.h"

namespace nexcage::cli {
namespace {

constexpr std::uint64_t kMostSeconds = 86400;
constexpr std::chrono::seconds kKillTimeout{10};
/// conmon writes the exit code a moment after the process is gone.
constexpr std::chrono::seconds kExitTimeout{5};
/// image-spec conversion.md: Config.StopSignal.
constexpr std::string_view kStopSignal = "org.opencontainers.image.stopSignal";

/// A container that ends in between has what we want.
Result<> send(const std::string& id, int signal, runtime::Services& services) {
  auto sent = runtime::kill(id, signal, false, services);
  if (sent || sent.error().code() == Errc::InvalidState ||
      sent.error().code() == Errc::ContainerNotFound)
    return {};
  return sent;
}

Result<int> stop_signal(const backends::Record& record) {
  const auto& annotations = record.state.annotations;
  const auto found = annotations.find(std::string(kStopSignal));
  if (found == annotations.end()) return SIGTERM;
  return sys::parse_signal(found->second);
}

}  // namespace

void StopTime::declare(Options& options) {
  options.text("-t,--time", "SECONDS", text_, "how long to wait before KILL (default 10)");
}

Result<std::chrono::seconds> StopTime::seconds() const {
  const auto seconds = parse_u64(text_);
  if (!seconds || *seconds > kMostSeconds)
    return fail(Errc::InvalidSpec, "--time " + quote(text_) + ": expected seconds");
  return std::chrono::seconds(*seconds);
}

Result<> stop_container(const std::string& id, std::chrono::seconds time,
                        runtime::Services& services) {
  NX_TRY(const backends::Record record, runtime::find(id, services));
  if (record.state.status == oci::Status::stopped) return {};
  if (runtime::is_guest(id, services.settings)) return runtime::stop_guest(id, time, services);
  NX_TRY(const auto exit, runtime::ExitRecord::open(record.state.bundle, id));
  NX_TRY(const int signal, stop_signal(record));
  NX_TRY(const std::optional<UniqueFd> pidfd, sys::open_process(record.init));
  if (!pidfd) return {};
  NX_CHECK(send(id, signal, services));
  // Frozen processes get their signals when they thaw.
  if (record.state.status == oci::Status::paused) NX_CHECK(runtime::resume(id, services));
  NX_TRY(bool ended, sys::wait_exit(pidfd->get(), time));
  if (!ended) {
    NX_CHECK(send(id, SIGKILL, services));
    NX_TRY(ended, sys::wait_exit(pidfd->get(), kKillTimeout));
  }
  if (!ended) return fail(Errc::Timeout, "wait for its end after KILL");
  // So that `ps` and `wait` after us know the code. With --rm the record may be gone already.
  if (exit) (void)exit->read_soon(kExitTimeout);
  return {};
}

}  // namespace nexcage::cli
