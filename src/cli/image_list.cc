// nexcage image list: the images of the store.
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/cli/images.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"

namespace nexcage::cli {
namespace {

using Listed = image::Store::Listed;

constexpr std::size_t kShortId = 12;

class ImageList : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS]", "Lists the images of the store, also those that do not validate.\n", R"(
  nexcage image list
  nexcage image list --format json
)"};
  }

  void declare(Options& options) override {
    options.text("-f,--format", "FORMAT", format_, "table or json")
        .flag("-q,--quiet", quiet_, "print image ids only");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(const image::Store store, open_images(context));
    NX_TRY(const std::vector<Listed> images, store.list());
    print(quiet_ ? ids(images) : format == ListFormat::json ? array(images) : table(images));
    return 0;
  }

 private:
  /// The config's digest names the image, as for Docker and Podman.
  static std::string id_of(const Listed& listed) {
    return listed.image ? std::string(listed.image->manifest.config.digest.hex()) : "";
  }

  static std::string ids(const std::vector<Listed>& images) {
    std::string text;
    for (const Listed& listed : images)
      if (listed.image) text += id_of(listed).substr(0, kShortId) + "\n";
    return text;
  }

  static std::string table(const std::vector<Listed>& images) {
    Table table({"NAME", "IMAGE ID", "DIGEST", "CREATED", "SIZE"});
    for (const Listed& listed : images) {
      const std::string digest(listed.manifest.digest.hex().substr(0, kShortId));
      const std::string created = listed.image ? listed.image->config.created : "";
      const std::string size = listed.image
                                   ? format_bytes(listed.image->total_size())
                                   : "invalid: " + (listed.error ? listed.error->message() : "");
      if (listed.names.empty())
        table.add({"<none>", id_of(listed).substr(0, kShortId), digest, created, size});
      for (const oci::Reference& name : listed.names)
        table.add({name.str(), id_of(listed).substr(0, kShortId), digest, created, size});
    }
    return table.text();
  }

  static std::string array(const std::vector<Listed>& images) {
    json::Array array;
    for (const Listed& listed : images) {
      json::Array names;
      for (const oci::Reference& name : listed.names) names.emplace_back(name.str());
      json::Object object;
      object.set("names", std::move(names));
      object.set("digest", listed.manifest.digest.str());
      if (listed.image) {
        object.set("id", listed.image->manifest.config.digest.str());
        object.set("created", listed.image->config.created);
        object.set("size", listed.image->total_size());
        object.set("layers", static_cast<std::uint64_t>(listed.image->layers.size()));
      }
      if (listed.error) object.set("error", listed.error->message());
      array.emplace_back(std::move(object));
    }
    return json::dump(array, json::Style::pretty) + "\n";
  }

  std::string format_ = "table";
  bool quiet_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_image_list() { return std::make_unique<ImageList>(); }

}  // namespace nexcage::cli
