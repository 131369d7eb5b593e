#include "nexcage/registry/client/pull.h"

#include <algorithm>
#include <set>

#include "nexcage/base/text.h"
#include "nexcage/image/load.h"
#include "nexcage/registry/client/attached.h"
#include "nexcage/registry/client/documents.h"
#include "nexcage/registry/client/fetcher.h"

namespace nexcage::registry::client {

namespace {

/// Indexes in indexes, as deep as the store follows them.
constexpr int kMaxNesting = 4;

bool serves(const Endpoint& endpoint, const oci::Reference& reference) {
  switch (endpoint.serves) {
    case Endpoint::Serves::all:
      return true;
    case Endpoint::Serves::digest:
      return reference.digest.has_value();
    case Endpoint::Serves::tag:
      return !reference.digest;
  }
  return false;
}

/// What the reference leads to.
struct Resolved {
  bool unchanged = false;         // then there are no documents
  std::optional<Document> index;  // the outermost one
  std::vector<Document> inner;    // indexes in it, seldom any
  std::optional<Document> manifest;
  std::string config_text;
  std::vector<image::LayerBlob> layers;
  std::optional<oci::Descriptor> config;
};

class Puller {
 public:
  Puller(const PullRequest& request, PullPlace place, HttpSession& session, Events& events)
      : request_(request),
        staging_(std::move(place.staging)),
        tars_(std::move(place.tars)),
        session_(session),
        events_(events) {
    for (std::size_t i = 0; i < request.endpoints.size(); ++i)
      if (serves(request.endpoints[i], request.reference))
        owned_.push_back(std::make_unique<Remote>(session, request.endpoints[i],
                                                  std::move(place.tls[i]), request.settings.retry,
                                                  events));
    for (const auto& remote : owned_) {
      remote->set_alternatives(remote != owned_.back());
      remotes_.push_back(remote.get());
    }
  }

  Result<json::Value> run();

 private:
  /// What the store has was accepted by an older policy: signatures are looked at anew.
  bool may_be_unchanged() const {
    return request_.if_digest && request_.trust.requirements.empty();
  }
  Result<std::optional<Document>> resolve();
  Result<std::optional<Document>> resolve_at(Remote& remote);
  Result<> follow(Document top, Resolved& out);
  Result<Document> get(const oci::Descriptor& descriptor);
  Result<std::string> config_text(const oci::Descriptor& config);
  Result<> read_config(Resolved& out);
  Result<> check_trust(const Resolved& resolved) const;
  Result<> fetch_layers(const Resolved& resolved);
  Result<> keep_documents(const Resolved& resolved);
  void announce(const Resolved& resolved);
  json::Value answer(const Resolved& resolved) const;

  const PullRequest& request_;
  Staging staging_;
  std::optional<TarStaging> tars_;
  HttpSession& session_;
  Events& events_;
  std::vector<std::unique_ptr<Remote>> owned_;
  std::vector<Remote*> remotes_;  // the one that knew the image first
};

/// The document the reference names, nullopt when the store has it.
Result<std::optional<Document>> Puller::resolve_at(Remote& remote) {
  const oci::Reference& reference = request_.reference;
  if (may_be_unchanged() && !reference.digest) {
    NX_TRY(const auto digest, head_manifest(remote, reference.tag));
    if (digest == request_.if_digest) return std::nullopt;
  }
  NX_TRY(Document document, get_manifest(remote, reference.tag, reference.digest));
  return document;
}

Result<std::optional<Document>> Puller::resolve() {
  if (may_be_unchanged() && request_.reference.digest == request_.if_digest) return std::nullopt;
  std::vector<std::string> others;
  for (std::size_t i = 0; i < remotes_.size(); ++i) {
    events_.endpoint(remotes_[i]->endpoint().url);
    auto found = resolve_at(*remotes_[i]);
    if (found) {
      std::rotate(remotes_.begin(), remotes_.begin() + static_cast<std::ptrdiff_t>(i),
                  remotes_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      return found;
    }
    if (i + 1 < remotes_.size()) {
      others.push_back(found.error().message());
      events_.retry("manifest", others.back(), std::chrono::milliseconds(0));
      continue;
    }
    if (others.empty()) return found;
    return fail(
        std::move(found).error().wrap("after other endpoints (" + join(others, "; ") + ")"));
  }
  return fail(Errc::ImageNotFound, std::string("no endpoint may be asked for a ") +
                                       (request_.reference.digest ? "digest" : "tag"));
}

/// A manifest that an index names, from the first endpoint that has it.
Result<Document> Puller::get(const oci::Descriptor& descriptor) {
  Result<Document> last = fail(Errc::RegistryError, "no endpoint");
  for (Remote* remote : remotes_) {
    last = get_manifest(*remote, {}, descriptor.digest);
    if (last) break;
  }
  if (!last) return last;
  if (last->text.size() != descriptor.size)
    return fail(Errc::InvalidImage, "manifest " + descriptor.digest.str() + " has " +
                                        std::to_string(last->text.size()) + " bytes, not " +
                                        std::to_string(descriptor.size));
  return last;
}

Result<> Puller::follow(Document top, Resolved& out) {
  for (int depth = 0; top.is_index(); ++depth) {
    const std::string name = "index " + top.digest.str();
    if (depth == kMaxNesting) return fail(Errc::InvalidImage, name + ": nested too deep");
    NX_TRY(const oci::Index index, oci::parse_index(top.value), name);
    const oci::Descriptor* chosen = oci::choose_platform(index, request_.platform);
    if (chosen == nullptr)
      return fail(Errc::ImageNotFound, name + ": has no image for " +
                                           oci::platform_text(request_.platform) + ", only for " +
                                           oci::platform_list(index));
    NX_TRY(Document next, get(*chosen));
    if (out.index)
      out.inner.push_back(std::move(top));
    else
      out.index = std::move(top);
    top = std::move(next);
  }
  out.manifest = std::move(top);
  return {};
}

/// From the store when it is there and whole, else from the endpoints.
Result<std::string> Puller::config_text(const oci::Descriptor& config) {
  if (config.size <= kMaxDocument) {
    NX_TRY(const auto kept, staging_.read(config.digest, config.size));
    if (kept) {
      NX_TRY(const bool whole, has_digest(*kept, config.digest));
      if (whole) return *kept;
    }
  }
  return get_small_blob(remotes_, config, "config");
}

Result<> Puller::read_config(Resolved& out) {
  const std::string name = "manifest " + out.manifest->digest.str();
  NX_TRY(oci::Manifest manifest, oci::parse_manifest(out.manifest->value), name);
  NX_TRY(out.config_text, config_text(manifest.config));
  auto value = json::parse(out.config_text);
  if (!value) return fail(std::move(value).error().as(Errc::InvalidImage).wrap(name + ": config"));
  NX_TRY(const oci::ImageConfig config, oci::parse_image_config(*value), name + ": config");
  NX_TRY(out.layers, image::match_layers(manifest, config), name);
  out.config = std::move(manifest.config);
  return {};
}

/// A signature of the image's own manifest counts, and one of the index that names it.
Result<> Puller::check_trust(const Resolved& resolved) const {
  if (request_.trust.requirements.empty()) return {};
  std::vector<oci::Digest> manifests = {resolved.manifest->digest};
  if (resolved.index) manifests.push_back(resolved.index->digest);
  return check_signatures(remotes_, request_.trust, request_.reference, manifests);
}

Result<> Puller::fetch_layers(const Resolved& resolved) {
  std::vector<BlobPromise> blobs;
  std::set<oci::Digest> seen;
  for (const image::LayerBlob& layer : resolved.layers) {
    if (!seen.insert(layer.blob.digest).second) continue;
    blobs.push_back(
        {.digest = layer.blob.digest,
         .size = layer.blob.size,
         .layer = BlobPromise::Layer{.compression = layer.compression, .diff_id = layer.diff_id}});
  }
  return fetch_blobs(blobs, {.session = session_,
                             .staging = staging_,
                             .remotes = remotes_,
                             .settings = request_.settings,
                             .events = events_,
                             .tars = tars_ ? &*tars_ : nullptr});
}

Result<> Puller::keep_documents(const Resolved& resolved) {
  NX_CHECK(staging_.add_document(resolved.config->digest, resolved.config_text));
  NX_CHECK(staging_.add_document(resolved.manifest->digest, resolved.manifest->text));
  for (const Document& inner : resolved.inner)
    NX_CHECK(staging_.add_document(inner.digest, inner.text));
  if (!resolved.index) return {};
  return staging_.add_document(resolved.index->digest, resolved.index->text);
}

void Puller::announce(const Resolved& resolved) {
  json::Array layers;
  std::uint64_t size = resolved.manifest->text.size() + resolved.config->size;
  for (const image::LayerBlob& layer : resolved.layers) {
    json::Object out;
    out.append("digest", layer.blob.digest.str());
    out.append("size", layer.blob.size);
    layers.emplace_back(std::move(out));
    size += layer.blob.size;
  }
  json::Object fields;
  fields.append("digest", resolved.manifest->digest.str());
  fields.append("size", size);
  fields.append("layers", std::move(layers));
  events_.emit("resolved", fields);
}

json::Value blob_json(const oci::Digest& digest, std::uint64_t size, json::Value diff_id) {
  json::Object out;
  out.append("digest", digest.str());
  out.append("size", size);
  out.append("diff_id", std::move(diff_id));
  return out;
}

json::Value Puller::answer(const Resolved& resolved) const {
  json::Object out;
  out.append("unchanged", resolved.unchanged);
  out.append("endpoint", remotes_.empty() ? std::string() : remotes_.front()->endpoint().url);
  out.append("wire_bytes", session_.received());
  if (resolved.unchanged) return out;
  json::Array blobs;
  for (const Document* document :
       {resolved.index ? &*resolved.index : nullptr, &*resolved.manifest})
    if (document != nullptr)
      blobs.push_back(blob_json(document->digest, document->text.size(), nullptr));
  for (const Document& inner : resolved.inner)
    blobs.push_back(blob_json(inner.digest, inner.text.size(), nullptr));
  blobs.push_back(blob_json(resolved.config->digest, resolved.config->size, nullptr));
  std::set<oci::Digest> seen;
  for (const image::LayerBlob& layer : resolved.layers)
    if (seen.insert(layer.blob.digest).second)
      blobs.push_back(blob_json(layer.blob.digest, layer.blob.size, layer.diff_id.str()));
  out.append("manifest", oci::to_json(resolved.manifest->descriptor()));
  out.append("index", resolved.index ? oci::to_json(resolved.index->descriptor()) : nullptr);
  out.append("blobs", std::move(blobs));
  return out;
}

Result<json::Value> Puller::run() {
  Resolved resolved;
  NX_TRY(auto top, resolve());
  if (!top) {
    resolved.unchanged = true;
    return answer(resolved);
  }
  NX_CHECK(follow(*std::move(top), resolved));
  NX_CHECK(check_trust(resolved));
  NX_CHECK(read_config(resolved));
  announce(resolved);
  NX_CHECK(fetch_layers(resolved));
  NX_CHECK(keep_documents(resolved));
  return answer(resolved);
}

}  // namespace

Result<json::Value> run_pull(const PullRequest& request, PullPlace place, Events& events) {
  NX_TRY(auto session, HttpSession::create(request.settings.http));
  Puller puller(request, std::move(place), *session, events);
  NX_TRY(json::Value answer, puller.run(), request.reference.str());
  return answer;
}

}  // namespace nexcage::registry::client
