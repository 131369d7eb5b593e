// nexcage snapshot list: the snapshots of a container.
#include <utility>

#include "nexcage/base/clock.h"
#include "nexcage/base/text.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/snapshots.h"

namespace nexcage::cli {
namespace {

using storage::SnapshotInfo;

class SnapshotList : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID",
            "Lists the snapshots of a container, oldest first. SIZE is what goes with it alone.\n",
            "\n  nexcage snapshot list web\n"};
  }

  void declare(Options& options) override {
    options.text("-f,--format", "FORMAT", format_, "table or json")
        .flag("-q,--quiet", quiet_, "print names only");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(runtime::Services services, context.services());
    NX_TRY(const auto all, runtime::list_snapshots(words[0], services));
    print(quiet_ ? names(all) : format == ListFormat::json ? array(all) : table(all));
    return 0;
  }

 private:
  static std::string created(const SnapshotInfo& one) {
    return format_rfc3339(WallTime(std::chrono::seconds(one.created)), 0);
  }

  static std::string names(const std::vector<SnapshotInfo>& all) {
    std::string text;
    for (const SnapshotInfo& one : all) text += one.name + "\n";
    return text;
  }

  static std::string table(const std::vector<SnapshotInfo>& all) {
    Table table({"NAME", "CREATED", "SIZE"});
    for (const SnapshotInfo& one : all)
      table.add({one.name, created(one), one.bytes ? format_bytes(*one.bytes) : "-"});
    return table.text();
  }

  static std::string array(const std::vector<SnapshotInfo>& all) {
    json::Array array;
    for (const SnapshotInfo& one : all) {
      json::Object object;
      object.set("name", one.name);
      object.set("created", created(one));
      if (one.bytes) object.set("size", *one.bytes);
      array.emplace_back(std::move(object));
    }
    return json::dump(array, json::Style::pretty) + "\n";
  }

  std::string format_ = "table";
  bool quiet_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_snapshot_list() { return std::make_unique<SnapshotList>(); }

}  // namespace nexcage::cli
