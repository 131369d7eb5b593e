// nexcage events: what a container uses, and when it runs out of memory.
#include <poll.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/cli/duration.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/stats_json.h"
#include "nexcage/cli/verb.h"
#include "nexcage/sys/process.h"

namespace nexcage::cli {
namespace {

using Clock = std::chrono::steady_clock;

class Events : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID", R"(
Prints events of a container as JSON, one a line: "stats" at every interval, "oom"
when memory runs out. Ends when the container has ended.
)",
            R"(
  nexcage events --stats web
  nexcage events --interval 1s web
)"};
  }

  void declare(Options& options) override {
    options.text("--interval", "DURATION", interval_, "time between statistics (default: 5s)")
        .flag("--stats", once_, "print the statistics once");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    NX_TRY(const auto interval, parse_duration(interval_), "--interval");
    if (interval <= interval.zero())
      return fail(Errc::InvalidSpec, "--interval " + quote(interval_) + ": must be more than 0");
    NX_TRY(const runtime::Services services, context.services());
    NX_TRY(const backends::Record record, runtime::find(words[0], services));
    NX_TRY(const sys::CgroupLayout dirs, runtime::cgroup_dirs(words[0], services));
    if (once_) {
      NX_CHECK(print_stats(record, dirs));
      return 0;
    }
    NX_CHECK(watch(record, dirs, interval));
    return 0;
  }

 private:
  static Result<> print_stats(const backends::Record& record, const sys::CgroupLayout& dirs) {
    NX_TRY(const sys::CgroupStats stats, sys::read_cgroup_stats(dirs));
    std::vector<sys::InterfaceCounters> interfaces;
    if (auto read = sys::read_network_counters(record.init.pid)) interfaces = *std::move(read);
    print(event_line("stats", record.state.id, stats_json(stats, interfaces)));
    return {};
  }

  static Result<> watch(const backends::Record& record, const sys::CgroupLayout& dirs,
                        std::chrono::nanoseconds interval) {
    NX_TRY(const std::optional<UniqueFd> init, sys::open_process(record.init));
    if (!init) return {};
    auto oom = sys::OomWatch::open(dirs);
    if (!oom) log::warning(oom.error().message());
    for (Clock::time_point next = Clock::now() + interval;;) {
      NX_TRY(const Seen seen, wait_until(next, init->get(), oom ? oom->fd() : -1));
      if (seen.memory) {
        NX_TRY(const std::uint64_t times, oom->take());
        if (times > 0) print(event_line("oom", record.state.id, {}));
      }
      if (seen.ended) return {};
      if (Clock::now() < next) continue;
      next += interval;
      // The container may end at any time; what can no longer be read is no failure.
      if (!print_stats(record, dirs)) return {};
    }
  }

  struct Seen {
    bool ended = false, memory = false;
  };

  static Result<Seen> wait_until(Clock::time_point time, int init, int oom) {
    pollfd fds[] = {{init, POLLIN, 0}, {oom, POLLIN, 0}};
    const auto left =
        std::max(std::chrono::duration_cast<std::chrono::nanoseconds>(time - Clock::now()),
                 std::chrono::nanoseconds::zero());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    if (::ppoll(fds, std::size(fds), &timeout, nullptr) < 0 && errno != EINTR)
      return fail_errno("wait for events");
    return Seen{.ended = fds[0].revents != 0, .memory = fds[1].revents != 0};
  }

  std::string interval_ = "5s";
  bool once_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_events() { return std::make_unique<Events>(); }

}  // namespace nexcage::cli
