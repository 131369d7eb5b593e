// Talking to registries, as a confined process.
#include <fcntl.h>

#include <csignal>
#include <functional>

#include "nexcage/helpers/confine.h"
#include "nexcage/helpers/subcommand.h"
#include "nexcage/image/layout.h"
#include "nexcage/registry/client/listing.h"
#include "nexcage/registry/client/login.h"
#include "nexcage/registry/client/pull.h"
#include "nexcage/registry/client/push.h"

namespace nexcage::helpers {

namespace {

namespace client = registry::client;

constexpr int kEventsFd = 5;

Result<> confine_to(const std::string& images, std::vector<std::string> writable) {
  // A peer that closes its connection is an error of that connection.
  if (std::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return fail_errno("ignore SIGPIPE");
  Confinement keep{.read_only = network_files(),
                   .read_write = std::move(writable),
                   .capabilities = 0,
                   .network = Network::client};
  if (!images.empty()) keep.read_only.push_back(images + "/blobs");
  return confine(keep);
}

client::Events events() {
  return client::Events(::fcntl(kEventsFd, F_GETFD) >= 0 ? kEventsFd : -1);
}

}  // namespace

Result<json::Value> run_pull(const json::Value& request) {
  NX_TRY(client::PullRequest pull, client::parse_pull_request(request));
  NX_CHECK(client::load_http());
  NX_TRY(client::PullPlace place, client::prepare_pull(pull));
  std::vector<std::string> writable = {pull.images + "/" + std::string(client::kStagingDir)};
  if (!pull.tars.empty()) writable.push_back(pull.tars);
  NX_CHECK(confine_to(pull.images, std::move(writable)), "confine the puller");
  client::Events told = events();
  return client::run_pull(pull, std::move(place), told);
}

Result<json::Value> run_push(const json::Value& request) {
  NX_TRY(client::PushRequest push, client::parse_push_request(request));
  NX_CHECK(client::load_http());
  NX_TRY(const auto layout, image::Layout::open(push.images, image::Store::IfMissing::fail));
  NX_TRY(auto tls, client::read_tls(push.endpoints));
  NX_CHECK(confine_to(push.images, {}), "confine the pusher");
  client::Events told = events();
  return client::run_push(push, layout, std::move(tls), told);
}

namespace {

/// Endpoints, and what is to be done with the first of them that answers.
using Talk = std::function<Result<json::Value>(client::Remote& remote)>;

Result<json::Value> talk(const json::Value& request, const Talk& what) {
  NX_TRY(const auto endpoints, client::parse_endpoints(request));
  NX_TRY(const client::FetchSettings settings, client::parse_settings(request));
  NX_CHECK(client::load_http());
  NX_TRY(auto tls, client::read_tls(endpoints));
  NX_CHECK(confine_to({}, {}), "confine the client");
  NX_TRY(auto session, client::HttpSession::create(settings.http));
  client::Events told = events();
  Result<json::Value> answer = fail(Errc::RegistryError, "no endpoint");
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    client::Remote remote(*session, endpoints[i], std::move(tls[i]), settings.retry, told);
    remote.set_alternatives(i + 1 < endpoints.size());
    answer = what(remote);
    if (answer || remote.has_answered()) break;
  }
  return answer;
}

}  // namespace

Result<json::Value> run_login(const json::Value& request) {
  return talk(request, [](client::Remote& remote) -> Result<json::Value> {
    NX_CHECK(client::check_login(remote));
    json::Object out;
    out.append("endpoint", remote.endpoint().url);
    return out;
  });
}

Result<json::Value> run_tags(const json::Value& request) {
  return talk(request, [](client::Remote& remote) -> Result<json::Value> {
    NX_TRY(const auto tags, client::list_tags(remote));
    json::Object out;
    out.append("tags", json::Array(tags.begin(), tags.end()));
    return out;
  });
}

Result<json::Value> run_referrers(const json::Value& request) {
  const auto text = [&](std::string_view name) {
    const json::Value* member = request.find(name);
    const std::string* found = member != nullptr ? member->if_string() : nullptr;
    return found != nullptr ? *found : std::string();
  };
  NX_TRY(const oci::Digest subject, oci::Digest::parse(text("digest")), "digest");
  const std::string type = text("artifact_type");
  return talk(request, [&](client::Remote& remote) -> Result<json::Value> {
    NX_TRY(const auto referrers, client::list_referrers(remote, subject, type));
    json::Array list;
    for (const oci::Descriptor& descriptor : referrers) list.push_back(oci::to_json(descriptor));
    json::Object out;
    out.append("referrers", std::move(list));
    return out;
  });
}

}  // namespace nexcage::helpers
