// nexcage image tag: a further name for an image.
#include "nexcage/cli/images.h"
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

class ImageTag : public Verb {
 public:
  Usage usage() const override {
    return {"IMAGE NAME", "Gives an image a further name; another image may lose it.\n", R"(
  nexcage image tag busybox:1.36 example.org/base/busybox:stable
)"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 2, 2, "an image and a name"));
    NX_TRY(const oci::Reference name, oci::Reference::parse(words[1]), "name");
    if (name.tag.empty()) return fail(Errc::InvalidSpec, "name " + words[1] + " has no tag");
    NX_TRY(image::Store store, open_images(context));
    NX_TRY(const image::Image found, store.resolve(words[0]));
    NX_CHECK(store.tag(name, found.entry));
    return 0;
  }
};

}  // namespace

std::unique_ptr<Verb> make_image_tag() { return std::make_unique<ImageTag>(); }

}  // namespace nexcage::cli
