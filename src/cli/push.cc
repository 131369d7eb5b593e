// nexcage push: an image of the store into a registry.
#include "nexcage/registry/push.h"

#include "nexcage/base/text.h"
#include "nexcage/cli/images.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/registry_args.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/pull.h"

namespace nexcage::cli {
namespace {

class Push : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] IMAGE [DESTINATION]", R"(
Pushes an image to the registry of its name, or to another name, byte for byte:
its digest stays. Blobs that the registry has are not sent; those of another
repository there are mounted. The digest is printed.
)",
            R"(
  nexcage push registry.example.org/team/web:1
  nexcage push --tls-verify=false busybox localhost:5000/busybox:test
)"};
  }

  void declare(Options& options) override {
    registry_.declare(options);
    progress_.declare(options);
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 2, "an image and a destination"));
    NX_TRY(auto output, progress_.open());
    NX_TRY(const registry::Choices choices, registry_.choices());
    NX_TRY(const runtime::Settings settings, context.settings());
    NX_TRY(const image::Store store, open_images(context));
    NX_TRY(const image::Image image, store.resolve(words[0]));
    NX_TRY(const oci::Reference destination, this->destination(image, words));
    NX_TRY(const registry::Pushed pushed,
           registry::push_image(image, destination, choices, runtime::transfer_place(settings),
                                watch(*output)));
    output->finish(pushed);
    print(pushed.digest.str() + "\n");
    return 0;
  }

 private:
  static Result<oci::Reference> destination(const image::Image& image,
                                            const std::vector<std::string>& words) {
    NX_TRY(oci::Reference name, oci::Reference::parse(words.back()), "destination");
    // A short name may have been found under another registry than the usual one.
    if (words.size() == 1)
      for (const oci::Reference& own : image.names)
        if (own.repository == name.repository && own.tag == name.tag) return own;
    if (words.size() == 1 && oci::Digest::parse(words[0]))
      return fail(Error(Errc::InvalidSpec, quote(words[0]) + " says no registry")
                      .hint("give a destination"));
    return name;
  }

  RegistryArgs registry_;
  ProgressArgs progress_;
};

}  // namespace

std::unique_ptr<Verb> make_push() { return std::make_unique<Push>(); }

}  // namespace nexcage::cli
