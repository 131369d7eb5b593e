#include "nexcage/registry/client/http_transfer.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::registry::client {

namespace {

constexpr long kBuffer = 512L << 10;
constexpr long kSlowest = 1024;  // bytes per second
constexpr std::size_t kMaxHeaders = 64u << 10;
constexpr std::size_t kMaxErrorBody = 64u << 10;
/// An answer that is thrown away is read this far, so that its connection can be used again.
constexpr std::uint64_t kMaxThrownAway = 1u << 20;

TransportFailure::Kind kind_of(CURLcode code) {
  using Kind = TransportFailure::Kind;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return Kind::resolve;
    case CURLE_COULDNT_CONNECT:
      return Kind::connect;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
      return Kind::tls;
    case CURLE_OPERATION_TIMEDOUT:
      return Kind::timeout;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_FAILED_INIT:
    case CURLE_OUT_OF_MEMORY:
      return Kind::refused;
    default:
      return Kind::broken;
  }
}

}  // namespace

Transfer::Transfer(const CurlLibrary& curl, TransferId number, BodySink* sink)
    : id(number), easy(curl.easy_init()), curl_(curl), sink_(sink) {
  done.id = number;
}

Transfer::~Transfer() {
  if (easy != nullptr) curl_.easy_cleanup(easy);
  if (headers_ != nullptr) curl_.slist_free_all(headers_);
}

template <class Value>
void Transfer::set(CURLoption option, Value value) {
  if (curl_.easy_setopt(easy, option, value) != CURLE_OK) refused_ = true;
}

void Transfer::set_blob(CURLoption option, const std::string& text) {
  if (text.empty()) return;
  // libcurl copies it and does not write through the pointer.
  curl_blob blob{
      .data = const_cast<char*>(text.data()), .len = text.size(), .flags = CURL_BLOB_COPY};
  set(option, &blob);
}

void Transfer::prepare_tls(const TlsMaterial& tls) {
  const bool verify = tls.verify && tls.pinned_key.empty();
  set(CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
  set(CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
  if (!tls.pinned_key.empty()) set(CURLOPT_PINNEDPUBLICKEY, tls.pinned_key.c_str());
  set_blob(CURLOPT_CAINFO_BLOB, tls.authorities);
  set_blob(CURLOPT_SSLCERT_BLOB, tls.certificate);
  set_blob(CURLOPT_SSLKEY_BLOB, tls.key);
}

void Transfer::prepare_method(const HttpRequest& request) {
  if (request.method == Method::head) set(CURLOPT_NOBODY, 1L);
  if (request.method == Method::get || request.method == Method::head) return;
  upload_ = request.upload;
  if (upload_ != nullptr) {
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_READFUNCTION, &Transfer::on_upload);
    set(CURLOPT_READDATA, this);
    set(CURLOPT_SEEKFUNCTION, &Transfer::on_seek);
    set(CURLOPT_SEEKDATA, this);
    set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(upload_->size()));
    set(CURLOPT_UPLOAD_BUFFERSIZE, kBuffer);
  } else {
    body_ = request.body;
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body_.size()));
    set(CURLOPT_POSTFIELDS, body_.c_str());
  }
  set(CURLOPT_CUSTOMREQUEST, method_name(request.method).data());
}

bool Transfer::prepare(const HttpRequest& request, const HttpSettings& settings) {
  if (easy == nullptr) return false;
  for (const std::string& header : request.headers) {
    curl_slist* longer = curl_.slist_append(headers_, header.c_str());
    if (longer == nullptr) return false;
    headers_ = longer;
  }
  set(CURLOPT_PRIVATE, this);
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTPHEADER, headers_);
  set(CURLOPT_USERAGENT, "nexcage");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_ERRORBUFFER, error_text_.data());
  set(CURLOPT_BUFFERSIZE, kBuffer);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_HTTP_VERSION,
      static_cast<long>(request.own_connection ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS));
  if (request.new_connection) set(CURLOPT_FRESH_CONNECT, 1L);
  set(CURLOPT_LOW_SPEED_LIMIT, kSlowest);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(settings.stall.count()));
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(settings.connect.count()));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(request.limit.count()));
  // "Expect: 100-continue" costs a second with servers that do not know it.
  set(CURLOPT_EXPECT_100_TIMEOUT_MS, 200L);
  set(CURLOPT_HEADERFUNCTION, &Transfer::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, &Transfer::on_body);
  set(CURLOPT_WRITEDATA, this);
  prepare_method(request);
  if (request.tls != nullptr) prepare_tls(*request.tls);
  if (request.tell_certificate) set(CURLOPT_CERTINFO, 1L);
  tell_certificate_ = request.tell_certificate;
  return !refused_;
}

bool Transfer::take_header(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaders) {
    done.failure = {.kind = TransportFailure::Kind::refused,
                    .text = "the answer's header is longer than 64 KiB",
                    .error = std::nullopt};
    return false;
  }
  line = trim(line);
  if (line.starts_with("HTTP/")) {  // also after "100 Continue" and a proxy's answer
    done.response = {};
    const std::size_t space = line.find(' ');
    const auto status =
        space == std::string_view::npos ? std::nullopt : parse_u64(line.substr(space + 1, 3));
    done.response.status = static_cast<int>(status.value_or(0));
    if (space != std::string_view::npos && line.size() > space + 5)
      done.response.reason = line.substr(space + 5);
    return true;
  }
  const std::size_t colon = line.find(':');
  if (colon != std::string_view::npos)
    done.response.headers.emplace_back(to_lower(line.substr(0, colon)),
                                       trim(line.substr(colon + 1)));
  return true;
}

Result<> Transfer::begin_body() {
  if (body_begun_) return {};
  body_begun_ = true;
  return sink_ != nullptr && done.response.ok() ? sink_->begin(done.response) : Result<>();
}

Result<> Transfer::take_body(std::span<const std::byte> bytes) {
  done.received += bytes.size();
  NX_CHECK(begin_body());
  if (sink_ != nullptr && done.response.ok()) return sink_->data(bytes);
  const std::size_t room = kMaxErrorBody - done.error_body.size();
  done.error_body.append(reinterpret_cast<const char*>(bytes.data()), std::min(room, bytes.size()));
  if (done.received > kMaxThrownAway)
    return fail(Errc::RegistryError, "an answer of HTTP status " +
                                         std::to_string(done.response.status) +
                                         " with more than 1 MiB");
  return {};
}

std::size_t Transfer::on_header(char* text, std::size_t size, std::size_t count, void* self) {
  const std::size_t length = size * count;
  return static_cast<Transfer*>(self)->take_header({text, length}) ? length : 0;
}

std::size_t Transfer::on_body(char* data, std::size_t size, std::size_t count, void* self) {
  auto* transfer = static_cast<Transfer*>(self);
  const std::size_t length = size * count;
  auto taken = transfer->take_body(std::as_bytes(std::span(data, length)));
  if (taken) return length;
  transfer->done.failure = {.kind = TransportFailure::Kind::sink,
                            .text = taken.error().message(),
                            .error = taken.error()};
  return CURL_WRITEFUNC_ERROR;
}

std::size_t Transfer::on_upload(char* buffer, std::size_t size, std::size_t count, void* self) {
  auto* transfer = static_cast<Transfer*>(self);
  auto read = transfer->upload_->read(transfer->uploaded_,
                                      std::as_writable_bytes(std::span(buffer, size * count)));
  if (!read) {
    transfer->done.failure = {.kind = TransportFailure::Kind::sink,
                              .text = read.error().message(),
                              .error = read.error()};
    return CURL_READFUNC_ABORT;
  }
  transfer->uploaded_ += *read;
  return *read;
}

int Transfer::on_seek(void* self, curl_off_t offset, int origin) {
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Transfer*>(self)->uploaded_ = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

std::string Transfer::peer_certificate() const {
  curl_certinfo* chain = nullptr;
  if (easy == nullptr || curl_.easy_getinfo(easy, CURLINFO_CERTINFO, &chain) != CURLE_OK ||
      chain == nullptr || chain->num_of_certs < 1)
    return {};
  constexpr std::string_view kField = "Cert:";
  for (const curl_slist* field = chain->certinfo[0]; field != nullptr; field = field->next)
    if (const std::string_view text = field->data; text.starts_with(kField))
      return std::string(text.substr(kField.size()));
  return {};
}

Finished Transfer::finish(CURLcode code) {
  if (tell_certificate_) done.certificate = peer_certificate();
  if (code == CURLE_OK && !done.failure) {
    if (auto begun = begin_body(); !begun)
      done.failure = {.kind = TransportFailure::Kind::sink,
                      .text = begun.error().message(),
                      .error = begun.error()};
  } else if (!done.failure) {
    const std::string_view said = error_text_.c_str();
    done.failure = {.kind = kind_of(code),
                    .text = said.empty() ? curl_.easy_strerror(code) : std::string(said),
                    .error = std::nullopt};
  }
  return std::move(done);
}

}  // namespace nexcage::registry::client
