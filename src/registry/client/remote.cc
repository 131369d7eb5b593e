#include "nexcage/registry/client/remote.h"

#include <fcntl.h>

#include <algorithm>

#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/registry/client/jitter.h"
#include "nexcage/sys/fs.h"

namespace nexcage::registry::client {

namespace {

constexpr unsigned kUnansweredRetries = 2;
constexpr std::size_t kMaxMessage = 300;

Result<std::string> read_pem(const std::string& path) {
  auto text = sys::read_file(AT_FDCWD, path, 4u << 20);
  if (!text) return fail(std::move(text).error().as(Errc::ConfigError).wrap("certificates"));
  if (!text->ends_with('\n')) *text += '\n';
  return *std::move(text);
}

}  // namespace

Result<EndpointTls> read_tls(const Tls& tls) {
  EndpointTls read;
  for (const std::string& file : tls.ca_files) {
    NX_TRY(std::string text, read_pem(file));
    read.own.authorities += text;
  }
  // Another host gets neither the client's certificate nor freedom from verification.
  read.foreign.authorities = read.own.authorities;
  read.own.verify = tls.verify;
  if (!tls.client_cert.empty()) {
    NX_TRY(read.own.certificate, read_pem(tls.client_cert));
    NX_TRY(read.own.key, read_pem(tls.client_key.empty() ? tls.client_cert : tls.client_key));
  }
  return read;
}

std::string registry_message(std::string_view body) {
  std::string said;
  const auto value = json::parse(body);
  const json::Value* errors = value ? value->find("errors") : nullptr;
  const json::Array* list = errors != nullptr ? errors->if_array() : nullptr;
  for (std::size_t i = 0; list != nullptr && i < std::min<std::size_t>(list->size(), 3); ++i) {
    for (const std::string_view name : {"code", "message"}) {
      const json::Value* member = (*list)[i].find(name);
      const std::string* text = member != nullptr ? member->if_string() : nullptr;
      if (text == nullptr || text->empty() || !is_printable(*text)) continue;
      if (!said.empty()) said += name == "message" ? ": " : "; ";
      said += *text;
    }
  }
  if (said.size() > kMaxMessage) said = said.substr(0, kMaxMessage) + "...";
  return said;
}

Remote::Remote(HttpSession& session, Endpoint endpoint, EndpointTls tls,
               const RetrySettings& retries, Events& events)
    : session_(session),
      endpoint_(std::move(endpoint)),
      // parse_endpoint() has refused every URL that this would.
      url_(parse_url(endpoint_.url).value_or(Url{})),
      tls_(std::move(tls)),
      retries_(retries),
      events_(events),
      auth_(session_, endpoint_, tls_.own, tls_.foreign, retries_) {}

std::string Remote::path(std::string_view rest) const {
  return "/v2/" + endpoint_.repository + "/" + std::string(rest);
}

std::string Remote::scope(std::string_view actions) const {
  return "repository:" + endpoint_.repository + ":" + std::string(actions);
}

Error Remote::describe(Error error, std::string_view what) const {
  std::string where = "registry " + std::string(endpoint_.host());
  if (!endpoint_.rule.empty()) where += " (" + endpoint_.rule + ")";
  if (!endpoint_.repository.empty()) where += ", repository " + endpoint_.repository;
  if (!what.empty()) where += ": " + std::string(what);
  return std::move(error).wrap(std::move(where));
}

Error Remote::refusal(const Finished& done, std::string_view what) const {
  if (done.failure) {
    const TransportFailure& failure = *done.failure;
    if (failure.error) return describe(*failure.error, what);
    const bool late = failure.kind == TransportFailure::Kind::timeout;
    Error error(late ? Errc::Timeout : Errc::RegistryError, failure.text);
    if (failure.kind != TransportFailure::Kind::tls) return describe(std::move(error), what);
    return describe(
        std::move(error).hint("put the registry's CA into certs.d, or pass --tls-verify=false if "
                              "you trust the network"),
        what);
  }
  const int status = done.response.status;
  std::string text = "HTTP status " + std::to_string(status);
  const std::string said = registry_message(done.error_body);
  if (!said.empty()) text += " (" + said + ")";
  const Errc code = status == 404                    ? Errc::ImageNotFound
                    : status == 401 || status == 403 ? Errc::PermissionDenied
                                                     : Errc::RegistryError;
  Error error(code, std::move(text));
  std::string hint;
  if (code == Errc::PermissionDenied)
    hint =
        (auth_.has_credential() ? "log in again: nexcage login " : "log in first: nexcage login ") +
        std::string(endpoint_.host());
  if (status == 429) hint = "the registry limits requests: log in, or try again later";
  if (hint.empty()) return describe(std::move(error), what);
  return describe(std::move(error).hint(std::move(hint)), what);
}

bool Remote::worth_a_retry(const Finished& done, unsigned failures) const {
  using Kind = TransportFailure::Kind;
  const bool unreached =
      done.failure && (done.failure->kind == Kind::resolve || done.failure->kind == Kind::connect);
  return answered_ || !unreached || (!alternatives_ && failures < kUnansweredRetries);
}

Result<Finished> Remote::ask(const Ask& ask, BodySink* sink) {
  Retries retries(retries_);
  auto exchange = Exchange::create(*this, ask);
  if (!exchange) return fail(describe(std::move(exchange).error(), ask.what));
  while (true) {
    Finished done = session_.perform(exchange->request(), sink);
    const Verdict verdict = judge(done, std::chrono::system_clock::now());
    if (!done.failure) answered_ = true;
    if (verdict.is == Verdict::Is::retry && !ask.once && worth_a_retry(done, retries.failures())) {
      if (const auto delay = retries.next(verdict.asked, jitter())) {
        events_.retry(ask.what, refusal(done, "").message(), *delay);
        session_.sleep_until(std::chrono::steady_clock::now() + *delay);
        continue;
      }
    }
    if (verdict.is != Verdict::Is::good) return fail(refusal(done, ask.what));
    auto next = exchange->after(done);
    if (!next) return fail(describe(std::move(next).error(), ask.what));
    if (*next == Exchange::Next::done) return done;
  }
}

Result<Finished> Remote::ask_ok(const Ask& ask, BodySink* sink) {
  NX_TRY(Finished done, this->ask(ask, sink));
  if (!done.response.ok()) return fail(refusal(done, ask.what));
  return done;
}

}  // namespace nexcage::registry::client
