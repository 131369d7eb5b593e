// nexcage resume: a frozen container goes on.
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

class Resume : public Verb {
 public:
  Usage usage() const override {
    return {"ID", "Thaws all processes of a paused container.\n",
            "  nexcage pause c1\n  nexcage resume c1\n"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    NX_TRY(runtime::Services services, context.services());
    NX_CHECK(runtime::resume(words[0], services, runtime::Ending::becomes));
    return 0;
  }
};

}  // namespace

std::unique_ptr<Verb> make_resume() { return std::make_unique<Resume>(); }

}  // namespace nexcage::cli
