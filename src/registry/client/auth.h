// Proving to one registry who the user is: basic, or bearer tokens of its token server
// (distribution-spec, and docs of the distribution project: "Token Authentication").
#pragma once

#include <map>
#include <optional>
#include <string>

#include "nexcage/registry/client/challenge.h"
#include "nexcage/registry/client/http.h"
#include "nexcage/registry/client/retry.h"
#include "nexcage/registry/client/url.h"
#include "nexcage/registry/endpoint.h"

namespace nexcage::registry::client {

/// A token server's answer.
struct Token {
  std::string text;
  std::chrono::seconds lifetime{60};  // the default of the specification
};
/// RegistryError for an answer without a token, or with one that is no header value.
Result<Token> parse_token(std::string_view json_text);

/// What is sent to the endpoint's own server, and nowhere else. Tokens live as long as this does.
class Authenticator {
 public:
  /// All borrowed. `foreign`: TLS for token servers on other hosts.
  Authenticator(HttpSession& session, const Endpoint& endpoint, const TlsMaterial& own,
                const TlsMaterial& foreign, const RetrySettings& retries)
      : session_(session), endpoint_(endpoint), own_(own), foreign_(foreign), retries_(retries) {}

  /// Value of the Authorization header for requests of this scope; "" for none. A token that is
  /// about to run out is not used any more.
  std::string authorization(const std::string& scope) const;
  /// Answers a challenge that came upon `sent` (the value of authorization() then). Ok when another
  /// try is worth it. PermissionDenied when nothing is left to try, RegistryError when the token
  /// server cannot be asked.
  Result<> answer(const std::optional<Challenge>& challenge, const std::string& scope,
                  const std::string& sent);
  /// The user gave something to prove himself with.
  bool has_credential() const { return endpoint_.credential.kind != Credential::Kind::none; }

 private:
  struct Held {
    std::string token;
    SteadyTime until;
  };
  Result<Token> fetch_token(const Challenge& challenge, const std::string& scope);
  Result<HttpRequest> token_request(const Challenge& challenge, const std::string& scope) const;
  Result<std::string> ask(const HttpRequest& request, const Url& realm);
  std::unexpected<Error> denied(std::string_view why) const;

  HttpSession& session_;
  const Endpoint& endpoint_;
  const TlsMaterial& own_;
  const TlsMaterial& foreign_;
  const RetrySettings& retries_;
  std::map<std::string, Held> tokens_;  // by scope
  bool basic_ = false;                  // it has asked for it
};

}  // namespace nexcage::registry::client
