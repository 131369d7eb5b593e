// nexcage stop: the stop signal, and KILL when the container does not end in time.
#include <csignal>

#include "nexcage/base/text.h"
#include "nexcage/cli/verb.h"
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

class Stop : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID...", R"(
Sends the image's stop signal (TERM when it has none) and waits; a container that
still runs after the time is killed. A container that has ended is no error.
)",
            R"(
  nexcage stop web
  nexcage stop --time 2 web db
)"};
  }

  void declare(Options& options) override {
    options.text("-t,--time", "SECONDS", seconds_, "how long to wait before KILL (default 10)");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, words.size() + 1, "a container id"));
    const auto seconds = parse_u64(seconds_);
    if (!seconds || *seconds > kMostSeconds)
      return fail(Errc::InvalidSpec, "--time " + quote(seconds_) + ": expected seconds");
    NX_TRY(runtime::Services services, context.services());
    for (const std::string& id : words)
      NX_CHECK(stop(id, std::chrono::seconds(*seconds), services), "container " + id);
    return 0;
  }

 private:
  static Result<> stop(const std::string& id, std::chrono::seconds time,
                       runtime::Services& services) {
    NX_TRY(const backends::Record record, runtime::find(id, services));
    if (record.state.status == oci::Status::stopped) return {};
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

  /// A container that ends in between has what we want.
  static Result<> send(const std::string& id, int signal, runtime::Services& services) {
    auto sent = runtime::kill(id, signal, false, services);
    if (sent || sent.error().code() == Errc::InvalidState ||
        sent.error().code() == Errc::ContainerNotFound)
      return {};
    return sent;
  }

  static Result<int> stop_signal(const backends::Record& record) {
    const auto& annotations = record.state.annotations;
    const auto found = annotations.find(std::string(kStopSignal));
    if (found == annotations.end()) return SIGTERM;
    return sys::parse_signal(found->second);
  }

  std::string seconds_ = "10";
};

}  // namespace

std::unique_ptr<Verb> make_stop() { return std::make_unique<Stop>(); }

}  // namespace nexcage::cli
