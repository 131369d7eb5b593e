// policy.json: which images may be used at all (containers-policy.json(5)). Text to values, and the
// rule that decides on an image; no I/O. As in containers/image a member that is not known is an
// error: a misspelt rule must not be a weaker one.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/oci/reference.h"
#include "nexcage/registry/signed_identity.h"

namespace nexcage::registry {

struct Requirement {
  enum class Kind : std::uint8_t { accept, reject, sigstore, unsupported };
  Kind kind = Kind::reject;
  std::string type;                    // as the file has it: "sigstoreSigned"
  std::vector<std::string> key_paths;  // of sigstore: PEM files; one key suffices
  std::vector<std::string> keys;       // the same as text
  SignedIdentity identity;             // of sigstore
  std::string unsupported;             // why nexcage cannot decide it
};

/// Scope ("" is the transport's own default) to the requirements that must all hold.
using Scopes = std::map<std::string, std::vector<Requirement>>;

struct Policy {
  std::string path;  // empty: there is no file, everything is accepted
  std::vector<Requirement> fallback;
  std::map<std::string, Scopes> transports;
};

/// ConfigError with the path and the member for everything that containers/image refuses.
Result<Policy> parse_policy(std::string_view text, const std::string& path);

/// What decides on an image of a registry, and where that is written.
struct Ruling {
  std::span<const Requirement> requirements;  // of the policy; empty: there is no policy
  std::string rule;  // "FILE: transports.docker[SCOPE]", "FILE: default"; for messages
};
/// The most specific scope of the transport "docker", else its default, else the file's.
Ruling find_ruling(const Policy& policy, const oci::Reference& image);

/// The scopes that cover an image, the most specific first: by tag or digest, repository, each
/// namespace above it, host with port, *.domains. What registries.d is looked up with, too.
std::vector<std::string> scopes_of(const oci::Reference& image);

}  // namespace nexcage::registry
