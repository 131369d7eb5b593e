// nexcage snapshot create: the present files of a container, kept.
#include "nexcage/base/clock.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/retention.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/snapshots.h"

namespace nexcage::cli {
namespace {

class SnapshotCreate : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID [NAME]", R"(
Keeps the files of a container as they are now, and prints the snapshot's name;
without one it is the present time. Of a running container it is what a power cut
would leave. Works where the storage can: ZFS, directories on btrfs, raw images on
xfs and btrfs.
)",
            R"(
  nexcage snapshot create web before-update
  nexcage snapshot create --keep 7 web
)"};
  }

  void declare(Options& options) override {
    options.text("--keep", "N", keep_, "then delete the oldest, so that N stay");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 2, "a container id and a name"));
    NX_TRY(const auto retention, parse_keep(keep_, ""));
    const std::string name = words.size() == 2 ? words[1] : format_rfc3339(now(), 3);
    NX_TRY(runtime::Services services, context.services());
    NX_CHECK(runtime::make_snapshot(words[0], name, retention, services));
    print(name + "\n");
    return 0;
  }

 private:
  std::string keep_;
};

}  // namespace

std::unique_ptr<Verb> make_snapshot_create() { return std::make_unique<SnapshotCreate>(); }

}  // namespace nexcage::cli
