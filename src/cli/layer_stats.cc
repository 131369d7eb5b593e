// nexcage layer stats: what is prepared of images, summed up.
#include "nexcage/base/text.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/layers.h"

namespace nexcage::cli {
namespace {

using Stats = layerfs::Inventory::Stats;
using Total = layerfs::Inventory::Total;

std::string table_text(const Stats& stats) {
  Table table({"DRIVER", "KIND", "COUNT", "SIZE", "ENTRIES", "MOUNTS", "UNUSED"});
  const auto unused = [](const Total& total) {
    return total.count == 0 ? std::string("-")
                            : std::to_string(total.count) + ", " + format_bytes(total.bytes);
  };
  std::uint64_t mounts = 0;
  for (const Stats::Row& row : stats.rows) {
    mounts += row.references;
    table.add({row.driver, std::string(kind_name(row.kind)), std::to_string(row.all.count),
               format_bytes(row.all.bytes), std::to_string(row.all.entries),
               std::to_string(row.references), unused(row.unused)});
  }
  table.add({"all", "", std::to_string(stats.all.count), format_bytes(stats.all.bytes),
             std::to_string(stats.all.entries), std::to_string(mounts), unused(stats.unused)});
  std::string text =
      table.text() + "\n" + std::to_string(stats.images) + " images, " +
      std::to_string(stats.layers) + " layers, " + std::to_string(stats.shared_layers) +
      " of them in several images; the highest stack has " + std::to_string(stats.deepest) + "\n";
  if (stats.flawed > 0)
    text += std::to_string(stats.flawed) + " are flawed: nexcage layer verify says how\n";
  return text;
}

json::Object to_json(const Total& total) {
  json::Object object;
  object.set("count", total.count);
  object.set("bytes", total.bytes);
  object.set("entries", total.entries);
  return object;
}

std::string json_text(const Stats& stats, const layerfs::CacheStats& records) {
  json::Array rows;
  for (const Stats::Row& row : stats.rows) {
    json::Object object = to_json(row.all);
    object.set("driver", row.driver);
    object.set("kind", kind_name(row.kind));
    object.set("mounts", row.references);
    object.set("unused", to_json(row.unused));
    rows.emplace_back(std::move(object));
  }
  json::Object object;
  object.set("prepared", std::move(rows));
  object.set("all", to_json(stats.all));
  object.set("unused", to_json(stats.unused));
  object.set("images", stats.images);
  object.set("layers", stats.layers);
  object.set("shared_layers", stats.shared_layers);
  object.set("highest_stack", stats.deepest);
  object.set("flawed", stats.flawed);
  object.set("memory", std::uint64_t{stats.memory});
  json::Object cache;
  cache.set("hits", records.hits);
  cache.set("misses", records.misses);
  cache.set("evictions", records.evictions);
  cache.set("size", std::uint64_t{records.size});
  cache.set("capacity", std::uint64_t{records.capacity});
  object.set("records", std::move(cache));
  return json::dump(object, json::Style::pretty) + "\n";
}

class LayerStats : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS]", R"(
Sums up what is prepared of images, by driver and kind: how many, bytes, files,
mounts that use it, and what no image needs and no mount uses.
)",
            R"(
  nexcage layer stats
  nexcage layer stats --format json
)"};
  }

  void declare(Options& options) override {
    options.text("-f,--format", "FORMAT", format_, "table or json");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(runtime::Services services, context.services());
    NX_TRY(const layerfs::Inventory inventory, runtime::take_inventory(services));
    const Stats stats = inventory.stats();
    print(format == ListFormat::json ? json_text(stats, services.records->stats())
                                     : table_text(stats));
    return 0;
  }

 private:
  std::string format_ = "table";
};

}  // namespace

std::unique_ptr<Verb> make_layer_stats() { return std::make_unique<LayerStats>(); }

}  // namespace nexcage::cli
