// Files that hold what users logged in with: containers-auth.json(5), Docker's config.json, and its
// older .dockercfg. Text to values, and the change that a login or logout makes; no I/O.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/registry/endpoint.h"

namespace nexcage::registry {

enum class AuthFormat : std::uint8_t {
  current,  // {"auths": {KEY: {...}}, "credHelpers": {...}, "credsStore": "..."}
  legacy,   // .dockercfg: {KEY: {...}}
};

/// One file. The entries are decoded when they are asked for: a broken one harms nobody else's
/// pull.
struct AuthFile {
  struct Entry {
    std::string key;  // a registry, a repository or one above it; also URLs, as Docker wrote them
    Secret auth;      // base64 of user:password
    std::string username;
    Secret password;
    Secret identity_token;
    Secret registry_token;
  };
  std::string path;
  AuthFormat format = AuthFormat::current;
  std::vector<Entry> entries;
  std::map<std::string, std::string> helpers;  // credHelpers: registry -> name of the helper
  std::string store;                           // credsStore: the helper of all other registries
};

/// ConfigError with the path for bad JSON and wrong types, naming members but no value. Unknown
/// members are not looked at.
Result<AuthFile> parse_auth_file(std::string_view text, const std::string& path, AuthFormat format);

/// A program docker-credential-NAME to be asked for the credential of a server.
struct HelperCall {
  std::string name;
  std::string server;  // the name under which the helper knows the registry
  std::string origin;  // file that names the helper
  bool operator==(const HelperCall&) const = default;
};
/// A credential and the file it is from.
struct FoundCredential {
  Credential credential;
  std::string origin;
  bool operator==(const FoundCredential&) const = default;
};
using CredentialSource = std::variant<HelperCall, FoundCredential>;

/// Where the credential for `repository` ("library/busybox", may be empty) on `registry` is to be
/// looked for, in this order; the first that has one ends the search. `helpers` is
/// credential-helpers of registries.conf; empty: the files only. ConfigError with file and key for
/// an entry that matches and cannot be decoded.
Result<std::vector<CredentialSource>> find_credentials(std::span<const AuthFile> files,
                                                       std::span<const std::string> helpers,
                                                       const std::string& registry,
                                                       std::string_view repository);

/// The word in credential-helpers that stands for the files.
inline constexpr std::string_view kAuthFilesHelper = "containers-auth.json";
/// Docker's own name for its hub, as keys and credential helpers have it.
inline constexpr std::string_view kDockerHubServer = "https://index.docker.io/v1/";

/// A registry, or a registry and a repository or part of one: host[:port][/path], a scheme before
/// it and a slash behind it cut off. InvalidSpec for what else `login REGISTRY` may be given.
Result<std::string> parse_login_key(std::string_view text);

/// The document with this user and password under the key; everything else in it stays.
Result<json::Value> with_login(json::Value document, const std::string& key,
                               const std::string& username, const Secret& password);
/// The document with an empty entry: as Docker marks keys whose credential is in a store.
Result<json::Value> with_marker(json::Value document, const std::string& key);
/// Takes the key out of "auths"; false when it was not there.
Result<bool> remove_login(json::Value& document, const std::string& key);

}  // namespace nexcage::registry
