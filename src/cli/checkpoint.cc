// nexcage checkpoint: the state of a running container into files, by CRIU through its runtime; or
// its storage alone, as a snapshot.
#include "nexcage/base/clock.h"
#include "nexcage/cli/criu_args.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/retention.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/snapshots.h"

namespace nexcage::cli {
namespace {

class Checkpoint : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID", R"(
Writes the state of a running container to files, with CRIU, and ends it unless
--leave-running or --pre-dump is given. A container made from a bundle is deleted
then, as runc does. For containers on runc, and on crun built with CRIU.

With --storage-only its files are kept instead, as a snapshot with the name
checkpoint-TIME (seconds since 1970), which is printed; the container goes on, on
any backend. `snapshot rollback` goes back to it.
)",
            R"(
  nexcage checkpoint --image-path /var/tmp/c1 c1
  nexcage restore --image-path /var/tmp/c1 --bundle /srv/bundle --detach c1
)"};
  }

  void declare(Options& options) override {
    args_.declare_checkpoint(options);
    options.flag("--storage-only", storage_only_, "a snapshot of the container's files")
        .text("--keep", "N", keep_, "with --storage-only: delete the oldest such, so that N stay");
  }

  Result<> available(Context& context) const override {
    if (storage_only_) return {};
    return CriuArgs::check_backend(context);
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    if (!storage_only_ && !keep_.empty())
      return fail(Errc::InvalidSpec, "--keep is for --storage-only");
    NX_TRY(const std::vector<std::string> options, args_.words());
    if (storage_only_ && !options.empty())
      return fail(Errc::InvalidSpec, "--storage-only: " + options.front() + " is CRIU's");
    NX_TRY(runtime::Services services, context.services());
    if (storage_only_) return keep_storage(words[0], services);
    const bool goes_on = args_.given("--leave-running") || args_.given("--pre-dump");
    NX_CHECK(runtime::checkpoint(
        words[0], options, goes_on ? runtime::After::goes_on : runtime::After::ends, services));
    return 0;
  }

 private:
  Result<int> keep_storage(const std::string& id, runtime::Services& services) const {
    constexpr const char* kBeginning = "checkpoint-";
    NX_TRY(const auto retention, parse_keep(keep_, kBeginning));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(now().time_since_epoch());
    const std::string name = kBeginning + std::to_string(seconds.count());
    NX_CHECK(runtime::make_snapshot(id, name, retention, services));
    print(name + "\n");
    return 0;
  }

  CriuArgs args_;
  bool storage_only_ = false;
  std::string keep_;
};

}  // namespace

std::unique_ptr<Verb> make_checkpoint() { return std::make_unique<Checkpoint>(); }

}  // namespace nexcage::cli
