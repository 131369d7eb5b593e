#include "nexcage/registry/short_name.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::registry {
namespace {

/// The repository, and the tag and digest behind it with their separators.
struct Parts {
  std::string repository, rest;
};
Parts split_name(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  const std::size_t end = name.find_first_of(":@", slash == std::string_view::npos ? 0 : slash);
  if (end == std::string_view::npos) return {std::string(name), ""};
  return {std::string(name.substr(0, end)), std::string(name.substr(end))};
}

const Alias* find_alias(const RegistriesConf& conf, const std::string& repository) {
  const auto found = conf.aliases.find(repository);
  return found == conf.aliases.end() || found->second.name.empty() ? nullptr : &found->second;
}

Result<> add_search(const RegistriesConf& conf, std::string_view name,
                    std::vector<oci::Reference>& out) {
  if (!conf.search) return {};
  for (const std::string& registry : *conf.search) {
    NX_TRY(oci::Reference reference, oci::Reference::parse(registry + "/" + std::string(name)));
    if (std::ranges::find(out, reference) == out.end()) out.push_back(std::move(reference));
  }
  return {};
}

Error unresolved(std::string_view name, const std::string& why) {
  return Error(Errc::ImageNotFound, "short-name " + quote(name) + " " + why)
      .hint("Write the full name, for example docker.io/library/" + std::string(name));
}

}  // namespace

Result<Candidates> pull_candidates(const RegistriesConf& conf, std::string_view name,
                                   const std::string& files) {
  Candidates out;
  NX_TRY(const oci::Reference completed, oci::Reference::parse(name));
  if (oci::names_registry(name)) {
    out.references.push_back(completed);
    return out;
  }
  const Parts parts = split_name(name);
  if (const Alias* alias = find_alias(conf, parts.repository)) {
    NX_TRY(auto reference, oci::Reference::parse(alias->name + parts.rest));
    out.references.push_back(std::move(reference));
    out.why = "Resolved " + quote(parts.repository) + " as an alias (" + alias->origin + ")";
    return out;
  }
  if (files.empty()) {
    out.references.push_back(completed);
    return out;
  }
  if (!conf.search || conf.search->empty())
    return fail(unresolved(name,
                           "did not resolve to an alias and no unqualified-search registries are "
                           "defined in " +
                               quote(conf.search ? conf.search_origin : files)));
  if (conf.search->size() > 1 && conf.short_name_mode == ShortNameMode::enforcing)
    return fail(unresolved(name, "could be of " + join(*conf.search, " or of ") +
                                     ": short-name resolution is enforced (" + files + ")"));
  NX_CHECK(add_search(conf, name, out.references));
  out.why = "Resolving " + quote(parts.repository) + " using unqualified-search registries (" +
            conf.search_origin + ")";
  return out;
}

Result<std::vector<oci::Reference>> local_candidates(const RegistriesConf& conf,
                                                     std::string_view name) {
  std::vector<oci::Reference> out;
  NX_TRY(const oci::Reference completed, oci::Reference::parse(name));
  if (!oci::names_registry(name)) {
    const Parts parts = split_name(name);
    if (const Alias* alias = find_alias(conf, parts.repository)) {
      NX_TRY(auto reference, oci::Reference::parse(alias->name + parts.rest));
      out.push_back(std::move(reference));
    }
  }
  if (std::ranges::find(out, completed) == out.end()) out.push_back(completed);
  if (oci::names_registry(name)) return out;
  NX_TRY(auto local, oci::Reference::parse("localhost/" + std::string(name)));
  out.push_back(std::move(local));
  NX_CHECK(add_search(conf, name, out));
  return out;
}

}  // namespace nexcage::registry
