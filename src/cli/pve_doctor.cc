// nexcage pve doctor: can guests be made on the cluster, and what is missing.
#include "nexcage/backends/proxmox/doctor.h"
#include "nexcage/base/text.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/pve.h"
#include "nexcage/cli/verb.h"

namespace nexcage::cli {
namespace {

namespace proxmox = backends::proxmox;

class PveDoctor : public Verb {
 public:
  Usage usage() const override {
    return {"", R"(
Connects to the Proxmox VE cluster of the configuration and says which release and
node answered, what each storage can do, which privileges the token has and which
it lacks, with the commands that give them. Exits with 1 when something is missing.
)",
            R"(
  nexcage pve doctor
)"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    backends::ProxmoxSetup setup;
    NX_TRY(const proxmox::Cluster cluster, configured_cluster(context, setup));
    NX_TRY(const proxmox::Diagnosis found, proxmox::diagnose(cluster));
    print(report(found, setup));
    return found.is_well() ? 0 : 1;
  }

 private:
  static std::string report(const proxmox::Diagnosis& found, const backends::ProxmoxSetup& setup) {
    std::string text = "connection  " + found.place + "\nversion     Proxmox VE " + found.version +
                       "\nnode        " + found.node + "\n\n";
    Table storages({"STORAGE", "TYPE", "SHARED", "CLONES", "CONTENT", "AVAILABLE", "USED FOR"});
    for (const proxmox::StorageInfo& one : found.storages) {
      std::string role = one.name == found.root_storage ? "guests" : "";
      if (one.name == found.template_storage) role += role.empty() ? "templates" : ", templates";
      storages.add({one.name, one.type, one.shared ? "yes" : "no", one.can_clone() ? "yes" : "no",
                    join(one.content, ","), format_bytes(one.available),
                    role.empty() ? "-" : role});
    }
    text += storages.text() + "\n";
    text += privileges(found.needs);
    for (const std::string& problem : found.problems) text += "problem: " + problem + "\n";
    const std::string who = setup.user.empty() ? "USER@REALM!TOKEN" : setup.user;
    const auto commands = found.repair(who);
    if (!commands.empty()) text += "\nAs root on a node:\n";
    for (const std::string& command : commands) text += "  " + command + "\n";
    return text + machines(found);
  }

  static std::string privileges(const std::vector<proxmox::Need>& needs) {
    if (needs.empty()) return {};
    Table table({"PATH", "MISSING PRIVILEGES", "PRESENT PRIVILEGES"});
    for (const proxmox::Need& need : needs)
      table.add({need.path, need.missing.empty() ? "none" : join(need.missing, " "),
                 need.present.empty() ? "none" : join(need.present, " ")});
    return table.text();
  }

  /// What --runtime proxmox-vm needs beside.
  static std::string machines(const proxmox::Diagnosis& found) {
    const auto named = [](const std::string& storage, const char* content) {
      return storage.empty() ? "none takes content " + std::string(content) : storage;
    };
    std::string text = "\nVirtual machines (proxmox-vm) also need:\nstorage for imports  " +
                       named(found.import_storage, "import") + "\nstorage for disks    " +
                       named(found.disk_storage, "images") + "\n" + privileges(found.machine_needs);
    std::vector<std::string> missing;
    for (const proxmox::Need& need : found.machine_needs)
      missing.insert(missing.end(), need.missing.begin(), need.missing.end());
    if (missing.empty()) return text;
    return text + "  pveum role modify Nexcage --append 1 --privs \"" + join(missing, " ") + "\"\n";
  }
};

}  // namespace

std::unique_ptr<Verb> make_pve_doctor() { return std::make_unique<PveDoctor>(); }

}  // namespace nexcage::cli
