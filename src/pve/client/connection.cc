#include "nexcage/pve/client/connection.h"

#include <algorithm>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/pve/client/certificate.h"

namespace nexcage::pve::client {

namespace {

using Kind = http::TransportFailure::Kind;

constexpr int kTries = 4;                         // of a GET without an answer
constexpr std::chrono::milliseconds kPause{250};  // doubled each time
constexpr std::chrono::minutes kTicketAge{60};    // of two hours that it lives
constexpr std::size_t kMostAnswer = 64u << 20;

/// The server cannot have seen the request.
bool was_not_sent(const http::TransportFailure& failure) {
  return failure.kind == Kind::resolve || failure.kind == Kind::connect ||
         failure.kind == Kind::tls;
}

std::string what(const http::HttpRequest& request, const std::string& path) {
  return std::string(http::method_name(request.method)) + " " + path;
}

Error unreachable(const std::string& host, const http::TransportFailure& failure) {
  Error error(failure.kind == Kind::timeout ? Errc::Timeout : Errc::ProxmoxError,
              host + ": " + failure.text);
  if (failure.kind == Kind::tls)
    return std::move(error).hint(
        "if the server's certificate was changed on purpose, set the new proxmox.fingerprint or "
        "proxmox.ca_file");
  return error;
}

}  // namespace

std::string url_encode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
    if (is_plain) {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

std::string url_encode(const Fields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    if (!out.empty()) out += '&';
    out += url_encode(name) + "=" + url_encode(value);
  }
  return out;
}

Result<std::unique_ptr<Connection>> Connection::create(Access access) {
  NX_TRY(auto session, http::HttpSession::create({}));
  return std::unique_ptr<Connection>(new Connection(std::move(access), std::move(session)));
}

Result<std::optional<http::TransportFailure>> Connection::check_pin() {
  std::optional<http::TlsMaterial>& known = pins_[current_];
  if (known) return std::nullopt;
  if (access_.fingerprints.empty()) {
    known = access_.tls;
    return std::nullopt;
  }
  // Nothing secret goes out before the certificate is known to be the right one.
  const http::TlsMaterial anyone{.verify = false, .authorities = {}, .certificate = {}, .key = {}};
  http::Finished seen = session_->perform({.method = http::Method::get,
                                           .url = "https://" + host() + "/api2/json/version",
                                           .headers = {},
                                           .body = {},
                                           .upload = nullptr,
                                           .tls = &anyone,
                                           .own_connection = true,
                                           .tell_certificate = true},
                                          nullptr);
  if (seen.failure) {
    // Whatever went wrong, no request of ours was sent.
    if (!was_not_sent(*seen.failure)) seen.failure->kind = Kind::connect;
    return std::move(seen.failure);
  }
  NX_TRY(const Fingerprints found, fingerprints_of(seen.certificate), host());
  const bool is_known = std::ranges::any_of(access_.fingerprints, [&](const std::string& pinned) {
    return same_fingerprint(pinned, found.certificate);
  });
  if (!is_known)
    return fail(Error(Errc::ProxmoxError, host() + ": the certificate's fingerprint is " +
                                              found.certificate + ", which is not the pinned one")
                    .hint("if the certificate was changed on purpose, set the new "
                          "proxmox.fingerprint; otherwise somebody stands in between"));
  known = http::TlsMaterial{.verify = true,
                            .authorities = {},
                            .certificate = {},
                            .key = {},
                            .pinned_key = found.public_key};
  return std::nullopt;
}

Result<Connection::Sent> Connection::exchange(http::HttpRequest request, const std::string& path) {
  NX_TRY(auto unpinned, check_pin());
  if (unpinned) return Sent{.answer = {}, .failure = std::move(unpinned)};
  request.tls = &*pins_[current_];
  request.url = "https://" + host() + "/api2/json" + path;
  request.own_connection = true;
  request.new_connection = request.method != http::Method::get;
  http::TextSink sink(kMostAnswer, "the answer");
  http::Finished done = session_->perform(request, &sink);
  Sent sent;
  sent.failure = std::move(done.failure);
  sent.answer = {.status = done.response.status,
                 .reason = done.response.reason,
                 .body = done.response.ok() ? sink.text() : std::move(done.error_body)};
  return sent;
}

Result<Connection::Sent> Connection::ask_ticket(const std::string& password) {
  return exchange({.method = http::Method::post,
                   .url = {},
                   .headers = {"Content-Type: application/x-www-form-urlencoded"},
                   .body = url_encode({{"username", access_.user}, {"password", password}})},
                  "/access/ticket");
}

Result<> Connection::log_in() {
  // An old ticket is exchanged for a new one; without one, or when it is refused, the password.
  NX_TRY(Sent sent, ask_ticket(ticket_.empty() ? access_.password.reveal() : ticket_.reveal()));
  if (!ticket_.empty() && !sent.failure && sent.answer.status == 401) {
    NX_TRY(sent, ask_ticket(access_.password.reveal()));
  }
  if (sent.failure) return fail(unreachable(host(), *sent.failure));
  NX_TRY(const json::Value data, parse_answer("log in as " + access_.user, sent.answer));
  if (data.find("NeedTFA") != nullptr)
    return fail(Error(Errc::Unsupported, "user " + access_.user + " needs a second factor")
                    .hint("use an API token"));
  ticket_ = registry::Secret(data.text("ticket"));
  csrf_ = registry::Secret(data.text("CSRFPreventionToken"));
  ticket_made_ = std::chrono::steady_clock::now();
  if (ticket_.empty()) return fail(Errc::ProxmoxError, "log in: the server gave no ticket");
  return {};
}

Result<> Connection::authorize(http::HttpRequest& request) {
  if (!access_.token.empty()) {
    request.headers.push_back("Authorization: PVEAPIToken=" + access_.token.reveal());
    return {};
  }
  if (ticket_.empty() || std::chrono::steady_clock::now() - ticket_made_ > kTicketAge)
    NX_CHECK(log_in());
  request.headers.push_back("Cookie: PVEAuthCookie=" + url_encode(ticket_.reveal()));
  if (request.method != http::Method::get)
    request.headers.push_back("CSRFPreventionToken: " + csrf_.reveal());
  return {};
}

Result<> Connection::reach_next(const http::TransportFailure& failure, std::size_t tried) {
  if (failure.kind != Kind::tls) is_away_ = tried >= access_.hosts.size();
  if (failure.kind == Kind::tls || tried >= access_.hosts.size())
    return fail(unreachable(host(), failure));
  log::warning(host() + ": " + failure.text + "; trying the next host");
  current_ = (current_ + 1) % access_.hosts.size();
  return {};
}

namespace {

/// A ticket that was just given is refused only when its time is not that of who reads it.
Result<json::Value> answer_of(const std::string& what, const Answer& answer, bool logged_in_again) {
  auto data = parse_answer(what, answer);
  if (data || answer.status != 401 || !logged_in_again) return data;
  return fail(std::move(data).error().wrap(
      "a ticket that was just given is refused, as when the clocks of the nodes differ"));
}

}  // namespace

Result<json::Value> Connection::attempts(const http::HttpRequest& request,
                                         const std::string& path) {
  is_away_ = false;
  bool logged_in_again = false;
  std::size_t hosts_tried = 1;
  for (int tries = 1;; ++tries) {
    http::HttpRequest ready = request;
    if (auto known = authorize(ready); !known) {
      if (hosts_tried >= access_.hosts.size() || known.error().code() == Errc::PermissionDenied)
        return fail(std::move(known).error());
      ++hosts_tried;
      current_ = (current_ + 1) % access_.hosts.size();
      continue;
    }
    NX_TRY(const Sent sent, exchange(std::move(ready), path));
    if (!sent.failure) {
      // A 401 was not carried out. The server's clock may have made the ticket old.
      const bool again = sent.answer.status == 401 && access_.token.empty() && !logged_in_again;
      if (!again) return answer_of(what(request, path), sent.answer, logged_in_again);
      logged_in_again = true;
      ticket_ = {};
      continue;
    }
    if (sent.failure->error) return fail(*sent.failure->error);
    if (was_not_sent(*sent.failure)) {
      if (hosts_tried < access_.hosts.size() || request.method != http::Method::get ||
          tries >= kTries) {
        NX_CHECK(reach_next(*sent.failure, hosts_tried++));
        continue;
      }
    } else if (request.method == http::Method::get && tries < kTries) {
      // A host that takes requests and does not answer is no better than one that is down.
      if (access_.hosts.size() > 1) {
        log::warning(host() + ": " + sent.failure->text + "; trying the next host");
        current_ = (current_ + 1) % access_.hosts.size();
      }
    } else {
      Error error = unreachable(host(), *sent.failure);
      is_away_ = true;
      if (request.method == http::Method::get) return fail(std::move(error));
      return fail(std::move(error).hint(
          "the request may have been carried out: look at the task log of the node"));
    }
    session_->sleep_until(std::chrono::steady_clock::now() + kPause * (1 << tries));
  }
}

Result<json::Value> Connection::perform(http::HttpRequest request, const std::string& path) {
  auto data = attempts(request, path);
  if (data || data.error().frames().empty()) return data;
  const std::string doing = what(request, path.substr(0, path.find('?')));
  if (data.error().message().starts_with(doing)) return data;
  return fail(std::move(data).error().wrap(doing));
}

Result<json::Value> Connection::call(http::Method method, const std::string& path,
                                     const Fields& fields) {
  const bool in_query = method == http::Method::get || method == http::Method::remove;
  http::HttpRequest request{.method = method, .url = {}, .headers = {}, .body = {}};
  if (in_query) {
    return perform(std::move(request), fields.empty() ? path : path + "?" + url_encode(fields));
  }
  request.headers = {"Content-Type: application/x-www-form-urlencoded"};
  request.body = url_encode(fields);
  return perform(std::move(request), path);
}

Result<json::Value> Connection::upload(const std::string& path, const Upload& upload) {
  http::HttpRequest request{.method = http::Method::post,
                            .url = {},
                            .headers = {"Content-Type: " + upload.content_type},
                            .body = {},
                            .upload = upload.body};
  return perform(std::move(request), path);
}

}  // namespace nexcage::pve::client
