// nexcage pve list: guests of nexcage on the whole cluster, whichever machine made them.
#include "nexcage/base/text.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/pve.h"
#include "nexcage/cli/verb.h"
#include "nexcage/pve/answer.h"
#include "nexcage/pve/settings.h"

namespace nexcage::cli {
namespace {

class PveList : public Verb {
 public:
  Usage usage() const override {
    return {"", R"(
Lists the guests of the cluster that nexcage has made, from this machine or another.
)",
            R"(
  nexcage pve list
)"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    backends::ProxmoxSetup setup;
    NX_TRY(const auto cluster, configured_cluster(context, setup));
    NX_TRY(const json::Value guests,
           cluster.api().call("GET", "/cluster/resources", {{"type", "vm"}}));
    Table table({"VMID", "NAME", "NODE", "STATUS", "TAGS"});
    for (const json::Value& one : guests.if_array() ? *guests.if_array() : json::Array()) {
      const std::string tags = one.text("tags");
      if ((";" + tags + ";").find(";" + std::string(pve::kTag) + ";") == std::string::npos)
        continue;
      const bool is_template = pve::as_bool(one.find("template"));
      table.add({pve::as_text(one.find("vmid")), one.text("name"), one.text("node"),
                 is_template ? "template" : one.text("status"), tags});
    }
    print(table.text());
    return 0;
  }
};

}  // namespace

std::unique_ptr<Verb> make_pve_list() { return std::make_unique<PveList>(); }

}  // namespace nexcage::cli
