// One transfer of the HTTP session: its curl handle and callbacks. Internal to the session.
#pragma once

#include <string>

#include "nexcage/registry/client/curl_library.h"
#include "nexcage/registry/client/http.h"

namespace nexcage::registry::client {

/// Owns the easy handle. Stays where it is made: libcurl holds its address.
class Transfer {
 public:
  Transfer(const CurlLibrary& curl, TransferId id, BodySink* sink);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer();

  /// False when libcurl has no memory or refuses an option; then `done.failure` says so.
  bool prepare(const HttpRequest& request, const HttpSettings& settings);
  /// What it came to; the transfer is over.
  Finished finish(CURLcode code);

  TransferId id;
  CURL* easy = nullptr;
  Finished done;

 private:
  static std::size_t on_header(char* text, std::size_t size, std::size_t count, void* self);
  static std::size_t on_body(char* data, std::size_t size, std::size_t count, void* self);
  static std::size_t on_upload(char* buffer, std::size_t size, std::size_t count, void* self);
  static int on_seek(void* self, curl_off_t offset, int origin);

  template <class Value>
  void set(CURLoption option, Value value);
  void set_blob(CURLoption option, const std::string& text);
  void prepare_tls(const TlsMaterial& tls);
  void prepare_method(const HttpRequest& request);
  bool take_header(std::string_view line);
  Result<> take_body(std::span<const std::byte> bytes);
  Result<> begin_body();

  const CurlLibrary& curl_;
  BodySink* sink_;
  BodySource* upload_ = nullptr;
  std::uint64_t uploaded_ = 0;
  std::string body_;
  curl_slist* headers_ = nullptr;
  std::string peer_certificate() const;
  bool tell_certificate_ = false;
  bool refused_ = false;  // an option was
  bool body_begun_ = false;
  std::size_t header_bytes_ = 0;
  std::string error_text_ = std::string(CURL_ERROR_SIZE, '\0');
};

}  // namespace nexcage::registry::client
