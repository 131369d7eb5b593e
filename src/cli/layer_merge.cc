// nexcage layer merge: images are made ready to be mounted.
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/layers.h"

namespace nexcage::cli {
namespace {

using runtime::MergedImage;
using Merged = std::vector<Result<MergedImage>>;

std::string table_text(const Merged& merged, const std::vector<std::string>& words) {
  Table table({"IMAGE", "DRIVER", "LAYERS", "PREPARED", "RESULT"});
  for (std::size_t i = 0; i < merged.size(); ++i) {
    if (merged[i])
      table.add({words[i], merged[i]->driver, std::to_string(merged[i]->layers),
                 std::to_string(merged[i]->prepared), merged[i]->is_new ? "made" : "ready"});
    else
      table.add({words[i], "", "", "", merged[i].error().message()});
  }
  return table.text();
}

std::string json_text(const Merged& merged, const std::vector<std::string>& words) {
  json::Array array;
  for (std::size_t i = 0; i < merged.size(); ++i) {
    json::Object object;
    object.set("image", words[i]);
    if (merged[i]) {
      object.set("driver", merged[i]->driver);
      object.set("layers", merged[i]->layers);
      object.set("prepared", merged[i]->prepared);
      object.set("made", merged[i]->is_new);
    } else {
      object.set("error", merged[i].error().message());
    }
    array.emplace_back(std::move(object));
  }
  return json::dump(array, json::Style::pretty) + "\n";
}

class LayerMerge : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] IMAGE...", R"(
Makes now what the first container of an image would make: its layers in the
form in which they are mounted. With the LayerFS driver erofs that is one index
over the tars of all layers, so that one mount does whatever their number; with
overlay each layer is unpacked, with copy the whole tree. Several images are done
side by side, and all or none: when one fails, what was made for the others is
removed again.
)",
            R"(
  nexcage layer merge debian:12
  nexcage layer merge web:1 web:2 db:5
)"};
  }

  void declare(Options& options) override {
    options.text("-f,--format", "FORMAT", format_, "table or json");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, words.size() + 1, "an image"));
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(runtime::Services services, context.services());
    NX_TRY(const runtime::Merging merging, runtime::merge_layers(words, services));
    print(format == ListFormat::json ? json_text(merging.images, words)
                                     : table_text(merging.images, words));
    NX_CHECK(merging.result);
    return 0;
  }

 private:
  std::string format_ = "table";
};

}  // namespace

std::unique_ptr<Verb> make_layer_merge() { return std::make_unique<LayerMerge>(); }

}  // namespace nexcage::cli
