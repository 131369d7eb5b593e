#include "nexcage/registry/plan.h"

#include <algorithm>
#include <string_view>

#include "nexcage/base/text.h"
#include "nexcage/registry/registries_d.h"

namespace nexcage::registry {
namespace {

constexpr std::string_view kDockerHub = "docker.io";
constexpr std::string_view kDockerHubHost = "registry-1.docker.io";

/// One server to be asked, under the name that the image has there.
struct Place {
  oci::Reference reference;
  bool insecure = false;
  Endpoint::Serves serves = Endpoint::Serves::all;
  std::string rule;
};

/// By digest when there is one, else by tag: a tag beside a digest says nothing more.
oci::Reference asked(oci::Reference reference) {
  if (reference.digest) reference.tag.clear();
  return reference;
}

/// The reference with the rule's prefix replaced by the location.
Result<oci::Reference> rewrite(const RegistryRule& rule, const std::string& location,
                               const oci::Reference& reference) {
  if (location.empty()) return reference;
  const std::string text = reference.str();
  const std::size_t matched = match_prefix(text, rule.prefix).value_or(0);
  const std::string rewritten = location + text.substr(matched);
  auto out = oci::Reference::parse(rewritten);
  if (!out || !oci::names_registry(rewritten) || !oci::has_tag_or_digest(rewritten))
    return fail(Errc::ConfigError, rule.origin + ": location " + quote(location) + " makes " +
                                       quote(rewritten) + " of " + text +
                                       ", which names no image of a registry");
  return out;
}

bool serves(Endpoint::Serves what, const oci::Reference& reference) {
  switch (what) {
    case Endpoint::Serves::digest:
      return reference.digest.has_value();
    case Endpoint::Serves::tag:
      return !reference.digest.has_value();
    case Endpoint::Serves::all:
      break;
  }
  return true;
}

Error blocked(const RegistryRule& rule) {
  return Error(Errc::PermissionDenied,
               "registry " + quote(rule.prefix) + " is blocked in " + rule.origin);
}

/// Mirrors that serve this reference, then the location itself.
Result<std::vector<Place>> find_places(const RegistriesConf& conf,
                                       const oci::Reference& reference) {
  const RegistryRule* rule = find_rule(conf, reference.str());
  std::vector<Place> out;
  if (rule == nullptr) {
    out.push_back({reference, false, Endpoint::Serves::all, ""});
    return out;
  }
  if (rule->blocked) return fail(blocked(*rule));
  for (const Mirror& mirror : rule->mirrors) {
    if (!serves(mirror.serves, reference)) continue;
    NX_TRY(oci::Reference there, rewrite(*rule, mirror.location, reference));
    out.push_back({std::move(there), mirror.insecure, mirror.serves,
                   "mirror of " + rule->prefix + " (" + rule->origin + ")"});
  }
  NX_TRY(oci::Reference there, rewrite(*rule, rule->location, reference));
  const std::string why =
      there == reference ? "" : "location of " + rule->prefix + " (" + rule->origin + ")";
  out.push_back({std::move(there), rule->insecure, Endpoint::Serves::all, why});
  // A place may itself be of a blocked registry; a mirror that is falls away.
  std::erase_if(out, [&](const Place& place) {
    const RegistryRule* other = find_rule(conf, place.reference.str());
    return &place != &out.back() && other != nullptr && other->blocked;
  });
  if (const RegistryRule* last = find_rule(conf, out.back().reference.str()))
    if (last->blocked) return fail(blocked(*last));
  return out;
}

std::string host_of(const std::string& registry) {
  return std::string(registry == kDockerHub ? kDockerHubHost : registry);
}

/// What the command line says beats the files; a credential of the command line is for the registry
/// that the user named, not for its mirrors.
Result<std::vector<CredentialSource>> credentials_for(const Files& files, const Choices& choices,
                                                      const std::string& registry,
                                                      const std::string& repository,
                                                      const std::string& named) {
  std::vector<CredentialSource> out;
  if (choices.credential) {
    if (registry == named) out.emplace_back(FoundCredential{*choices.credential, "command line"});
    return out;
  }
  const std::vector<std::string> helpers =
      files.registries.credential_helpers.value_or(std::vector<std::string>());
  return find_credentials(files.auth, helpers, registry, repository);
}

/// The endpoints of one place: https, and for an insecure one http after it.
Result<> add_endpoints(const Files& files, const Choices& choices, const Place& place,
                       const std::string& named, std::vector<PlannedEndpoint>& out) {
  const std::string& registry = place.reference.registry;
  const bool insecure = choices.tls_verify ? !*choices.tls_verify : place.insecure;
  PlannedEndpoint planned;
  NX_TRY(planned.credentials,
         credentials_for(files, choices, registry, place.reference.repository, named));
  planned.endpoint.repository = place.reference.repository;
  planned.endpoint.rule = place.rule;
  planned.endpoint.serves = place.serves;
  planned.endpoint.url = "https://" + host_of(registry);
  NX_TRY(planned.endpoint.tls, find_tls(files.certs, registry));
  planned.endpoint.tls.verify = !insecure;
  out.push_back(planned);
  if (!insecure) return {};
  planned.endpoint.url = "http://" + host_of(registry);
  planned.endpoint.tls = Tls();
  out.push_back(std::move(planned));
  return {};
}

/// Signatures are looked for only where registries.d says that there are some.
Result<> check_attachments(const Files& files, const Plan& plan) {
  RegistriesD config;
  for (const TextFile& file : files.registries_d)
    NX_CHECK(add_registries_d(file.text, file.path, config));
  if (use_attachments(config, plan.reference)) return {};
  return fail(Error(Errc::PermissionDenied, plan.reference.str() + ": a signature is required (" +
                                                plan.rule + ") and none is looked for")
                  .hint("Set use-sigstore-attachments: true for " + plan.reference.registry +
                        " in a file of /etc/containers/registries.d."));
}

/// All requirements of the rule: what can be decided now is, the others are kept.
Result<> apply_policy(const Files& files, Plan& plan) {
  const Ruling ruling = find_ruling(files.policy, plan.reference);
  plan.rule = ruling.rule;
  for (const Requirement& requirement : ruling.requirements) {
    switch (requirement.kind) {
      case Requirement::Kind::accept:
        break;
      case Requirement::Kind::reject:
        return fail(Errc::PermissionDenied,
                    plan.reference.str() + " is rejected by the rule " + ruling.rule);
      case Requirement::Kind::unsupported:
        return fail(Errc::Unsupported, plan.reference.str() + ": the rule " + ruling.rule +
                                           " asks for " + requirement.type + ": " +
                                           requirement.unsupported);
      case Requirement::Kind::sigstore:
        plan.requirements.push_back(requirement);
        break;
    }
  }
  return plan.requirements.empty() ? Result<>() : check_attachments(files, plan);
}

/// The settings of a registry that is used as it is: those of its rule, without mirrors.
Place direct_place(const RegistriesConf& conf, const oci::Reference& reference) {
  const RegistryRule* rule = find_rule(conf, reference.str());
  return {reference, rule != nullptr && rule->insecure, Endpoint::Serves::all, ""};
}

}  // namespace

Result<Plan> plan_pull(const Files& files, const oci::Reference& reference,
                       const Choices& choices) {
  Plan plan;
  plan.reference = asked(reference);
  NX_CHECK(apply_policy(files, plan));
  NX_TRY(const std::vector<Place> places, find_places(files.registries, plan.reference));
  for (const Place& place : places)
    NX_CHECK(add_endpoints(files, choices, place, reference.registry, plan.endpoints));
  plan.reference = reference;
  return plan;
}

Result<Plan> plan_push(const Files& files, const oci::Reference& reference,
                       const Choices& choices) {
  Plan plan;
  plan.reference = reference;
  const RegistryRule* rule = find_rule(files.registries, reference.str());
  if (rule != nullptr && rule->blocked) return fail(blocked(*rule));
  NX_CHECK(add_endpoints(files, choices, direct_place(files.registries, reference),
                         reference.registry, plan.endpoints));
  return plan;
}

Result<std::vector<PlannedEndpoint>> plan_login(const Files& files, const std::string& key,
                                                const Choices& choices) {
  const bool whole_registry = key.find('/') == std::string::npos;
  NX_TRY(const oci::Reference reference, oci::Reference::parse(whole_registry ? key + "/x" : key));
  std::vector<PlannedEndpoint> out;
  NX_CHECK(add_endpoints(files, choices, direct_place(files.registries, reference),
                         reference.registry, out));
  for (PlannedEndpoint& planned : out) {
    planned.credentials.clear();
    if (whole_registry) planned.endpoint.repository.clear();
  }
  return out;
}

}  // namespace nexcage::registry
