// nexcage features: what a backend supports, in the form of the runtime spec's features.md.
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"

namespace nexcage::cli {
namespace {

json::Array array_of(const std::vector<std::string>& words) { return {words.begin(), words.end()}; }

class FeaturesVerb : public Verb {
 public:
  Usage usage() const override {
    return {"", R"(
Prints as JSON what the backend in effect supports: hooks, mount options,
namespaces, capabilities, seccomp, and the fields of config.json that it refuses.
)",
            R"(
  nexcage features
  nexcage --runtime crun features
)"};
  }

  void declare(Options& /*options*/) override {}

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 0, 0, "no argument"));
    NX_TRY(const runtime::Services services, context.services());
    NX_TRY(const std::string fixed, context.backend());
    NX_TRY(const auto backend,
           services.open_backend(fixed.empty() ? services.settings.default_backend : fixed));
    print(json::dump(document(backend->features(), std::string(backend->name())),
                     json::Style::pretty) +
          "\n");
    return 0;
  }

 private:
  static json::Value document(const backends::Features& features, const std::string& name) {
    json::Object seccomp;
    seccomp.set("enabled", !features.seccomp_actions.empty());
    seccomp.set("actions", array_of(features.seccomp_actions));
    seccomp.set("archs", array_of(features.seccomp_archs));
    json::Object cgroup;
    cgroup.set("v1", true);
    cgroup.set("v2", true);
    cgroup.set("systemd", features.systemd_cgroup);
    cgroup.set("systemdUser", features.systemd_user_cgroup);
    json::Object linux_section;
    linux_section.set("namespaces", array_of(features.namespaces));
    linux_section.set("capabilities", array_of(features.capabilities));
    linux_section.set("cgroup", std::move(cgroup));
    linux_section.set("seccomp", std::move(seccomp));

    // Values of annotations are strings.
    const auto yes_no = [](bool value) { return value ? "true" : "false"; };
    json::Object annotations;
    annotations.set("org.nexcage.backend", name);
    annotations.set("org.nexcage.pause", yes_no(features.pause));
    annotations.set("org.nexcage.exec", yes_no(features.exec));
    annotations.set("org.nexcage.terminal", yes_no(features.terminal));
    annotations.set("org.nexcage.update", yes_no(features.update));
    annotations.set("org.nexcage.checkpoint", yes_no(features.checkpoint));
    annotations.set("org.nexcage.network", features.vm_fields.empty() ? "none,host,bridge,ns,cni"
                                                                      : "none,user,bridge,ns,cni");
    if (!features.vm_fields.empty())
      annotations.set("org.nexcage.vm", join(features.vm_fields, ","));
    annotations.set("org.nexcage.unsupported", join(features.unsupported_fields, ","));

    json::Object root;
    root.set("ociVersionMin", "1.0.0");
    root.set("ociVersionMax", "1.3.0");
    root.set("hooks", array_of(features.hooks));
    root.set("mountOptions", array_of(features.mount_options));
    root.set("linux", std::move(linux_section));
    root.set("annotations", std::move(annotations));
    return root;
  }
};

}  // namespace

std::unique_ptr<Verb> make_features() { return std::make_unique<FeaturesVerb>(); }

}  // namespace nexcage::cli
