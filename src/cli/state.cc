// nexcage state: the OCI state as JSON.
#include "nexcage/cli/output.h"
#include "nexcage/cli/state_json.h"
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

class State : public Verb {
 public:
  Usage usage() const override {
    return {"ID", "Prints the state of a container as JSON.\n", "  nexcage state c1\n"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    NX_TRY(const runtime::Services services, context.services());
    NX_TRY(const backends::Record record, runtime::find(words[0], services));
    print(json::dump(state_json(record), json::Style::pretty) + "\n");
    return 0;
  }
};

}  // namespace

std::unique_ptr<Verb> make_state() { return std::make_unique<State>(); }

}  // namespace nexcage::cli
