// A cluster over its REST API: log-in, failover between hosts, careful retries.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/pve/answer.h"
#include "nexcage/pve/client/access.h"
#include "nexcage/registry/client/http.h"

namespace nexcage::pve::client {

namespace http = registry::client;

/// Names and values; a name may come more than once (an array).
using Fields = std::vector<std::pair<std::string, std::string>>;
/// As application/x-www-form-urlencoded.
std::string url_encode(const Fields& fields);
std::string url_encode(std::string_view text);

/// A multipart body made elsewhere.
struct Upload {
  http::BodySource* body = nullptr;  // borrowed
  std::string content_type;
};

class Connection {
 public:
  static Result<std::unique_ptr<Connection>> create(Access access);

  /// The member `data` of the answer. Errors are those of parse_answer. A request that was not sent
  /// goes to the next host; one that got no answer is sent again only when it is a GET: of others
  /// nobody knows whether they were carried out, and the error says so.
  Result<json::Value> call(http::Method method, const std::string& path, const Fields& fields);
  Result<json::Value> upload(const std::string& path, const Upload& upload);
  /// The host that answered last.
  const std::string& host() const { return access_.hosts[current_]; }
  /// The last call failed because no host answered: they may come back.
  bool is_away() const { return is_away_; }

 private:
  Connection(Access access, std::unique_ptr<http::HttpSession> session)
      : access_(std::move(access)), session_(std::move(session)), pins_(access_.hosts.size()) {}

  struct Sent {
    Answer answer;
    std::optional<http::TransportFailure> failure;
  };
  Result<Sent> exchange(http::HttpRequest request, const std::string& path);
  Result<json::Value> perform(http::HttpRequest request, const std::string& path);
  Result<json::Value> attempts(const http::HttpRequest& request, const std::string& path);
  /// Adds what says who we are; logs in first where a ticket is needed or old.
  Result<> authorize(http::HttpRequest& request);
  Result<> log_in();
  Result<Sent> ask_ticket(const std::string& password);
  /// Checks the certificate of the current host against the pinned ones, once. A failure of the
  /// connection is the value.
  Result<std::optional<http::TransportFailure>> check_pin();
  Result<> reach_next(const http::TransportFailure& failure, std::size_t tried);

  Access access_;
  std::unique_ptr<http::HttpSession> session_;
  std::vector<std::optional<http::TlsMaterial>> pins_;  // by host, once it was looked at
  std::size_t current_ = 0;
  bool is_away_ = false;
  registry::Secret ticket_, csrf_;
  std::chrono::steady_clock::time_point ticket_made_;
};

}  // namespace nexcage::pve::client
