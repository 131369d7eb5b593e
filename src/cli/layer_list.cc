// nexcage layer list: everything that is prepared of images.
#include "nexcage/base/text.h"
#include "nexcage/cli/layers.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/layers.h"

namespace nexcage::cli {
namespace {

using layerfs::Inventory;
using layerfs::LayerHandle;

class LayerList : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS]", R"(
Lists what is prepared of images: inflated layers (tar), file system images of
one layer (index) or of a stack (merged, full), unpacked layers (tree). NEEDED
says whether an image needs it, MOUNTS how many mounts use it.
)",
            R"(
  nexcage layer list
  nexcage layer list --format json
)"};
  }

  void declare(Options& options) override {
    options.text("-f,--format", "FORMAT", format_, "table or json")
        .flag("-q,--quiet", quiet_, "print keys only");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(runtime::Services services, context.services());
    NX_TRY(const Inventory inventory, runtime::take_inventory(services));
    print(quiet_                       ? keys(inventory)
          : format == ListFormat::json ? array(inventory)
                                       : table(inventory));
    return 0;
  }

 private:
  static std::string keys(const Inventory& inventory) {
    std::string text;
    inventory.things().each(
        [&](LayerHandle thing) { text += inventory.things().key(thing) + "\n"; });
    return text;
  }

  static std::string table(const Inventory& inventory) {
    Table table({"KEY", "DRIVER", "KIND", "LAYERS", "SIZE", "ENTRIES", "MOUNTS", "NEEDED"});
    inventory.things().each([&](LayerHandle thing) {
      const auto& record = inventory.things().at(thing);
      table.add({short_key(inventory.things().key(thing)), inventory.driver(thing),
                 std::string(kind_name(record.kind)), std::to_string(record.layers),
                 format_bytes(record.bytes), std::to_string(record.entries),
                 std::to_string(record.references), inventory.is_needed(thing) ? "yes" : "no"});
    });
    return table.text();
  }

  static std::string array(const Inventory& inventory) {
    json::Array array;
    inventory.things().each([&](LayerHandle thing) {
      const auto& record = inventory.things().at(thing);
      json::Object object;
      object.set("key", inventory.things().key(thing));
      object.set("driver", inventory.driver(thing));
      object.set("kind", kind_name(record.kind));
      const auto set_digest = [&](std::string_view name, const layerfs::BinaryDigest& digest) {
        if (!digest.is_none()) object.set(std::string(name), inventory.text(digest));
      };
      set_digest("diff_id", record.diff_id);
      set_digest("chain_id", record.chain_id);
      set_digest("parent", record.parent);
      object.set("layers", std::uint64_t{record.layers});
      object.set("bytes", record.bytes);
      object.set("entries", record.entries);
      object.set("mounts", std::uint64_t{record.references});
      object.set("needed", inventory.is_needed(thing));
      if (const std::string flaw = inventory.flaw(thing); !flaw.empty()) object.set("flaw", flaw);
      array.emplace_back(std::move(object));
    });
    return json::dump(array, json::Style::pretty) + "\n";
  }

  std::string format_ = "table";
  bool quiet_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_layer_list() { return std::make_unique<LayerList>(); }

}  // namespace nexcage::cli
