// The plan of a pull, push or login: which servers are asked in which order, how each is known and
// what it is told about the user, and what the image must prove. Pure functions over the files;
// only complete() runs credential helpers and reads keys.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/oci/reference.h"
#include "nexcage/registry/auth_file.h"
#include "nexcage/registry/endpoint.h"
#include "nexcage/registry/files.h"
#include "nexcage/registry/policy.h"
#include "nexcage/registry/short_name.h"
#include "nexcage/registry/trust.h"

namespace nexcage::registry {

/// An endpoint and where its credential is to be looked for, first one that has one.
struct PlannedEndpoint {
  Endpoint endpoint;  // without credential
  std::vector<CredentialSource> credentials;
};

struct Plan {
  oci::Reference reference;                // the name of the image, whatever server gives it
  std::vector<PlannedEndpoint> endpoints;  // tried in this order; never empty
  std::string rule;                        // of the policy, for messages
  std::vector<Requirement> requirements;   // of kind sigstore; none: accepted
};

/// Mirrors first, then the location; an insecure server is tried with unverified TLS, then without
/// TLS. PermissionDenied naming file and rule when the registry is blocked or the policy rejects
/// the image; Unsupported when the policy asks for what nexcage cannot verify; ConfigError for a
/// location that makes no name.
Result<Plan> plan_pull(const Files& files, const oci::Reference& reference, const Choices& choices);

/// A push goes to the very registry of the name: no mirrors, no rewriting, no policy.
Result<Plan> plan_push(const Files& files, const oci::Reference& reference, const Choices& choices);

/// The endpoints of a registry or repository ("host[:port][/path]", parse_login_key), without
/// credentials; repository is empty for a whole registry.
Result<std::vector<PlannedEndpoint>> plan_login(const Files& files, const std::string& key,
                                                const Choices& choices);

/// A plan with what only the outside knows.
struct Access {
  std::vector<Endpoint> endpoints;
  Trust trust;
};
/// Asks credential helpers (each at most once for a server) and reads the keys of the policy. An
/// endpoint whose credentials cannot be had is left out with a warning as long as another follows;
/// the last one's error is returned.
Result<Access> complete(const Plan& plan);
/// The first credential that a source has; kind none when there is none. When a helper failed and
/// nothing was found, its error.
Result<Credential> first_credential(const std::vector<CredentialSource>& sources);

}  // namespace nexcage::registry
