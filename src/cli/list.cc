// nexcage list: all containers of this state root.
#include "nexcage/backends/guest_details.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/state_json.h"
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

class List : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS]", R"(
Lists the containers whose state is below --root. A guest of a Proxmox VE cluster has
its node and its VMID in place of a bundle; `nexcage pve list` asks the whole cluster.
)",
            R"(
  nexcage list
  nexcage list --format json
  nexcage delete --force $(nexcage list --quiet)
)"};
  }

  void declare(Options& options) override {
    options.text("-f,--format", "FORMAT", format_, "table or json")
        .flag("-q,--quiet", quiet_, "print ids only");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    NX_TRY(const ListFormat format, parse_list_format(format_));
    NX_TRY(const runtime::Services services, context.services());
    NX_TRY(const std::vector<backends::Record> records, runtime::list(services));
    print(quiet_ ? ids(records) : format == ListFormat::json ? array(records) : table(records));
    return 0;
  }

 private:
  static std::string ids(const std::vector<backends::Record>& records) {
    std::string text;
    for (const backends::Record& record : records) text += record.state.id + "\n";
    return text;
  }

  static std::string array(const std::vector<backends::Record>& records) {
    json::Array array;
    for (const backends::Record& record : records) array.push_back(state_json(record));
    return json::dump(array) + "\n";
  }

  /// Where its files are: a bundle's directory, or the guest as "NODE/VMID".
  static std::string place(const backends::Record& record) {
    const auto vmid = record.details.find(std::string(backends::kVmidDetail));
    const auto node = record.details.find(std::string(backends::kNodeDetail));
    if (vmid == record.details.end() || node == record.details.end()) return record.state.bundle;
    return node->second + "/" + vmid->second;
  }

  static std::string table(const std::vector<backends::Record>& records) {
    Table table({"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"});
    for (const backends::Record& record : records) {
      const oci::State& state = record.state;
      const int pid = state.status == oci::Status::stopped ? 0 : state.pid;
      table.add({state.id, std::to_string(pid), std::string(oci::status_name(state.status)),
                 place(record), record.created, owner_name(record)});
    }
    return table.text();
  }

  std::string format_ = "table";
  bool quiet_ = false;
};

}  // namespace

std::unique_ptr<Verb> make_list() { return std::make_unique<List>(); }

}  // namespace nexcage::cli
