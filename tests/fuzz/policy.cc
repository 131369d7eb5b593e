// policy.json, and registries.d in its YAML.
#include "nexcage/registry/policy.h"

#include "harness.h"
#include "nexcage/registry/registries_d.h"

namespace nexcage::fuzz {
namespace {

void check_requirement(const registry::Requirement& requirement) {
  using Kind = registry::Requirement::Kind;
  if (requirement.kind != Kind::sigstore) return;
  check(!requirement.keys.empty() || !requirement.key_paths.empty(),
        "a signature is by one of some keys");
  const auto again =
      registry::parse_signed_identity(registry::to_json(requirement.identity), "again");
  check(again && *again == requirement.identity, "identities travel unchanged");
}

}  // namespace

NX_HARNESS(policy) {
  const std::string_view text = text_of(data, size);
  registry::RegistriesD sections;
  if (const auto added = registry::add_registries_d(text, "f", sections); !added)
    check_message(added.error());
  const auto policy = registry::parse_policy(text, "f");
  if (!policy) {
    check_message(policy.error());
    return 0;
  }
  for (const char* name : {"h.x/a:1", "docker.io/library/b", "localhost:5000/c/d"}) {
    const auto reference = oci::Reference::parse(name);
    const registry::Ruling ruling = registry::find_ruling(*policy, *reference);
    check(!ruling.requirements.empty(), "a policy always requires something");
    for (const registry::Requirement& requirement : ruling.requirements)
      check_requirement(requirement);
    (void)registry::use_attachments(sections, *reference);
  }
  return 0;
}

}  // namespace nexcage::fuzz
