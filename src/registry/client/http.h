// HTTP over libcurl: many transfers in one thread. It knows nothing of registries; challenges,
// redirects and retries are decided above it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::registry::client {

using SteadyTime = std::chrono::steady_clock::time_point;

enum class Method : std::uint8_t { get, head, put, post, patch, remove };
std::string_view method_name(Method method);

/// Certificates as PEM text, read before the process was confined.
struct TlsMaterial {
  bool verify = true;
  std::string authorities;  // trusted besides the system's
  std::string certificate, key;
  /// Instead of `verify`: "sha256//BASE64" of the peer's public key (CURLOPT_PINNEDPUBLICKEY(3)).
  std::string pinned_key{};
};

/// Bytes of an upload, read in order; again from the start when the request is sent again.
class BodySource {
 public:
  BodySource() = default;
  BodySource(const BodySource&) = delete;
  BodySource& operator=(const BodySource&) = delete;
  virtual ~BodySource() = default;
  virtual std::uint64_t size() const = 0;
  /// At most buffer.size() bytes from `offset` on; 0 only at the end.
  virtual Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> buffer) = 0;
};

struct HttpRequest {
  Method method = Method::get;
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  std::string body;                  // sent when there is no `upload`
  BodySource* upload = nullptr;      // borrowed
  const TlsMaterial* tls = nullptr;  // borrowed; nullptr: verified, system certificates
  bool own_connection = false;       // HTTP/1.1: not one of many streams of one connection
  /// On a new connection. On one that was kept and that the server has closed, libcurl sends the
  /// request a second time by itself, although the first one may have been carried out.
  bool new_connection = false;
  bool tell_certificate = false;       // Finished::certificate is wanted
  std::chrono::milliseconds limit{0};  // for all of it; 0: none, only a stall ends it
};

struct HttpResponse {
  int status = 0;
  std::string reason{};                                      // what follows it in the status line
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  /// The first of this (lower-case) name; "" when absent.
  std::string_view header(std::string_view name) const;
  std::vector<std::string_view> all(std::string_view name) const;
  /// Content-Length; nullopt when absent or no number.
  std::optional<std::uint64_t> length() const;
  bool ok() const { return status >= 200 && status < 300; }
};

/// Takes the body of a 2xx answer. Called by the thread that drives the session. An error ends the
/// transfer and is its outcome.
class BodySink {
 public:
  BodySink() = default;
  BodySink(const BodySink&) = delete;
  BodySink& operator=(const BodySink&) = delete;
  virtual ~BodySink() = default;
  /// Once, before the first byte.
  virtual Result<> begin(const HttpResponse& response) = 0;
  virtual Result<> data(std::span<const std::byte> bytes) = 0;
};

/// Why no whole answer came.
struct TransportFailure {
  enum class Kind : std::uint8_t {
    resolve,  // no such host
    connect,  // nobody listens, or no way there
    tls,      // certificates or protocol: trying again will not help
    timeout,  // stalled, or the limit is over
    broken,   // began, then ended too early or went wrong
    sink,     // our own side: `error` says
    refused,  // the answer is not one we take (header too large)
  };
  Kind kind = Kind::broken;
  std::string text;
  std::optional<Error> error;  // of the sink or of the upload's source
};

using TransferId = std::uint64_t;

struct Finished {
  TransferId id = 0;
  HttpResponse response;
  std::string error_body;  // of an answer that is not 2xx, at most 64 KiB
  std::optional<TransportFailure> failure;
  std::uint64_t received = 0;  // bytes of body
  std::string certificate{};   // PEM, of the peer itself; empty unless it was asked for
};

struct HttpSettings {
  std::chrono::seconds stall{30};  // below 1 KiB/s for so long: given up
  std::chrono::seconds connect{15};
  unsigned host_connections = 8;
};

/// Loads the HTTP library; to be called before the process is confined or makes threads.
/// RuntimeNotAvailable when it is missing.
Result<> load_http();

/// The transfers of one thread. Everything but wake() is for that thread only.
class HttpSession {
 public:
  static Result<std::unique_ptr<HttpSession>> create(const HttpSettings& settings);
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;
  ~HttpSession();

  /// `sink` is borrowed until the transfer has finished; nullptr throws a body away. A request that
  /// cannot be begun finishes with a failure.
  TransferId start(const HttpRequest& request, BodySink* sink);
  void cancel(TransferId id);
  /// Drives all transfers until one that start() began has finished. nullopt when `until` has come
  /// or wake() was called first.
  std::optional<Finished> next(SteadyTime until);
  /// One request to its end; others proceed meanwhile and are kept for next().
  Finished perform(const HttpRequest& request, BodySink* sink);
  /// Drives the others until the time has come.
  void sleep_until(SteadyTime until);
  /// Ends a next() that waits. For any thread.
  void wake();
  /// Bytes of bodies received so far.
  std::uint64_t received() const;

 private:
  struct State;
  explicit HttpSession(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Collects a body of at most so many bytes; a longer one is InvalidImage.
class TextSink final : public BodySink {
 public:
  TextSink(std::size_t most, std::string what) : most_(most), what_(std::move(what)) {}
  Result<> begin(const HttpResponse& response) override;
  Result<> data(std::span<const std::byte> bytes) override;
  const std::string& text() const { return text_; }

 private:
  std::size_t most_;
  std::string what_;
  std::string text_;
};

}  // namespace nexcage::registry::client
