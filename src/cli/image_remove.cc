// nexcage image remove: a name goes; with the last one the image and what only it needed.
#include "nexcage/base/text.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/images.h"

namespace nexcage::cli {
namespace {

class ImageRemove : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] IMAGE...", R"(
Takes a name away. With the last name, or given a digest or an image id, the
image is removed with the blobs and prepared layers that no other image needs.
)",
            R"(
  nexcage image remove busybox:1.36
  nexcage image remove 8ab1c03f2d11
)"};
  }

  void declare(Options& options) override {
    options.flag("-f,--force", force_, "even when a container uses the image");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, words.size() + 1, "an image"));
    NX_TRY(runtime::Services services, context.services());
    const runtime::InUse in_use = force_ ? runtime::InUse::ignore : runtime::InUse::refuse;
    for (const std::string& word : words) {
      NX_TRY(const runtime::RemovedImage removed, runtime::remove_image(word, in_use, services));
      std::string text;
      for (const oci::Reference& name : removed.from_store.names)
        text += "removed name " + name.str() + "\n";
      for (const oci::Digest& blob : removed.from_store.blobs)
        text += "removed " + blob.str() + "\n";
      const std::uint64_t freed = removed.from_store.freed + removed.layers.bytes;
      if (freed > 0) text += "freed " + format_bytes(freed) + "\n";
      print(text);
    }
    return 0;
  }

 private:
  bool force_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_image_remove() { return std::make_unique<ImageRemove>(); }

}  // namespace nexcage::cli
