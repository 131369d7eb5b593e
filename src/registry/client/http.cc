#include "nexcage/registry/client/http.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <map>

#include "nexcage/base/text.h"
#include "nexcage/registry/client/curl_library.h"
#include "nexcage/registry/client/http_transfer.h"

namespace nexcage::registry::client {

std::string_view method_name(Method method) {
  constexpr std::array<std::string_view, 6> kNames = {"GET",  "HEAD",  "PUT",
                                                      "POST", "PATCH", "DELETE"};
  return kNames.at(static_cast<std::size_t>(method));
}

std::string_view HttpResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

std::vector<std::string_view> HttpResponse::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [key, value] : headers)
    if (key == name) values.push_back(value);
  return values;
}

std::optional<std::uint64_t> HttpResponse::length() const {
  return parse_u64(header("content-length"));
}

Result<> TextSink::begin(const HttpResponse& response) {
  text_.clear();
  const auto length = response.length();
  if (length && *length > most_)
    return fail(Errc::InvalidImage, what_ + " has " + std::to_string(*length) +
                                        " bytes; more than " + std::to_string(most_) +
                                        " are not read");
  return {};
}

Result<> TextSink::data(std::span<const std::byte> bytes) {
  if (text_.size() + bytes.size() > most_)
    return fail(Errc::InvalidImage,
                what_ + " is longer than the " + std::to_string(most_) + " bytes that are read");
  text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return {};
}

Result<> load_http() {
  NX_CHECK(load_curl());
  return {};
}

struct HttpSession::State {
  const CurlLibrary& curl;
  HttpSettings settings;
  CURLM* multi = nullptr;
  TransferId last_id = 0;
  std::map<TransferId, std::unique_ptr<Transfer>> running{};
  std::deque<Finished> finished{};
  std::uint64_t received = 0;

  /// Runs what can run and collects what has ended.
  void advance();
  void wait(SteadyTime until);
  std::unique_ptr<Transfer> take(TransferId id);
};

std::unique_ptr<Transfer> HttpSession::State::take(TransferId id) {
  auto found = running.find(id);
  if (found == running.end()) return nullptr;
  std::unique_ptr<Transfer> transfer = std::move(found->second);
  running.erase(found);
  if (transfer->easy != nullptr) (void)curl.multi_remove_handle(multi, transfer->easy);
  return transfer;
}

void HttpSession::State::advance() {
  int count = 0;
  (void)curl.multi_perform(multi, &count);
  int left = 0;
  while (const CURLMsg* message = curl.multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    char* owner = nullptr;
    (void)curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
    auto transfer = take(reinterpret_cast<Transfer*>(owner)->id);
    received += transfer->done.received;
    finished.push_back(transfer->finish(code));
  }
}

void HttpSession::State::wait(SteadyTime until) {
  using std::chrono::milliseconds;
  constexpr milliseconds kLongest{60'000};
  const auto left = std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now());
  const auto time = std::clamp(left, milliseconds(0), kLongest);
  int events = 0;
  (void)curl.multi_poll(multi, nullptr, 0, static_cast<int>(time.count()), &events);
}

HttpSession::HttpSession(std::unique_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<HttpSession>> HttpSession::create(const HttpSettings& settings) {
  NX_TRY(const CurlLibrary* curl, load_curl());
  CURLM* multi = curl->multi_init();
  if (multi == nullptr) return fail(Errc::OutOfMemory, "start an HTTP session");
  auto state = std::make_unique<State>(*curl, settings, multi);
  const long connections = settings.host_connections;
  (void)curl->multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
  (void)curl->multi_setopt(multi, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX));
  return std::unique_ptr<HttpSession>(new HttpSession(std::move(state)));
}

HttpSession::~HttpSession() {
  while (!state_->running.empty()) cancel(state_->running.begin()->first);
  (void)state_->curl.multi_cleanup(state_->multi);
}

TransferId HttpSession::start(const HttpRequest& request, BodySink* sink) {
  auto transfer = std::make_unique<Transfer>(state_->curl, ++state_->last_id, sink);
  Transfer& made = *transfer;
  const bool ready = made.prepare(request, state_->settings);
  state_->running.emplace(made.id, std::move(transfer));
  if (ready && state_->curl.multi_add_handle(state_->multi, made.easy) == CURLM_OK) return made.id;
  const TransferId id = made.id;
  state_->finished.push_back(state_->take(id)->finish(CURLE_FAILED_INIT));
  return id;
}

void HttpSession::cancel(TransferId id) {
  if (auto transfer = state_->take(id)) state_->received += transfer->done.received;
  std::erase_if(state_->finished, [&](const Finished& done) { return done.id == id; });
}

std::optional<Finished> HttpSession::next(SteadyTime until) {
  state_->advance();
  if (state_->finished.empty()) {
    state_->wait(until);
    state_->advance();
  }
  if (state_->finished.empty()) return std::nullopt;
  Finished done = std::move(state_->finished.front());
  state_->finished.pop_front();
  return done;
}

Finished HttpSession::perform(const HttpRequest& request, BodySink* sink) {
  const TransferId id = start(request, sink);
  while (true) {
    auto found = std::ranges::find(state_->finished, id, &Finished::id);
    if (found != state_->finished.end()) {
      Finished done = std::move(*found);
      state_->finished.erase(found);
      return done;
    }
    state_->wait(std::chrono::steady_clock::now() + std::chrono::seconds(1));
    state_->advance();
  }
}

void HttpSession::sleep_until(SteadyTime until) {
  while (std::chrono::steady_clock::now() < until) {
    state_->wait(until);
    state_->advance();
  }
}

void HttpSession::wake() { (void)state_->curl.multi_wakeup(state_->multi); }

std::uint64_t HttpSession::received() const {
  std::uint64_t total = state_->received;
  for (const auto& [id, transfer] : state_->running) total += transfer->done.received;
  return total;
}

}  // namespace nexcage::registry::client
