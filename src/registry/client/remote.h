// One registry endpoint, spoken to: requests with their challenges, redirects and retries.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "nexcage/registry/client/auth.h"
#include "nexcage/registry/client/events.h"
#include "nexcage/registry/client/http.h"
#include "nexcage/registry/client/retry.h"
#include "nexcage/registry/client/url.h"
#include "nexcage/registry/endpoint.h"

namespace nexcage::registry::client {

/// TLS files of an endpoint, read into memory: for itself, and for hosts it redirects to.
struct EndpointTls {
  TlsMaterial own, foreign;
};
/// ConfigError naming the file that cannot be read.
Result<EndpointTls> read_tls(const Tls& tls);
/// One for each endpoint.
Result<std::vector<EndpointTls>> read_tls(const std::vector<Endpoint>& endpoints);

class Remote;

/// What is asked of an endpoint.
struct Ask {
  Method method = Method::get;
  std::string target;  // path and query, or the whole URL that the registry gave for an upload
  std::vector<std::string> headers;
  std::string scope;  // "repository:x:pull"; "" for /v2/ itself
  std::string body;
  BodySource* upload = nullptr;
  bool own_connection = false;
  bool once = false;  // no retries: sending it again would not be the same
  std::chrono::milliseconds limit{0};
  std::string what;  // for messages: "manifest latest"
};

/// One request on its way through challenges and redirects.
class Exchange {
 public:
  static Result<Exchange> create(Remote& remote, Ask ask);
  HttpRequest request();
  enum class Next : std::uint8_t { done, again };
  /// Looks at what came. `again`: request() is to be sent once more. A redirect that may not be
  /// followed and a challenge that cannot be answered are errors.
  Result<Next> after(const Finished& done);
  /// Where the last request went.
  const Url& url() const { return url_; }
  const Ask& ask() const { return ask_; }
  /// Goes straight to a place that an earlier exchange was sent to.
  void go_to(const Url& url) { url_ = url; }

 private:
  Exchange(Remote& remote, Ask ask, Url url)
      : remote_(&remote), ask_(std::move(ask)), url_(std::move(url)) {}
  Result<Next> follow(const Finished& done);
  Remote* remote_;
  Ask ask_;
  Url url_;
  std::string sent_;  // authorization of the last request
  unsigned challenges_ = 0;
  unsigned redirects_ = 0;
};

class Remote {
 public:
  /// session and events are borrowed.
  Remote(HttpSession& session, Endpoint endpoint, EndpointTls tls, const RetrySettings& retries,
         Events& events);
  Remote(const Remote&) = delete;
  Remote& operator=(const Remote&) = delete;
  ~Remote() = default;

  const Endpoint& endpoint() const { return endpoint_; }
  const Url& url() const { return url_; }
  HttpSession& session() { return session_; }
  Events& events() { return events_; }
  const RetrySettings& retries() const { return retries_; }

  /// "/v2/REPOSITORY/REST".
  std::string path(std::string_view rest) const;
  std::string scope(std::string_view actions) const;

  /// Sends it until an answer has come that is none of "try again"; its status may be any other.
  /// The errors are those of check(), and RegistryError or Timeout for a host that does not answer.
  Result<Finished> ask(const Ask& ask, BodySink* sink);
  /// The same, and the answer must be 2xx.
  Result<Finished> ask_ok(const Ask& ask, BodySink* sink);
  /// The error that an answer stands for: ImageNotFound for 404, PermissionDenied for 401 and 403,
  /// Timeout, else RegistryError; the text has the host, repository, status and what the registry
  /// says.
  Error refusal(const Finished& done, std::string_view what) const;
  /// A 404 says something else than that the image is unknown.
  Error describe(Error error, std::string_view what) const;
  /// A host that never answered is not waited for as long as one that did.
  bool worth_a_retry(const Finished& done, unsigned failures) const;
  void answered() { answered_ = true; }
  bool has_answered() const { return answered_; }
  /// Another endpoint comes after this one: it is not worth waiting until somebody listens here.
  void set_alternatives(bool any) { alternatives_ = any; }

 private:
  friend class Exchange;
  HttpSession& session_;
  Endpoint endpoint_;
  Url url_;
  EndpointTls tls_;
  const RetrySettings& retries_;
  Events& events_;
  Authenticator auth_;
  bool answered_ = false, alternatives_ = false;
};

/// What the registry itself says in an error's body ({"errors": [{"code", "message"}]}), for a
/// message: "" when it says nothing printable.
std::string registry_message(std::string_view body);

}  // namespace nexcage::registry::client
