// nexcage system gc: what belongs to nothing goes.
#include "nexcage/cli/garbage_text.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/check.h"

namespace nexcage::cli {
namespace {

class SystemGc : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS]", R"(
Removes blobs and prepared layers that no image needs, and what pulls left that
nobody has gone on with for a day. What a pull in progress needs stays.
)",
            R"(
  nexcage system gc --dry-run
  nexcage system gc
)"};
  }

  void declare(Options& options) override {
    options.flag("--dry-run", dry_run_, "only say what would go");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    NX_TRY(runtime::Services services, context.services());
    const runtime::Remove remove = dry_run_ ? runtime::Remove::no : runtime::Remove::yes;
    NX_TRY(const runtime::GarbageReport report, runtime::collect_garbage(remove, services));
    print(garbage_text(report, remove));
    return 0;
  }

 private:
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_system_gc() { return std::make_unique<SystemGc>(); }

}  // namespace nexcage::cli
