// nexcage pve templates list|prune: what images have become on the cluster.
#include <utility>

#include "nexcage/backends/proxmox/templates.h"
#include "nexcage/base/text.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/pve.h"
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

namespace proxmox = backends::proxmox;

std::string name_of(const proxmox::FoundTemplate& one) {
  return one.vmid != 0 ? "guest " + std::to_string(one.vmid) : one.volume;
}

class PveTemplates : public Verb {
 public:
  Usage usage() const override {
    return {"list|prune", R"(
Lists the archives and template guests that nexcage has made of images on the node,
or removes those that no guest was made from.
)",
            R"(
  nexcage pve templates list
  nexcage pve templates prune
)"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "list or prune"));
    if (words[0] != "list" && words[0] != "prune")
      return fail(Errc::InvalidSpec, "pve templates: expected list or prune");
    backends::ProxmoxSetup setup;
    NX_TRY(const proxmox::Cluster cluster, configured_cluster(context, setup));
    NX_TRY(const auto found, proxmox::list_templates(cluster));
    if (words[0] == "list") {
      print(table(found));
      return 0;
    }
    for (const proxmox::FoundTemplate& one : found) {
      if (one.is_used) continue;
      NX_CHECK(proxmox::remove_template(cluster, one), name_of(one));
      print(name_of(one) + "\n");
    }
    return 0;
  }

 private:
  static std::string table(const std::vector<proxmox::FoundTemplate>& found) {
    Table table({"TEMPLATE", "SIZE", "USED"});
    for (const proxmox::FoundTemplate& one : found)
      table.add({name_of(one), one.bytes == 0 ? "-" : format_bytes(one.bytes),
                 one.is_used ? "yes" : "no"});
    return table.text();
  }
};

}  // namespace

std::unique_ptr<Verb> make_pve_templates() { return std::make_unique<PveTemplates>(); }

}  // namespace nexcage::cli
