#include <fcntl.h>

#include <array>

#include "nexcage/registry/client/pull.h"
#include "nexcage/registry/client/push.h"

namespace nexcage::registry::client {

namespace {

std::unexpected<Error> refuse(std::string_view member, std::string_view why) {
  return fail(Errc::InvalidJson, "the request: " + std::string(member) + " " + std::string(why));
}

Result<std::string> text_of(const json::Value& value, std::string_view member) {
  const json::Value* found = value.find(member);
  if (found == nullptr || found->is_null()) return std::string();
  const std::string* text = found->if_string();
  if (text == nullptr) return refuse(member, "is no string");
  return *text;
}

Result<oci::Platform> parse_platform(const json::Value& request) {
  const json::Value* value = request.find("platform");
  if (value == nullptr || value->is_null()) return oci::host_platform();
  oci::Platform platform;
  NX_TRY(platform.os, text_of(*value, "os"));
  NX_TRY(platform.architecture, text_of(*value, "architecture"));
  NX_TRY(platform.variant, text_of(*value, "variant"));
  if (platform.os.empty() || platform.architecture.empty())
    return refuse("platform", "lacks os or architecture");
  return platform;
}

Result<> check_repositories(const std::vector<Endpoint>& endpoints) {
  for (const Endpoint& endpoint : endpoints)
    if (endpoint.repository.empty()) return refuse("endpoints", "has one without a repository");
  return {};
}

/// A whole number within its bounds, through `take`.
template <class Take>
Result<> number(const json::Value& settings, std::string_view name, std::uint64_t least,
                std::uint64_t most, Take take) {
  const json::Value* found = settings.find(name);
  if (found == nullptr || found->is_null()) return {};
  const auto value = found->as_u64();
  if (!value || *value < least || *value > most)
    return refuse(name,
                  "is not a number from " + std::to_string(least) + " to " + std::to_string(most));
  take(*value);
  return {};
}

}  // namespace

Result<FetchSettings> parse_settings(const json::Value& request) {
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  FetchSettings out;
  const json::Value* value = request.find("settings");
  if (value == nullptr || value->is_null()) return out;
  const auto narrow = [](std::uint64_t n) { return static_cast<unsigned>(n); };
  NX_CHECK(number(*value, "parallel_blobs", 1, 16,
                  [&](std::uint64_t n) { out.parallel_blobs = narrow(n); }));
  NX_CHECK(number(*value, "connections_per_blob", 1, 16,
                  [&](std::uint64_t n) { out.connections_per_blob = narrow(n); }));
  NX_CHECK(number(*value, "piece_bytes", 4096, 1u << 30, [&](std::uint64_t n) { out.piece = n; }));
  NX_CHECK(number(*value, "widen_after_ms", 0, 3'600'000,
                  [&](std::uint64_t n) { out.widen_after = milliseconds(n); }));
  NX_CHECK(
      number(*value, "retries", 0, 100, [&](std::uint64_t n) { out.retry.retries = narrow(n); }));
  NX_CHECK(number(*value, "retry_delay_ms", 1, 60'000,
                  [&](std::uint64_t n) { out.retry.first = milliseconds(n); }));
  NX_CHECK(number(*value, "retry_after_seconds", 0, 86'400,
                  [&](std::uint64_t n) { out.retry.most_asked = seconds(n); }));
  NX_CHECK(number(*value, "stall_seconds", 1, 3600,
                  [&](std::uint64_t n) { out.http.stall = seconds(n); }));
  NX_CHECK(number(*value, "connect_seconds", 1, 3600,
                  [&](std::uint64_t n) { out.http.connect = seconds(n); }));
  return out;
}

Result<std::vector<Endpoint>> parse_endpoints(const json::Value& request) {
  std::vector<Endpoint> out;
  if (const json::Value* one = request.find("endpoint")) {
    NX_TRY(Endpoint endpoint, parse_endpoint(*one));
    out.push_back(std::move(endpoint));
    return out;
  }
  const json::Value* endpoints = request.find("endpoints");
  const json::Array* list = endpoints != nullptr ? endpoints->if_array() : nullptr;
  if (list == nullptr || list->empty()) return refuse("endpoints", "is no list with a member");
  for (const json::Value& member : *list) {
    NX_TRY(Endpoint endpoint, parse_endpoint(member));
    out.push_back(std::move(endpoint));
  }
  return out;
}

Result<PullRequest> parse_pull_request(const json::Value& value) {
  PullRequest out;
  NX_TRY(out.images, text_of(value, "images"));
  if (!out.images.starts_with('/')) return refuse("images", "is no absolute path");
  NX_TRY(std::string reference, text_of(value, "reference"));
  NX_TRY(out.reference, oci::Reference::parse(reference));
  NX_TRY(out.platform, parse_platform(value));
  NX_TRY(out.endpoints, parse_endpoints(value));
  NX_CHECK(check_repositories(out.endpoints));
  NX_TRY(std::string digest, text_of(value, "if_digest"));
  if (!digest.empty()) {
    NX_TRY(out.if_digest, oci::Digest::parse(digest), "if_digest");
  }
  const json::Value* trust = value.find("trust");
  if (trust == nullptr) return refuse("trust", "is missing");
  NX_TRY(out.trust, parse_trust(*trust));
  NX_TRY(out.settings, parse_settings(value));
  NX_TRY(out.tars, text_of(value, "tars"));
  if (!out.tars.empty() && !out.tars.starts_with('/')) return refuse("tars", "is no absolute path");
  return out;
}

Result<std::vector<EndpointTls>> read_tls(const std::vector<Endpoint>& endpoints) {
  std::vector<EndpointTls> tls;
  for (const Endpoint& endpoint : endpoints) {
    NX_TRY(EndpointTls read, read_tls(endpoint.tls), "registry " + std::string(endpoint.host()));
    tls.push_back(std::move(read));
  }
  return tls;
}

Result<PullPlace> prepare_pull(const PullRequest& request) {
  NX_TRY(Staging staging, Staging::open(request.images));
  NX_TRY(auto tls, read_tls(request.endpoints));
  std::optional<TarStaging> tars;
  if (!request.tars.empty()) {
    NX_TRY(tars, TarStaging::open(request.tars));
  }
  return PullPlace{.staging = std::move(staging), .tars = std::move(tars), .tls = std::move(tls)};
}

Result<PushRequest> parse_push_request(const json::Value& value) {
  NX_TRY(std::string digest, text_of(value, "manifest"));
  NX_TRY(oci::Digest manifest, oci::Digest::parse(digest), "manifest");
  PushRequest out{.images = {},
                  .manifest = std::move(manifest),
                  .reference = {},
                  .endpoints = {},
                  .mount_from = {},
                  .settings = {},
                  .upload = {}};
  NX_TRY(out.images, text_of(value, "images"));
  if (!out.images.starts_with('/')) return refuse("images", "is no absolute path");
  NX_TRY(std::string reference, text_of(value, "reference"));
  NX_TRY(out.reference, oci::Reference::parse(reference));
  NX_TRY(out.endpoints, parse_endpoints(value));
  NX_CHECK(check_repositories(out.endpoints));
  NX_TRY(out.settings, parse_settings(value));
  if (const json::Value* settings = value.find("settings"))
    NX_CHECK(number(*settings, "chunk_bytes", 1, 1u << 30,
                    [&](std::uint64_t n) { out.upload.chunk = n; }));
  const json::Value* from = value.find("mount_from");
  const json::Array* list = from != nullptr ? from->if_array() : nullptr;
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const std::string* repository = (*list)[i].if_string();
    if (repository == nullptr || repository->empty())
      return refuse("mount_from", "holds no repository");
    out.mount_from.push_back(*repository);
  }
  return out;
}

}  // namespace nexcage::registry::client
