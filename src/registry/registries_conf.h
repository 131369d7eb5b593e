// registries.conf: which servers an image may be fetched from (containers-registries.conf(5),
// version 2, and version 1 as it is converted there). Text to values; no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/registry/endpoint.h"

namespace nexcage::registry {

/// [[registry.mirror]]
struct Mirror {
  std::string location;  // host[:port][/path]
  bool insecure = false;
  Endpoint::Serves serves = Endpoint::Serves::all;  // pull-from-mirror
};

/// [[registry]]: how images whose names begin with the prefix are fetched.
struct RegistryRule {
  std::string prefix;    // host[:port][/path...][:tag|@digest], or *.host
  std::string location;  // takes the prefix's place; empty (with *. only): nothing is replaced
  bool insecure = false;
  bool blocked = false;
  bool mirror_by_digest_only = false;
  std::vector<Mirror> mirrors;
  std::string origin;  // "FILE:LINE"
};

/// A short name's full name.
struct Alias {
  std::string name;    // registry/repository; empty: the alias is called off
  std::string origin;  // "FILE:LINE"
};

enum class ShortNameMode : std::uint8_t { permissive, enforcing, disabled };

/// One file, or several merged. What is not set leaves an earlier file's value as it is.
struct RegistriesConf {
  std::vector<RegistryRule> rules;                 // one for each prefix
  std::optional<std::vector<std::string>> search;  // unqualified-search-registries
  std::string search_origin;                       // the file that sets it
  std::optional<std::vector<std::string>> credential_helpers;
  std::optional<ShortNameMode> short_name_mode;
  std::map<std::string, Alias> aliases;
  std::vector<std::string> unknown;  // "FILE:LINE: key": left alone, as other tools do

  /// Takes over what the later file sets; rules and aliases of the same name are replaced.
  void merge(RegistriesConf later);
};

enum class Version : std::uint8_t { any, only_2 };
/// Parses one file. ConfigError with file and line for bad syntax, types, prefixes, locations,
/// modes and aliases, for both versions in one file, and for version 1 where only 2 is allowed
/// (drop-in files).
Result<RegistriesConf> parse_registries_conf(std::string_view text, const std::string& file,
                                             Version version = Version::any);

/// How much of the reference the prefix matches, in bytes; nullopt when it does not. A prefix ends
/// where a component, the port, the tag or the digest begins.
std::optional<std::size_t> match_prefix(std::string_view reference, std::string_view prefix);

/// The rule with the longest prefix that matches; nullptr when there is none.
const RegistryRule* find_rule(const RegistriesConf& conf, std::string_view reference);

}  // namespace nexcage::registry
