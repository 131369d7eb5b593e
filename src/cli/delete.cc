// nexcage delete: a container and everything it made go.
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/guests.h"
#include "nexcage/runtime/monitor.h"

namespace nexcage::cli {
namespace {

/// How long an automatic removal lets `wait` read the exit code.
constexpr std::chrono::seconds kReaders{5};

class Delete : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID...", R"(
Removes stopped containers: mounts, cgroups, directories, the state. A running
container is refused unless --force is given; with it, a missing one is no error.
)",
            R"(
  nexcage delete c1
  nexcage delete --force c1 c2
)"};
  }

  void declare(Options& options) override {
    options.flag("-f,--force", force_, "kill the container first if it runs")
        .flag("--purge", purge_, "a guest also goes from the cluster's backup and other jobs")
        // `run -d --rm`: called by the monitor when the container has ended.
        .flag("--ended", ended_, "")
        .hidden();
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, words.size() + 1, "a container id"));
    NX_TRY(runtime::Services services, context.services());
    if (ended_) wait_for_readers(words[0], services);
    if (purge_) return purge(words, services);
    NX_CHECK(runtime::remove_all(words, force_, services));
    return 0;
  }

 private:
  Result<int> purge(const std::vector<std::string>& ids, runtime::Services& services) const {
    for (const std::string& id : ids)
      if (!runtime::is_guest(id, services.settings))
        return fail(Errc::Unsupported,
                    "delete --purge: container " + id + " is no guest of a Proxmox VE cluster");
    for (const std::string& id : ids)
      NX_CHECK(runtime::remove_guest(id, {.force = force_, .purge = true}, services));
    return 0;
  }
  static void wait_for_readers(const std::string& id, const runtime::Services& services) {
    const auto record = runtime::find(id, services);
    if (!record) return;
    const auto exit = runtime::ExitRecord::open(record->state.bundle, id);
    if (exit && *exit) (*exit)->wait_for_readers(kReaders);
  }

  bool force_ = false;
  bool purge_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_delete() { return std::make_unique<Delete>(); }

}  // namespace nexcage::cli
