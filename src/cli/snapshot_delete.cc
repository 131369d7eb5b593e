// nexcage snapshot delete: snapshots of a container go.
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/snapshots.h"

namespace nexcage::cli {
namespace {

class SnapshotDelete : public Verb {
 public:
  Usage usage() const override {
    return {"ID NAME...", "Deletes snapshots of a container.\n",
            "\n  nexcage snapshot delete web before-update\n"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 2, words.size() + 1, "a container id and names of snapshots"));
    NX_TRY(runtime::Services services, context.services());
    for (std::size_t i = 1; i < words.size(); ++i)
      NX_CHECK(runtime::remove_snapshot(words[0], words[i], services));
    return 0;
  }
};

}  // namespace

std::unique_ptr<Verb> make_snapshot_delete() { return std::make_unique<SnapshotDelete>(); }

}  // namespace nexcage::cli
