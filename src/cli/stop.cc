// nexcage stop: the stop signal, and KILL when the container does not end in time.
#include "nexcage/cli/stopping.h"
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

class Stop : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID...", R"(
Sends the image's stop signal (TERM when it has none) and waits; a container that
still runs after the time is killed. A container that has ended is no error.
)",
            R"(
  nexcage stop web
  nexcage stop --time 2 web db
)"};
  }

  void declare(Options& options) override { time_.declare(options); }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, words.size() + 1, "a container id"));
    NX_TRY(const std::chrono::seconds seconds, time_.seconds());
    NX_TRY(runtime::Services services, context.services());
    for (const std::string& id : words)
      NX_CHECK(stop_container(id, seconds, services), "container " + id);
    return 0;
  }

 private:
  StopTime time_;
};

}  // namespace

std::unique_ptr<Verb> make_stop() { return std::make_unique<Stop>(); }

}  // namespace nexcage::cli
