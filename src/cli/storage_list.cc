// nexcage storage list: where containers can have their files.
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/storages.h"

namespace nexcage::cli {
namespace {

using runtime::StorageInfo;

class StorageList : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS]", R"(
Lists the storages that the configuration offers and those that containers have,
with their space. A star marks the one that a container gets that asks for none.
)",
            R"(
  nexcage storage list
  nexcage storage list --format json
)"};
  }

  void declare(Options& options) override {
    options.text("-f,--format", "FORMAT", format_, "table or json");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(runtime::Services services, context.services());
    NX_TRY(const auto storages, runtime::list_storages(services));
    print(format == ListFormat::json ? array(storages) : table(storages));
    return 0;
  }

 private:
  static std::string table(const std::vector<StorageInfo>& storages) {
    Table table(
        {"STORAGE", "LOCATION", "TYPE", "SIZE", "AVAILABLE", "HEALTH", "SNAPSHOTS", "CONTAINERS"});
    for (const StorageInfo& one : storages) {
      const std::string health = one.error ? one.error->message() : one.health;
      table.add({one.name + (one.is_default ? " *" : ""), one.location, one.file_system,
                 one.error ? "-" : format_bytes(one.size),
                 one.error ? "-" : format_bytes(one.available), health.empty() ? "-" : health,
                 one.snapshots.empty() ? "-" : one.snapshots, std::to_string(one.containers)});
    }
    return table.text();
  }

  static std::string array(const std::vector<StorageInfo>& storages) {
    json::Array array;
    for (const StorageInfo& one : storages) {
      json::Object object;
      object.set("name", one.name);
      object.set("location", one.location);
      object.set("type", one.file_system);
      object.set("default", one.is_default);
      if (!one.error) {
        object.set("size", one.size);
        object.set("available", one.available);
      }
      if (!one.health.empty()) object.set("health", one.health);
      if (!one.snapshots.empty()) object.set("snapshots", one.snapshots);
      object.set("containers", one.containers);
      if (one.error) object.set("error", one.error->message());
      array.emplace_back(std::move(object));
    }
    return json::dump(array, json::Style::pretty) + "\n";
  }

  std::string format_ = "table";
};

}  // namespace

std::unique_ptr<Verb> make_storage_list() { return std::make_unique<StorageList>(); }

}  // namespace nexcage::cli
