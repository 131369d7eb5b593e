#include "nexcage/registry/registries_conf.h"

#include <algorithm>
#include <iterator>

namespace nexcage::registry {

void RegistriesConf::merge(RegistriesConf later) {
  for (RegistryRule& rule : later.rules) {
    const auto same = std::ranges::find(rules, rule.prefix, &RegistryRule::prefix);
    if (same != rules.end())
      *same = std::move(rule);
    else
      rules.push_back(std::move(rule));
  }
  if (later.search) {
    search = std::move(later.search);
    search_origin = std::move(later.search_origin);
  }
  if (later.credential_helpers) credential_helpers = std::move(later.credential_helpers);
  if (later.short_name_mode) short_name_mode = later.short_name_mode;
  for (auto& [name, alias] : later.aliases) aliases.insert_or_assign(name, std::move(alias));
  std::ranges::move(later.unknown, std::back_inserter(unknown));
}

std::optional<std::size_t> match_prefix(std::string_view reference, std::string_view prefix) {
  if (prefix.starts_with("*.")) {
    const std::string_view host = reference.substr(0, reference.find_first_of("/:@"));
    const std::string_view domain = prefix.substr(1);
    if (host.size() <= domain.size() || !host.ends_with(domain)) return std::nullopt;
    return host.size();
  }
  if (prefix.empty() || !reference.starts_with(prefix)) return std::nullopt;
  const bool whole = reference.size() == prefix.size();
  if (!whole && std::string_view(":/@").find(reference[prefix.size()]) == std::string_view::npos)
    return std::nullopt;
  return prefix.size();
}

const RegistryRule* find_rule(const RegistriesConf& conf, std::string_view reference) {
  const RegistryRule* best = nullptr;
  for (const RegistryRule& rule : conf.rules) {
    if (!match_prefix(reference, rule.prefix)) continue;
    // A wildcard can be as long as a name: containers/image sorts by prefix, '*' comes first.
    const bool longer = best == nullptr || rule.prefix.size() > best->prefix.size();
    if (longer || (rule.prefix.size() == best->prefix.size() && rule.prefix < best->prefix))
      best = &rule;
  }
  return best;
}

}  // namespace nexcage::registry
