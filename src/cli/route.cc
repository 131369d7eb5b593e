// nexcage route: which backend a container would get, and why.
#include "nexcage/cli/create_args.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/oci/state.h"
#include "nexcage/runtime/routing.h"

namespace nexcage::cli {
namespace {

class RouteVerb : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID|IMAGE", R"(
Prints the backend that a container of this id, or from this image, would get.
With --explain also what was looked at, in order; the last line decided. For a
container that exists it is the backend that it runs on.
)",
            R"(
  nexcage route web1
  nexcage route --explain --image docker.io/library/nginx:1 web1
)"};
  }

  void declare(Options& options) override {
    options.flag("--explain", explain_, "say which rule decided")
        .text("--image", "IMAGE", image_, "the image of the container whose id is given")
        .list("--annotation", "KEY=VALUE", annotations_, "an annotation the container would have");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "a container id or an image"));
    NX_TRY(const runtime::Services services, context.services());
    NX_TRY(const runtime::Route found, decide(context, words[0], services));
    print(found.backend + "\n");
    if (!explain_) return 0;
    for (const std::string& step : found.steps) print("  " + step + "\n");
    return 0;
  }

 private:
  Result<runtime::Route> decide(const Context& context, const std::string& word,
                                const runtime::Services& services) const {
    const bool may_be_id = oci::check_container_id(word).has_value();
    if (may_be_id && image_.empty())
      if (const auto record = runtime::find(word, services))
        return runtime::Route{record->backend, {"container " + word + " exists"}};
    runtime::RouteQuery query;
    NX_TRY(query.asked, context.backend());
    NX_CHECK(add_annotations(query.annotations, annotations_));
    if (may_be_id) query.id = word;
    query.image = image_.empty() ? word : image_;
    return runtime::route(query, services.settings.rules, services.settings.default_backend);
  }

  bool explain_ = false;
  std::string image_;
  std::vector<std::string> annotations_;
};

}  // namespace

std::unique_ptr<Verb> make_route() { return std::make_unique<RouteVerb>(); }

}  // namespace nexcage::cli
