#include "nexcage/base/text.h"
#include "nexcage/registry/client/remote.h"

namespace nexcage::registry::client {

namespace {

constexpr unsigned kMaxRedirects = 10;
/// One to begin, one for a token that ran out on the way.
constexpr unsigned kMaxChallenges = 2;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

Result<Exchange> Exchange::create(Remote& remote, Ask ask) {
  NX_TRY(Url url, resolve(remote.url(), ask.target));
  return Exchange(remote, std::move(ask), std::move(url));
}

HttpRequest Exchange::request() {
  HttpRequest request;
  request.method = ask_.method;
  request.url = url_.str();
  request.headers = ask_.headers;
  request.body = ask_.body;
  request.upload = ask_.upload;
  request.own_connection = ask_.own_connection;
  request.limit = ask_.limit;
  sent_.clear();
  if (url_.same_server(remote_->url())) {
    request.tls = &remote_->tls_.own;
    sent_ = remote_->auth_.authorization(ask_.scope);
    if (!sent_.empty()) request.headers.push_back("Authorization: " + sent_);
  } else {
    request.tls = &remote_->tls_.foreign;
  }
  return request;
}

Result<Exchange::Next> Exchange::follow(const Finished& done) {
  const std::string_view location = done.response.header("location");
  if (location.empty())
    return fail(Errc::RegistryError, "HTTP status " + std::to_string(done.response.status) +
                                         " without a place to go to");
  if (++redirects_ > kMaxRedirects)
    return fail(Errc::RegistryError, "more than " + std::to_string(kMaxRedirects) + " redirects");
  NX_TRY(Url next, resolve(url_, location), "redirect");
  if (url_.scheme == "https" && next.scheme != "https" && remote_->tls_.own.verify)
    return fail(Errc::RegistryError,
                "redirected to " + next.shown() + ", which is not protected by TLS");
  url_ = std::move(next);
  return Next::again;
}

Result<Exchange::Next> Exchange::after(const Finished& done) {
  const int status = done.response.status;
  const bool idempotent = ask_.method == Method::get || ask_.method == Method::head;
  if (is_redirect(status) && (idempotent || status == 307 || status == 308)) return follow(done);
  // Only the registry itself may ask for credentials, not a host it has sent us to.
  if (status != 401 || !url_.same_server(remote_->url())) return Next::done;
  if (++challenges_ > kMaxChallenges) {
    const std::string said = registry_message(done.error_body);
    return fail(
        Error(Errc::PermissionDenied,
              "HTTP status 401 with a fresh token" + (said.empty() ? "" : " (" + said + ")"))
            .hint("log in again: nexcage login " + std::string(remote_->endpoint().host())));
  }
  const auto challenge = choose_challenge(done.response.all("www-authenticate"));
  NX_CHECK(remote_->auth_.answer(challenge, ask_.scope, sent_), "HTTP status 401");
  return Next::again;
}

}  // namespace nexcage::registry::client
