// nexcage layer gc: prepared layers that nobody needs go.
#include "nexcage/base/text.h"
#include "nexcage/cli/images.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/layers.h"

namespace nexcage::cli {
namespace {

class LayerGc : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS]", R"(
Removes prepared layers that no image needs and no container uses, and says what
that freed. Images stay as they are.
)",
            R"(
  nexcage layer gc --dry-run
  nexcage layer gc
)"};
  }

  void declare(Options& options) override {
    options.flag("--dry-run", dry_run_, "only say what would go")
        .text("-f,--format", "FORMAT", format_, "table or json");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(runtime::Services services, context.services());
    NX_TRY(const image::Store store, open_images(context));
    NX_TRY(const layerfs::Freed freed, runtime::collect_layers(store, services, dry_run_));
    print(format == ListFormat::json ? object(freed) : lines(freed));
    return 0;
  }

 private:
  std::string lines(const layerfs::Freed& freed) const {
    std::string text;
    for (const std::string& key : freed.keys) text += key + "\n";
    return text + (dry_run_ ? "unused: " : "removed ") + std::to_string(freed.keys.size()) +
           " prepared layers, " + format_bytes(freed.bytes) + "\n";
  }

  std::string object(const layerfs::Freed& freed) const {
    json::Array keys;
    for (const std::string& key : freed.keys) keys.emplace_back(key);
    json::Object object;
    object.set("dry_run", dry_run_);
    object.set("layers", std::move(keys));
    object.set("freed", freed.bytes);
    return json::dump(object, json::Style::pretty) + "\n";
  }

  std::string format_ = "table";
  bool dry_run_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_layer_gc() { return std::make_unique<LayerGc>(); }

}  // namespace nexcage::cli
