// The part of planning that looks outside: credential helpers and files with keys.
#include <fcntl.h>

#include <map>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/registry/credential_helper.h"
#include "nexcage/registry/plan.h"
#include "nexcage/sys/fs.h"

namespace nexcage::registry {
namespace {

constexpr std::size_t kMaxKey = 64u << 10;

/// Asks each helper once for a server, however many endpoints need it.
class Helpers {
 public:
  Result<std::optional<Credential>> ask(const HelperCall& call) {
    const std::pair key(call.name, call.server);
    if (const auto known = answers_.find(key); known != answers_.end()) return known->second;
    auto answer = get_credential(call.name, call.server);
    answers_.emplace(key, answer);
    return answer;
  }

 private:
  std::map<std::pair<std::string, std::string>, Result<std::optional<Credential>>> answers_;
};

Result<Credential> first(const std::vector<CredentialSource>& sources, Helpers& helpers) {
  std::optional<Error> failed;
  for (const CredentialSource& source : sources) {
    if (const auto* found = std::get_if<FoundCredential>(&source)) return found->credential;
    const auto& call = std::get<HelperCall>(source);
    auto answer = helpers.ask(call);
    if (answer && *answer) return **std::move(answer);
    if (!answer && !failed)
      failed = std::move(answer).error().wrap("credentials of " + call.server + " (" + call.origin +
                                              ")");
  }
  if (failed) return fail(*std::move(failed));
  return Credential{};
}

Result<SigstoreRequirement> read_keys(const Requirement& requirement, const std::string& rule) {
  SigstoreRequirement out{requirement.keys, requirement.identity};
  for (const std::string& path : requirement.key_paths) {
    auto text = sys::read_file(AT_FDCWD, path, kMaxKey);
    if (!text)
      return fail(std::move(text).error().wrap("key of the rule " + rule).as(Errc::ConfigError));
    out.keys.push_back(*std::move(text));
  }
  return out;
}

}  // namespace

Result<Credential> first_credential(const std::vector<CredentialSource>& sources) {
  Helpers helpers;
  return first(sources, helpers);
}

Result<Access> complete(const Plan& plan) {
  Access out;
  Helpers helpers;
  for (const PlannedEndpoint& planned : plan.endpoints) {
    Endpoint endpoint = planned.endpoint;
    auto credential = first(planned.credentials, helpers);
    if (!credential && &planned != &plan.endpoints.back()) {
      log::warning(endpoint.url + " is left out: " + credential.error().message());
      continue;
    }
    if (!credential) return fail(std::move(credential).error());
    endpoint.credential = *std::move(credential);
    out.endpoints.push_back(std::move(endpoint));
  }
  out.trust.rule = plan.rule;
  for (const Requirement& requirement : plan.requirements) {
    NX_TRY(SigstoreRequirement one, read_keys(requirement, plan.rule));
    out.trust.requirements.push_back(std::move(one));
  }
  return out;
}

}  // namespace nexcage::registry
