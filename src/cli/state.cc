// nexcage state: the OCI state as JSON.
#include <utility>

#include "nexcage/cli/output.h"
#include "nexcage/cli/state_json.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/generations.h"
#include "nexcage/runtime/guest_earlier.h"
#include "nexcage/runtime/guests.h"

namespace nexcage::cli {
namespace {

class State : public Verb {
 public:
  Usage usage() const override {
    return {"ID", R"(
Prints the state of a container as JSON; of one that was updated also the roots that
"nexcage update --rollback" can bring back, newest first.
)",
            "  nexcage state c1\n"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    NX_TRY(const runtime::Services services, context.services());
    NX_TRY(const backends::Record record, runtime::find(words[0], services));
    json::Value state = state_json(record);
    if (runtime::is_image_form(record, services.settings))
      NX_CHECK(add_earlier(record.state.bundle, *state.if_object()));
    if (runtime::is_guest(record.state.id, services.settings))
      add_earlier_images(record, *state.if_object());
    print(json::dump(state, json::Style::pretty) + "\n");
    return 0;
  }

 private:
  static void add_earlier_images(const backends::Record& record, json::Object& state) {
    json::Array earlier;
    for (const runtime::EarlierImage& one : runtime::earlier_images(record)) {
      json::Object object;
      object.set("image", one.image);
      object.set("digest", one.digest);
      earlier.emplace_back(std::move(object));
    }
    if (!earlier.empty()) state.set("earlier", std::move(earlier));
  }

  static Result<> add_earlier(const std::string& bundle, json::Object& state) {
    NX_TRY(const runtime::Generations all, runtime::load_generations(bundle));
    if (all.last == 1) return {};  // never updated
    json::Array earlier;
    for (const runtime::Generation& one : all.earlier) {
      json::Object object;
      object.set("generation", one.number);
      object.set("image", one.image);
      object.set("digest", one.digest);
      object.set("replaced", one.replaced);
      earlier.emplace_back(std::move(object));
    }
    state.set("generation", all.current);
    state.set("earlier", std::move(earlier));
    return {};
  }
};

}  // namespace

std::unique_ptr<Verb> make_state() { return std::make_unique<State>(); }

}  // namespace nexcage::cli
