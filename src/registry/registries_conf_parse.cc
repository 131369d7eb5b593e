// Reading registries.conf: the tables of both versions into rules, checked as containers/image
// does.
#include <algorithm>
#include <array>
#include <set>

#include "nexcage/base/text.h"
#include "nexcage/oci/reference.h"
#include "nexcage/registry/registries_conf.h"
#include "nexcage/toml/value.h"

namespace nexcage::registry {
namespace {

using toml::Table;
using toml::Value;

/// Reads the keys of one table and remembers those that nobody asked for.
class Reader {
 public:
  Reader(const Table& table, const std::string& file) : table_(table), file_(file) {}

  std::string origin(const Value& value) const { return file_ + ":" + std::to_string(value.line); }
  std::unexpected<Error> refuse(const Value& value, const std::string& why) const {
    return fail(Errc::ConfigError, origin(value) + ": " + why);
  }
  std::unexpected<Error> refuse_type(std::string_view key, const Value& value,
                                     std::string_view expected) const {
    return refuse(value, std::string(key) + ": expected " + std::string(expected) + ", found " +
                             std::string(value.type));
  }

  const Value* take(std::string_view key) {
    known_.insert(std::string(key));
    return toml::find(table_, key);
  }
  Result<> read(std::string_view key, bool& out) {
    const Value* value = take(key);
    if (value == nullptr) return {};
    if (value->if_bool() == nullptr) return refuse_type(key, *value, "true or false");
    out = *value->if_bool();
    return {};
  }
  Result<> read(std::string_view key, std::string& out) {
    const Value* value = take(key);
    if (value == nullptr) return {};
    if (value->if_string() == nullptr) return refuse_type(key, *value, "a string");
    out = *value->if_string();
    return {};
  }
  Result<> read(std::string_view key, std::optional<std::vector<std::string>>& out) {
    const Value* value = take(key);
    if (value == nullptr) return {};
    const toml::Array* list = value->if_array();
    if (list == nullptr) return refuse_type(key, *value, "an array of strings");
    out.emplace();
    for (const Value& element : *list) {
      if (element.if_string() == nullptr) return refuse_type(key, element, "a string");
      out->push_back(*element.if_string());
    }
    return {};
  }
  /// The tables of an array of tables; none when the key is absent.
  Result<std::vector<const Value*>> tables(std::string_view key) {
    std::vector<const Value*> out;
    const Value* value = take(key);
    if (value == nullptr) return out;
    const toml::Array* list = value->if_array();
    if (list == nullptr) return refuse_type(key, *value, "an array of tables");
    for (const Value& element : *list) {
      if (element.if_table() == nullptr) return refuse_type(key, element, "a table");
      out.push_back(&element);
    }
    return out;
  }
  void add_unknown(std::vector<std::string>& out) const {
    for (const auto& [key, value] : table_)
      if (!known_.contains(key)) out.push_back(origin(value) + ": " + quote(key));
  }

 private:
  const Table& table_;
  const std::string& file_;
  std::set<std::string> known_;
};

/// A location or prefix without slashes at its end; it is no URL.
Result<std::string> location(const Reader& reader, const Value& at, std::string text) {
  while (text.ends_with('/')) text.pop_back();
  if (text.starts_with("http://") || text.starts_with("https://"))
    return reader.refuse(at, "location " + quote(text) + ": URI schemes are not supported");
  if (!is_printable(text) || text.find(' ') != std::string::npos)
    return reader.refuse(at, "location " + quote(text) + " is none");
  return text;
}

Result<Endpoint::Serves> parse_serves(const Reader& reader, const Value& at,
                                      const std::string& word) {
  if (word.empty() || word == "all") return Endpoint::Serves::all;
  if (word == "digest-only") return Endpoint::Serves::digest;
  if (word == "tag-only") return Endpoint::Serves::tag;
  return reader.refuse(
      at, "pull-from-mirror: " + quote(word) + " is none of all, digest-only and tag-only");
}

Result<Mirror> parse_mirror(const Value& value, const std::string& file, RegistriesConf& out) {
  Reader reader(*value.if_table(), file);
  Mirror mirror;
  std::string serves;
  NX_CHECK(reader.read("location", mirror.location));
  NX_CHECK(reader.read("insecure", mirror.insecure));
  NX_CHECK(reader.read("pull-from-mirror", serves));
  reader.add_unknown(out.unknown);
  NX_TRY(mirror.location, location(reader, value, mirror.location));
  if (mirror.location.empty()) return reader.refuse(value, "a mirror needs a location");
  NX_TRY(mirror.serves, parse_serves(reader, value, serves));
  return mirror;
}

Result<> check_prefix(const Reader& reader, const Value& at, RegistryRule& rule) {
  NX_TRY(rule.location, location(reader, at, rule.location));
  NX_TRY(rule.prefix, location(reader, at, rule.prefix));
  if (rule.prefix.empty()) rule.prefix = rule.location;
  if (rule.prefix.empty()) return reader.refuse(at, "a registry needs a location or a prefix");
  const bool wildcard = rule.prefix.starts_with("*.");
  if (rule.location.empty() && !wildcard)
    return reader.refuse(at, "registry " + quote(rule.prefix) +
                                 ": only a prefix like *.example.com needs no location");
  if (rule.prefix.find('*', wildcard ? 1 : 0) != std::string::npos ||
      (wildcard && rule.prefix.find_first_of("/@:") != std::string::npos))
    return reader.refuse(at, "prefix " + quote(rule.prefix) +
                                 ": a wildcard stands in front of a host name and nothing else");
  return {};
}

Result<RegistryRule> parse_rule(const Value& value, const std::string& file, RegistriesConf& out) {
  Reader reader(*value.if_table(), file);
  RegistryRule rule;
  rule.origin = reader.origin(value);
  NX_CHECK(reader.read("prefix", rule.prefix));
  NX_CHECK(reader.read("location", rule.location));
  NX_CHECK(reader.read("insecure", rule.insecure));
  NX_CHECK(reader.read("blocked", rule.blocked));
  NX_CHECK(reader.read("mirror-by-digest-only", rule.mirror_by_digest_only));
  std::string serves;
  NX_CHECK(reader.read("pull-from-mirror", serves));
  NX_TRY(const auto mirrors, reader.tables("mirror"));
  reader.add_unknown(out.unknown);
  NX_CHECK(check_prefix(reader, value, rule));
  if (!serves.empty())
    return reader.refuse(value,
                         "pull-from-mirror is for mirrors, not for registry " + quote(rule.prefix));
  for (const Value* mirror : mirrors) {
    NX_TRY(Mirror parsed, parse_mirror(*mirror, file, out));
    if (rule.mirror_by_digest_only) {
      if (toml::find(*mirror->if_table(), "pull-from-mirror") != nullptr)
        return reader.refuse(*mirror,
                             "pull-from-mirror and the registry's mirror-by-digest-only "
                             "exclude each other");
      parsed.serves = Endpoint::Serves::digest;
    }
    rule.mirrors.push_back(std::move(parsed));
  }
  return rule;
}

/// Rules for the same place must agree on what is safe; of those with one prefix the first counts.
Result<> add_rule(RegistryRule rule, RegistriesConf& out) {
  const auto place = [](const RegistryRule& of) {
    return of.location.empty() ? of.prefix : of.location;
  };
  for (const RegistryRule& other : out.rules) {
    if (place(other) != place(rule)) continue;
    const bool insecure = other.insecure != rule.insecure;
    if (insecure || other.blocked != rule.blocked)
      return fail(Errc::ConfigError, rule.origin + ": registry " + quote(place(rule)) +
                                         " has another '" + (insecure ? "insecure" : "blocked") +
                                         "' at " + other.origin);
  }
  if (std::ranges::find(out.rules, rule.prefix, &RegistryRule::prefix) == out.rules.end())
    out.rules.push_back(std::move(rule));
  return {};
}

Result<> parse_search(const Reader& reader, const Value& at, RegistriesConf& out) {
  for (std::string& host : *out.search) {
    NX_TRY(host, location(reader, at, host));
    const auto reference = oci::Reference::parse(host + "/x");
    const bool is_host = reference && (reference->registry == host || host == "index.docker.io");
    if (!is_host)
      return reader.refuse(at, "unqualified-search-registries: " + quote(host) +
                                   " is no host name with a dot or a port");
  }
  return {};
}

Result<Alias> parse_alias(const Reader& reader, const std::string& name, const Value& value) {
  const auto short_name = oci::Reference::parse(name);
  if (!short_name || oci::names_registry(name) || oci::has_tag_or_digest(name))
    return reader.refuse(
        value, "alias " + quote(name) + ": a short name has no registry, no tag and no digest");
  const std::string* text = value.if_string();
  if (text == nullptr) return reader.refuse_type(quote(name), value, "a string");
  Alias alias{"", reader.origin(value)};
  if (text->empty()) return alias;
  const auto full = oci::Reference::parse(*text);
  if (!full || !oci::names_registry(*text) || oci::has_tag_or_digest(*text))
    return reader.refuse(value, "alias " + quote(name) + ": " + quote(*text) +
                                    " is no REGISTRY/REPOSITORY without tag and digest");
  alias.name = full->name();
  return alias;
}

Result<> parse_aliases(Reader& reader, const std::string& file, RegistriesConf& out) {
  const Value* value = reader.take("aliases");
  if (value == nullptr) return {};
  const Table* table = value->if_table();
  if (table == nullptr) return reader.refuse_type("aliases", *value, "a table");
  const Reader names(*table, file);
  for (const auto& [name, full] : *table) {
    NX_TRY(Alias alias, parse_alias(names, name, full));
    out.aliases.emplace(name, std::move(alias));
  }
  return {};
}

Result<> parse_mode(const Reader& reader, const Value& at, const std::string& word,
                    RegistriesConf& out) {
  if (word.empty()) return {};
  if (word == "permissive")
    out.short_name_mode = ShortNameMode::permissive;
  else if (word == "enforcing")
    out.short_name_mode = ShortNameMode::enforcing;
  else if (word == "disabled")
    out.short_name_mode = ShortNameMode::disabled;
  else
    return reader.refuse(
        at, "short-name-mode: " + quote(word) + " is none of enforcing, permissive and disabled");
  return {};
}

Result<> parse_version_2(Reader& reader, const Table& table, const std::string& file,
                         RegistriesConf& out) {
  NX_TRY(const auto rules, reader.tables("registry"));
  for (const Value* value : rules) {
    NX_TRY(RegistryRule rule, parse_rule(*value, file, out));
    NX_CHECK(add_rule(std::move(rule), out));
  }
  NX_CHECK(reader.read("unqualified-search-registries", out.search));
  if (out.search) {
    out.search_origin = file;
    NX_CHECK(parse_search(reader, *toml::find(table, "unqualified-search-registries"), out));
  }
  NX_CHECK(reader.read("credential-helpers", out.credential_helpers));
  std::string mode;
  NX_CHECK(reader.read("short-name-mode", mode));
  if (const Value* at = toml::find(table, "short-name-mode"))
    NX_CHECK(parse_mode(reader, *at, mode, out));
  return parse_aliases(reader, file, out);
}

/// registries.NAME.registries of version 1.
Result<std::optional<std::vector<std::string>>> read_list(const Table& table, std::string_view name,
                                                          const std::string& file) {
  std::optional<std::vector<std::string>> out;
  const Value* value = toml::find(table, name);
  if (value == nullptr) return out;
  if (value->if_table() == nullptr) return Reader(table, file).refuse_type(name, *value, "a table");
  Reader reader(*value->if_table(), file);
  NX_CHECK(reader.read("registries", out));
  return out;
}

Result<> parse_version_1(const Value& value, const std::string& file, RegistriesConf& out) {
  const Table& table = *value.if_table();
  const Reader reader(table, file);
  NX_TRY(out.search, read_list(table, "search", file));
  NX_TRY(const auto insecure, read_list(table, "insecure", file));
  NX_TRY(const auto blocked, read_list(table, "block", file));
  if (out.search) {
    out.search_origin = file;
    NX_CHECK(parse_search(reader, value, out));
  }
  const auto mark = [&](const std::optional<std::vector<std::string>>& hosts,
                        bool RegistryRule::* flag) -> Result<> {
    if (!hosts) return {};
    for (const std::string& host : *hosts) {
      NX_TRY(const std::string place, location(reader, value, host));
      auto rule = std::ranges::find(out.rules, place, &RegistryRule::prefix);
      if (rule == out.rules.end()) {
        RegistryRule made;
        made.prefix = made.location = place;
        made.origin = reader.origin(value);
        rule = out.rules.insert(out.rules.end(), std::move(made));
      }
      (*rule).*flag = true;
    }
    return {};
  };
  NX_CHECK(mark(blocked, &RegistryRule::blocked));
  return mark(insecure, &RegistryRule::insecure);
}

}  // namespace

Result<RegistriesConf> parse_registries_conf(std::string_view text, const std::string& file,
                                             Version version) {
  NX_TRY(const Table table, toml::parse(text, file));
  RegistriesConf out;
  Reader reader(table, file);
  const Value* old = reader.take("registries");
  NX_CHECK(parse_version_2(reader, table, file, out));
  reader.add_unknown(out.unknown);
  if (old == nullptr) return out;
  if (old->if_table() == nullptr) return reader.refuse_type("registries", *old, "a table");
  if (old->if_table()->empty()) return out;
  const bool mixed = !out.rules.empty() || out.search || out.credential_helpers ||
                     out.short_name_mode || !out.aliases.empty();
  if (mixed) return reader.refuse(*old, "versions 1 and 2 cannot be mixed");
  if (version == Version::only_2) return reader.refuse(*old, "a drop-in file must have version 2");
  NX_CHECK(parse_version_1(*old, file, out));
  return out;
}

}  // namespace nexcage::registry
