// nexcage storage resize: the root file system of a container grows.
#include "nexcage/base/text.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/snapshots.h"

namespace nexcage::cli {
namespace {

class StorageResize : public Verb {
 public:
  Usage usage() const override {
    return {"ID SIZE", R"(
Makes the root file system of a container larger, while it runs or not: an image
and the file system in it, or the quota of a dataset. Nothing is made smaller.
)",
            "\n  nexcage storage resize web 20g\n"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 2, 2, "a container id and a size"));
    const auto bytes = parse_bytes(words[1]);
    if (!bytes) return fail(bytes.error());
    NX_TRY(runtime::Services services, context.services());
    NX_CHECK(runtime::grow_storage(words[0], *bytes, services));
    return 0;
  }
};

}  // namespace

std::unique_ptr<Verb> make_storage_resize() { return std::make_unique<StorageResize>(); }

}  // namespace nexcage::cli
