// nexcage start: the user's process of a created container is executed, a stopped container runs
// again.
#include "nexcage/cli/monitored.h"
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

class Start : public Verb {
 public:
  Usage usage() const override {
    return {"ID", R"(
Lets a created container execute its process. A container made from an image that
has ended runs again, as it was made and with what it wrote; conmon holds it and
goes on with its log, however it was run before. Only what was kept in memory
(--tmpfs-upper) is new. A container from a bundle runs once.
)",
            R"(
  nexcage start c1
  nexcage stop web && nexcage start web
)"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    NX_TRY(runtime::Services services, context.services());
    NX_CHECK(start_container(context, words[0], services, runtime::Ending::becomes));
    return 0;
  }
};

}  // namespace

std::unique_ptr<Verb> make_start() { return std::make_unique<Start>(); }

}  // namespace nexcage::cli
