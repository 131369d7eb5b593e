// nexcage pull: an image from its registry into the store, ready to run.
#include "nexcage/registry/pull.h"

#include "nexcage/cli/images.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/registry_args.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/pull.h"

namespace nexcage::cli {
namespace {

class Pull : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] IMAGE...", R"(
Brings images from their registries into the store and prepares their layers,
so that they can run at once. Mirrors, short names, credentials, certificates
and signatures are as registries.conf, containers-auth.json, certs.d and
policy.json say. What is there already is not fetched again; a pull that was cut
off is gone on from. The digest is printed.
)",
            R"(
  nexcage pull docker.io/library/debian:12
  nexcage pull --platform linux/arm64 quay.io/centos/centos:stream9
  nexcage pull --tls-verify=false localhost:5000/web@sha256:0123...
)"};
  }

  void declare(Options& options) override {
    options.text("--platform", "OS/ARCH[/VARIANT]", platform_,
                 "another machine's image; it gets the name in the store");
    registry_.declare(options);
    progress_.declare(options);
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, words.size() + 1, "an image"));
    NX_TRY(auto output, progress_.open());
    registry::PullOptions options;
    if (!platform_.empty()) {
      NX_TRY(options.platform, registry::parse_platform(platform_), "--platform");
    }
    NX_TRY(options.choices, registry_.choices());
    NX_TRY(const runtime::Services services, context.services());
    NX_TRY(const storage::Choice storage, runtime::default_storage(services.settings));
    for (const std::string& word : words) {
      NX_TRY(const registry::Pulled pulled,
             runtime::pull_ready(word, options, watch(*output), services, storage));
      output->finish(pulled);
      print(pulled.digest.str() + "\n");
    }
    return 0;
  }

 private:
  std::string platform_;
  RegistryArgs registry_;
  ProgressArgs progress_;
};

}  // namespace

std::unique_ptr<Verb> make_pull() { return std::make_unique<Pull>(); }

}  // namespace nexcage::cli
