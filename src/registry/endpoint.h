// One place that may have an image: what the plan of a pull, push or login is made of. The front
// binary fills it in from the user's files, the helper talks to it. A value; it travels as JSON
// over a descriptor, never in arguments or the environment.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/registry/secret.h"

namespace nexcage::registry {

/// TLS of one endpoint. Empty: the system's certificates, no client certificate.
struct Tls {
  bool verify = true;                 // false also for "insecure" registries of the user's files
  std::vector<std::string> ca_files;  // PEM, trusted besides the system's
  std::string client_cert;            // PEM file
  std::string client_key;             // PEM file; set together with client_cert
  bool operator==(const Tls&) const = default;
};

/// What proves who the user is (containers-auth.json(5)).
struct Credential {
  enum class Kind : std::uint8_t {
    none,
    password,        // username and secret: HTTP basic, or basic at the token server
    identity_token,  // secret: an OAuth 2 refresh token
    registry_token,  // secret: a bearer token, sent as it is
  };
  Kind kind = Kind::none;
  std::string username;
  Secret secret;
  bool operator==(const Credential&) const = default;
};

struct Endpoint {
  /// Which references it may be asked for (`pull-from-mirror` of registries.conf).
  enum class Serves : std::uint8_t { all, digest, tag };

  std::string url;         // "https://host[:port]" or "http://...", no path
  std::string repository;  // "library/busybox", as this endpoint calls it; empty to log in only
  std::string rule;        // where it comes from, for messages: "mirror of docker.io"; may be empty
  Serves serves = Serves::all;
  Tls tls;
  Credential credential;
  bool operator==(const Endpoint&) const = default;

  /// "host[:port]" of the URL.
  std::string_view host() const;
  bool is_https() const;
};

/// {"url","repository","prefix_rule","for","tls":{...},"credential":null|{...}}. The JSON holds the
/// secret: it is for a descriptor of ours only.
json::Value to_json(const Endpoint& endpoint);
/// InvalidJson naming the member: an URL with a path or a user, another scheme, control
/// characters anywhere. Empty credential members count as none.
Result<Endpoint> parse_endpoint(const json::Value& value);

}  // namespace nexcage::registry
