// The little of URLs (RFC 3986) that talking to registries needs. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::registry::client {

/// "https", "host:port" and "/path?query" of an absolute http or https URL.
struct Url {
  std::string scheme;     // lower case
  std::string authority;  // lower case, without the scheme's default port
  std::string target;     // at least "/"
  std::string str() const { return scheme + "://" + authority + target; }
  /// Without the query, which may hold a signature: for messages.
  std::string shown() const;
  bool same_server(const Url& other) const {
    return scheme == other.scheme && authority == other.authority;
  }
};

/// RegistryError for another scheme, a user name before the host, an empty host, or characters that
/// no URL holds.
Result<Url> parse_url(std::string_view text);
/// What a Location header means, seen from `base`. Errors as parse_url().
Result<Url> resolve(const Url& base, std::string_view location);

/// Everything but letters, digits and "-._~" as %XX.
std::string percent_encode(std::string_view text);
/// `url` with "name=value" added to its query.
std::string add_query(std::string url, std::string_view name, std::string_view value);

}  // namespace nexcage::registry::client
