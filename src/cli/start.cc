// nexcage start: the user's process of a created container is executed.
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

class Start : public Verb {
 public:
  Usage usage() const override {
    return {"ID", "Lets a created container execute its process.\n", "  nexcage start c1\n"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    NX_TRY(runtime::Services services, context.services());
    NX_CHECK(runtime::start(words[0], services, runtime::Ending::becomes));
    return 0;
  }
};

}  // namespace

std::unique_ptr<Verb> make_start() { return std::make_unique<Start>(); }

}  // namespace nexcage::cli
