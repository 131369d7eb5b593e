// nexcage checkpoint: the state of a running container into files, by CRIU through its runtime.
#include "nexcage/cli/criu_args.h"
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

class Checkpoint : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID", R"(
Writes the state of a running container to files, with CRIU, and ends it unless
--leave-running or --pre-dump is given. A container made from a bundle is deleted
then, as runc does. For containers on runc, and on crun built with CRIU.
)",
            R"(
  nexcage checkpoint --image-path /var/tmp/c1 c1
  nexcage restore --image-path /var/tmp/c1 --bundle /srv/bundle --detach c1
)"};
  }

  void declare(Options& options) override { args_.declare_checkpoint(options); }

  Result<> available(Context& context) const override { return CriuArgs::check_backend(context); }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    NX_TRY(runtime::Services services, context.services());
    NX_TRY(const std::vector<std::string> options, args_.words());
    const bool goes_on = args_.given("--leave-running") || args_.given("--pre-dump");
    NX_CHECK(runtime::checkpoint(
        words[0], options, goes_on ? runtime::After::goes_on : runtime::After::ends, services));
    return 0;
  }

 private:
  CriuArgs args_;
};

}  // namespace

std::unique_ptr<Verb> make_checkpoint() { return std::make_unique<Checkpoint>(); }

}  // namespace nexcage::cli
