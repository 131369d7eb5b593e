// nexcage image inspect: an image's documents, as they are in the store.
#include <utility>

#include "nexcage/cli/images.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/fs.h"

namespace nexcage::cli {
namespace {

class ImageInspect : public Verb {
 public:
  Usage usage() const override {
    return {"IMAGE...", R"(
Prints a JSON array: names, digests, sizes, manifest and configuration of each
image. An image is a name, a digest, or the beginning of an image id.
)",
            "  nexcage image inspect busybox\n"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, words.size() + 1, "an image"));
    NX_TRY(const image::Store store, open_images(context));
    json::Array documents;
    for (const std::string& word : words) {
      NX_TRY(const image::Image found, store.resolve(word));
      NX_TRY(json::Value document, inspect(found, store));
      documents.push_back(std::move(document));
    }
    print(json::dump(documents, json::Style::pretty) + "\n");
    return 0;
  }

 private:
  static Result<json::Value> inspect(const image::Image& image, const image::Store& store) {
    NX_TRY(const UniqueFd blob, store.open_blob(image.manifest_descriptor));
    NX_TRY(const std::string text, sys::read_all(blob.get()));
    NX_TRY(json::Value manifest, json::parse(text), "parse the manifest");

    json::Array names;
    for (const oci::Reference& name : image.names) names.emplace_back(name.str());
    json::Array layers;
    for (const image::LayerBlob& layer : image.layers) {
      json::Object entry;
      entry.set("digest", layer.blob.digest.str());
      entry.set("diffId", layer.diff_id.str());
      entry.set("mediaType", layer.blob.media_type);
      entry.set("size", layer.blob.size);
      layers.emplace_back(std::move(entry));
    }
    json::Object object;
    object.set("names", std::move(names));
    object.set("digest", image.manifest_descriptor.digest.str());
    object.set("id", image.manifest.config.digest.str());
    object.set("size", image.total_size());
    object.set("layers", std::move(layers));
    object.set("manifest", std::move(manifest));
    object.set("config", image.config.document);
    return object;
  }
};

}  // namespace

std::unique_ptr<Verb> make_image_inspect() { return std::make_unique<ImageInspect>(); }

}  // namespace nexcage::cli
