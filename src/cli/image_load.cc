// nexcage image load: every image of an archive, from a file or from standard input.
#include <unistd.h>

#include "nexcage/cli/images.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/image/archive.h"

namespace nexcage::cli {
namespace {

class ImageLoad : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] [FILE]", R"(
Takes in every image of an archive that "image save", docker save, podman save
or skopeo wrote: oci-archive or docker-archive, plain, gzip or zstd. All of them
or, when anything is damaged, none. To choose an image or another name for it
there is "nexcage image import".
)",
            R"(
  nexcage image load -i busybox.tar
  podman save --format oci-archive debian | nexcage image load
)"};
  }

  void declare(Options& options) override {
    options.text("-i,--input", "FILE", input_, "read this file instead of standard input")
        .flag("-q,--quiet", quiet_, "print digests only");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 1, "one file"));
    if (!words.empty() && !input_.empty())
      return fail(Errc::InvalidSpec, "--input and a further file");
    NX_TRY(std::string path, absolute_path(words.empty() ? input_ : words[0]));
    if (input_ == "-" || (!words.empty() && words[0] == "-")) path.clear();
    if (path.empty() && ::isatty(STDIN_FILENO) != 0)
      return fail(Error(Errc::InvalidSpec, "there is no archive on standard input")
                      .hint("give --input FILE"));
    NX_TRY(const runtime::Settings settings, context.settings());
    NX_TRY(const image::Store store, open_images(context));
    NX_TRY(const auto loaded, image::load_images(path, STDIN_FILENO, store, settings.libexec));
    for (const image::LoadedImage& image : loaded) print(text_of(image));
    return 0;
  }

 private:
  /// Podman's words: scripts look for them.
  std::string text_of(const image::LoadedImage& image) const {
    if (quiet_) return image.manifest.str() + "\n";
    if (image.names.empty()) return "Loaded image: " + image.manifest.str() + "\n";
    std::string text;
    for (const oci::Reference& name : image.names) text += "Loaded image: " + name.str() + "\n";
    return text;
  }

  std::string input_;
  bool quiet_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_image_load() { return std::make_unique<ImageLoad>(); }

}  // namespace nexcage::cli
