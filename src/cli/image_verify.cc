// nexcage image verify: every blob is hashed again, every layer inflated and hashed.
#include "nexcage/base/text.h"
#include "nexcage/cli/images.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/image/verify.h"

namespace nexcage::cli {
namespace {

class ImageVerify : public Verb {
 public:
  Usage usage() const override {
    return {"IMAGE...", R"(
Reads every blob of an image and compares size, digest and the layers' diff IDs.
Exits with 125 when something is wrong.
)",
            "  nexcage image verify busybox\n"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, words.size() + 1, "an image"));
    NX_TRY(const runtime::Settings settings, context.settings());
    NX_TRY(const image::Store store, open_images(context));
    Table table({"BLOB", "DIGEST", "SIZE", "RESULT"});
    std::optional<Error> first;
    for (const std::string& word : words) {
      NX_TRY(const image::VerifyReport report, image::verify_image(word, store, settings.libexec));
      for (const image::BlobCheck& blob : report.blobs) {
        table.add({blob.what, blob.digest.str(), format_bytes(blob.size),
                   blob.error ? blob.error->message() : "ok"});
        if (!blob.error) continue;
        Error error = Error(*blob.error).wrap("image " + word);
        if (first)
          first = Error(std::move(*first).also(std::move(error)));
        else
          first = std::move(error);
      }
    }
    print(table.text());
    if (first) return fail(*std::move(first));
    return 0;
  }
};

}  // namespace

std::unique_ptr<Verb> make_image_verify() { return std::make_unique<ImageVerify>(); }

}  // namespace nexcage::cli
