// registries.conf in TOML, and what short names and references become by it.
#include "nexcage/registry/registries_conf.h"

#include "harness.h"
#include "nexcage/registry/plan.h"

namespace nexcage::fuzz {

NX_HARNESS(registries_conf) {
  const auto conf = registry::parse_registries_conf(text_of(data, size), "f");
  if (!conf) {
    check_message(conf.error());
    return 0;
  }
  registry::Files files;
  files.registries = *conf;
  files.registries_path = "f";
  for (const registry::RegistryRule& rule : conf->rules) {
    check(!rule.prefix.empty(), "a rule has a prefix");
    const auto matched = registry::match_prefix(rule.prefix, rule.prefix);
    check(rule.prefix.starts_with("*.") || matched == rule.prefix.size(),
          "a prefix matches itself");
  }
  for (const char* name : {"a", "a:1", "h.x/a", "h.x:5000/a/b:1", "docker.io/library/a"}) {
    const auto candidates = registry::pull_candidates(*conf, name, "f");
    if (!candidates) {
      check_message(candidates.error());
      continue;
    }
    check(!candidates->references.empty(), "a name that resolves has a candidate");
    for (const oci::Reference& reference : candidates->references) {
      const auto plan = registry::plan_pull(files, reference, registry::Choices());
      if (!plan)
        check_message(plan.error());
      else
        check(!plan->endpoints.empty(), "a plan has an endpoint");
    }
  }
  return 0;
}

}  // namespace nexcage::fuzz
