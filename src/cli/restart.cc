// nexcage restart: stop, and start again.
#include "nexcage/cli/monitored.h"
#include "nexcage/cli/stopping.h"
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

class Restart : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID...", R"(
Stops a container that was made from an image, as "nexcage stop" does, and starts
it again with what it wrote. One that has ended is started.
)",
            R"(
  nexcage restart web
  nexcage restart --time 2 web db
)"};
  }

  void declare(Options& options) override { time_.declare(options); }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, words.size() + 1, "a container id"));
    NX_TRY(const std::chrono::seconds seconds, time_.seconds());
    NX_TRY(runtime::Services services, context.services());
    for (const std::string& id : words)
      NX_CHECK(restart(context, id, seconds, services), "container " + id);
    return 0;
  }

 private:
  static Result<> restart(Context& context, const std::string& id, std::chrono::seconds time,
                          runtime::Services& services) {
    NX_TRY(const backends::Record record, runtime::find(id, services));
    // Before it is stopped: it could not be started again.
    if (context.program().always_oci())
      return fail(Errc::Unsupported, context.program().name + " starts a container once");
    if (!runtime::is_image_form(record, services.settings))
      return fail(Errc::InvalidState, "a container from a bundle runs once");
    NX_CHECK(stop_container(id, time, services));
    return start_container(context, id, services, runtime::Ending::returns);
  }

  StopTime time_;
};

}  // namespace

std::unique_ptr<Verb> make_restart() { return std::make_unique<Restart>(); }

}  // namespace nexcage::cli
