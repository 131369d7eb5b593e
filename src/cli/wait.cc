// nexcage wait: the exit code of a detached container, when it has ended.
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/monitor.h"
#include "nexcage/sys/process.h"

namespace nexcage::cli {
namespace {

/// conmon writes the code a moment after the process is gone.
constexpr std::chrono::seconds kExitTimeout{10};
constexpr std::chrono::milliseconds kRound{3'600'000};

class Wait : public Verb {
 public:
  Usage usage() const override {
    return {"ID...", "Waits until containers have ended and prints the exit code of each.\n", R"(
  nexcage wait web
)"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, words.size() + 1, "a container id"));
    NX_TRY(const runtime::Services services, context.services());
    for (const std::string& id : words) {
      NX_TRY(const int code, wait_for(id, services), "container " + id);
      print(std::to_string(code) + "\n");
    }
    return 0;
  }

 private:
  static Result<int> wait_for(const std::string& id, const runtime::Services& services) {
    NX_TRY(const backends::Record record, runtime::find(id, services));
    NX_TRY(const auto exit, runtime::ExitRecord::open(record.state.bundle, id));
    if (!exit)
      return fail(
          Error(Errc::Unsupported, "nobody records its exit code")
              .hint("The parent of a container made in the OCI form gets its exit status."));
    // Held until the code has been read: `run --rm` removes the container only then.
    NX_TRY(const sys::FileLock lock, exit->hold());
    NX_TRY(const std::optional<UniqueFd> pidfd, sys::open_process(record.init));
    while (pidfd) {
      NX_TRY(const bool ended, sys::wait_exit(pidfd->get(), kRound));
      if (ended) break;
    }
    return exit->read_soon(kExitTimeout);
  }
};

}  // namespace

std::unique_ptr<Verb> make_wait() { return std::make_unique<Wait>(); }

}  // namespace nexcage::cli
