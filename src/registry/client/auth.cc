#include "nexcage/registry/client/auth.h"

#include <algorithm>

#include "nexcage/base/base64.h"
#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/registry/client/jitter.h"

namespace nexcage::registry::client {

namespace {

constexpr std::size_t kMaxTokenAnswer = 1u << 20;
constexpr std::size_t kMaxToken = 64u << 10;
constexpr std::chrono::seconds kSpare{10};  // a token is renewed so long before its end
constexpr std::chrono::seconds kTokenLimit{60};
constexpr std::string_view kClient = "nexcage";

/// Fit for the value of a header: visible ASCII without spaces.
bool is_header_word(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

std::string form(std::string text, std::string_view name, std::string_view value) {
  if (!text.empty()) text += '&';
  return text + std::string(name) + "=" + percent_encode(value);
}

}  // namespace

Result<Token> parse_token(std::string_view json_text) {
  auto value = json::parse(json_text);
  if (!value)
    return fail(std::move(value).error().as(Errc::RegistryError).wrap("the token server's answer"));
  const auto text_of = [&](std::string_view name) {
    const json::Value* member = value->find(name);
    const std::string* text = member != nullptr ? member->if_string() : nullptr;
    return text != nullptr ? *text : std::string();
  };
  Token token;
  token.text = text_of("token");
  if (token.text.empty()) token.text = text_of("access_token");
  if (token.text.empty())
    return fail(Errc::RegistryError, "the token server's answer has no token");
  if (token.text.size() > kMaxToken || !is_header_word(token.text))
    return fail(Errc::RegistryError, "the token server's answer has a token that is none");
  if (const json::Value* lifetime = value->find("expires_in"))
    if (const auto seconds = lifetime->as_u64(); seconds && *seconds > 0)
      token.lifetime = std::chrono::seconds(std::min<std::uint64_t>(*seconds, 86'400));
  return token;
}

std::string Authenticator::authorization(const std::string& scope) const {
  using Kind = Credential::Kind;
  const Credential& credential = endpoint_.credential;
  if (credential.kind == Kind::registry_token) return "Bearer " + credential.secret.reveal();
  if (basic_ && credential.kind == Kind::password)
    return "Basic " + base64_encode(credential.username + ":" + credential.secret.reveal());
  const auto held = tokens_.find(scope);
  if (held == tokens_.end() || held->second.until < std::chrono::steady_clock::now()) return {};
  return "Bearer " + held->second.token;
}

std::unexpected<Error> Authenticator::denied(std::string_view why) const {
  Error error(Errc::PermissionDenied, std::string(why));
  const std::string host(endpoint_.host());
  if (!has_credential()) return fail(std::move(error).hint("log in first: nexcage login " + host));
  const std::string access =
      endpoint_.repository.empty() ? "" : ", or ask for access to " + endpoint_.repository;
  return fail(std::move(error).hint("log in again" + access + ": nexcage login " + host));
}

Result<> Authenticator::answer(const std::optional<Challenge>& challenge, const std::string& scope,
                               const std::string& sent) {
  using Kind = Credential::Kind;
  const Kind kind = endpoint_.credential.kind;
  if (!challenge) return denied("HTTP status 401 and no challenge that could be answered");
  if (kind == Kind::registry_token) return denied("the registry token was not accepted");
  if (challenge->scheme == "basic") {
    if (kind != Kind::password) return denied("the registry wants a user name and password");
    if (basic_ && sent.starts_with("Basic ")) return denied("user name or password is wrong");
    basic_ = true;
    return {};
  }
  // Another request of this pull may have renewed it meanwhile.
  if (const std::string now = authorization(scope); !now.empty() && now != sent) return {};
  NX_TRY(Token token, fetch_token(*challenge, scope));
  const auto lifetime = std::max(token.lifetime - kSpare, token.lifetime / 2);
  tokens_[scope] = {.token = std::move(token.text),
                    .until = std::chrono::steady_clock::now() + lifetime};
  return {};
}

Result<HttpRequest> Authenticator::token_request(const Challenge& challenge,
                                                 const std::string& scope) const {
  // What we need, and what the registry says that we need.
  std::vector<std::string> scopes;
  for (const std::string& one : split(scope + " " + std::string(challenge.parameter("scope")), ' '))
    if (!one.empty() && std::ranges::find(scopes, one) == scopes.end()) scopes.push_back(one);
  const std::string_view service = challenge.parameter("service");
  HttpRequest request;
  request.limit = kTokenLimit;
  if (endpoint_.credential.kind == Credential::Kind::identity_token) {
    request.method = Method::post;
    request.url = challenge.parameter("realm");
    request.headers = {"Content-Type: application/x-www-form-urlencoded"};
    request.body = form(form({}, "grant_type", "refresh_token"), "service", service);
    request.body = form(std::move(request.body), "client_id", kClient);
    request.body = form(std::move(request.body), "scope", join(scopes, " "));
    request.body =
        form(std::move(request.body), "refresh_token", endpoint_.credential.secret.reveal());
    return request;
  }
  request.url = challenge.parameter("realm");
  if (!service.empty()) request.url = add_query(request.url, "service", service);
  for (const std::string& one : scopes) request.url = add_query(request.url, "scope", one);
  if (endpoint_.credential.kind == Credential::Kind::password) {
    const Credential& credential = endpoint_.credential;
    request.url = add_query(request.url, "account", credential.username);
    request.headers = {"Authorization: Basic " +
                       base64_encode(credential.username + ":" + credential.secret.reveal())};
  }
  return request;
}

Result<std::string> Authenticator::ask(const HttpRequest& request, const Url& realm) {
  Retries retries(retries_);
  while (true) {
    TextSink sink(kMaxTokenAnswer, "the token server's answer");
    const Finished done = session_.perform(request, &sink);
    const Verdict verdict = judge(done, std::chrono::system_clock::now());
    if (verdict.is == Verdict::Is::retry) {
      if (const auto delay = retries.next(verdict.asked, jitter())) {
        session_.sleep_until(std::chrono::steady_clock::now() + *delay);
        continue;
      }
    }
    if (done.failure) {
      const bool late = done.failure->kind == TransportFailure::Kind::timeout;
      return fail(late ? Errc::Timeout : Errc::RegistryError,
                  "token server " + realm.shown() + ": " + done.failure->text);
    }
    const int status = done.response.status;
    if (status == 400 || status == 401 || status == 403)
      return denied("token server " + realm.authority + " refuses: HTTP status " +
                    std::to_string(status));
    if (!done.response.ok())
      return fail(Errc::RegistryError,
                  "token server " + realm.shown() + ": HTTP status " + std::to_string(status));
    return sink.text();
  }
}

Result<Token> Authenticator::fetch_token(const Challenge& challenge, const std::string& scope) {
  NX_TRY(const Url realm, parse_url(challenge.parameter("realm")), "realm of the challenge");
  NX_TRY(const Url own, parse_url(endpoint_.url));
  // A password that TLS protects here must not go over the wire in clear text there.
  if (own.scheme == "https" && realm.scheme != "https")
    return fail(Errc::RegistryError, "token server " + realm.shown() +
                                         ": the registry speaks TLS, its token server does not");
  NX_TRY(HttpRequest request, token_request(challenge, scope));
  request.tls = realm.same_server(own) ? &own_ : &foreign_;
  NX_TRY(std::string text, ask(request, realm));
  NX_TRY(Token token, parse_token(text), "token server " + realm.authority);
  return token;
}

}  // namespace nexcage::registry::client
