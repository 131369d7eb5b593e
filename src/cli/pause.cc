// nexcage pause: all processes of a container are frozen.
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

class Pause : public Verb {
 public:
  Usage usage() const override {
    return {"ID", "Freezes all processes of a running container.\n",
            "  nexcage pause c1\n  nexcage resume c1\n"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    NX_TRY(runtime::Services services, context.services());
    NX_CHECK(runtime::pause(words[0], services, runtime::Ending::becomes));
    return 0;
  }
};

}  // namespace

std::unique_ptr<Verb> make_pause() { return std::make_unique<Pause>(); }

}  // namespace nexcage::cli
