// nexcage snapshot rollback: the files of a container become those of a snapshot.
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/snapshots.h"

namespace nexcage::cli {
namespace {

class SnapshotRollback : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID NAME", R"(
The files of a container become those of a snapshot; what was written since is
lost. The container is stopped afterwards: `start` runs it again.
)",
            R"(
  nexcage snapshot rollback web before-update
  nexcage snapshot rollback --force web before-update && nexcage start web
)"};
  }

  void declare(Options& options) override {
    options.flag("--force", how_.force, "kill a container that runs")
        .flag("--discard-newer", how_.discard_newer,
              "ZFS: destroy newer snapshots, which are in the way there");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 2, 2, "a container id and the name of a snapshot"));
    NX_TRY(runtime::Services services, context.services());
    NX_CHECK(runtime::roll_back_to(words[0], words[1], how_, services));
    return 0;
  }

 private:
  runtime::RollBack how_;
};

}  // namespace

std::unique_ptr<Verb> make_snapshot_rollback() { return std::make_unique<SnapshotRollback>(); }

}  // namespace nexcage::cli
