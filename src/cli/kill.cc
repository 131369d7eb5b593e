// nexcage kill: a signal to the container's init, or to all its processes.
#include <csignal>

#include "nexcage/cli/verb.h"
#include "nexcage/sys/process.h"

namespace nexcage::cli {
namespace {

class Kill : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID [SIGNAL]", R"(
Sends a signal, by name or number, to the container's init. The default is TERM.
)",
            R"(
  nexcage kill c1
  nexcage kill c1 KILL
  nexcage kill --all c1 9
)"};
  }

  void declare(Options& options) override {
    options.flag("-a,--all", all_, "signal every process of the container");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 2, "a container id and a signal"));
    int signal = SIGTERM;
    if (words.size() == 2) {
      NX_TRY(signal, sys::parse_signal(words[1]));
    }
    NX_TRY(runtime::Services services, context.services());
    NX_CHECK(runtime::kill(words[0], signal, all_, services));
    return 0;
  }

 private:
  bool all_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_kill() { return std::make_unique<Kill>(); }

}  // namespace nexcage::cli
