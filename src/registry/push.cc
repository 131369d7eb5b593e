#include "nexcage/registry/push.h"

#include <algorithm>
#include <set>

#include "nexcage/image/load.h"
#include "nexcage/image/staged.h"
#include "nexcage/registry/plan.h"

namespace nexcage::registry {

namespace {

/// Every manifest that the index names is here, with its blobs.
Result<> check_complete(const image::Layout& layout, const oci::Descriptor& entry) {
  NX_TRY(const json::Value document, layout.read_document(entry));
  if (!image::is_index_type(entry.media_type)) {
    NX_TRY(const oci::Manifest manifest, oci::parse_manifest(document));
    NX_CHECK(layout.open_blob(manifest.config));
    for (const oci::Descriptor& layer : manifest.layers) NX_CHECK(layout.open_blob(layer));
    return {};
  }
  NX_TRY(const oci::Index index, oci::parse_index(document));
  for (const oci::Descriptor& member : index.manifests) {
    // One index in another is the most that anybody makes.
    if (image::is_index_type(member.media_type))
      return fail(Errc::Unsupported, "an index in an index");
    NX_CHECK(check_complete(layout, member));
  }
  return {};
}

/// Repositories of the same registry that may have the blobs.
json::Array mount_candidates(const image::Image& image, const oci::Reference& destination) {
  std::set<std::string> repositories;
  for (const oci::Reference& name : image.names)
    if (name.registry == destination.registry) repositories.insert(name.repository);
  const auto origin = image.entry.annotations.find(std::string(image::kOrigin));
  const std::string begin = destination.registry + "/";
  if (origin != image.entry.annotations.end() && origin->second.starts_with(begin))
    repositories.insert(origin->second.substr(begin.size()));
  repositories.erase(destination.repository);
  return {repositories.begin(), repositories.end()};
}

/// What a pull's helper says first, so that a push is shown the same way.
json::Value resolved_event(const image::Image& image, const oci::Digest& digest) {
  json::Array layers;
  for (const image::LayerBlob& layer : image.layers) {
    json::Object entry;
    entry.set("digest", layer.blob.digest.str());
    entry.set("size", layer.blob.size);
    layers.emplace_back(std::move(entry));
  }
  json::Object event;
  event.set("event", "resolved");
  event.set("digest", digest.str());
  event.set("size", image.total_size());
  event.set("layers", std::move(layers));
  return event;
}

std::size_t count_uploaded(const json::Value& answer) {
  const json::Value* blobs = answer.find("blobs");
  const json::Array* list = blobs != nullptr ? blobs->if_array() : nullptr;
  if (list == nullptr) return 0;
  return static_cast<std::size_t>(std::ranges::count_if(*list, [](const json::Value& blob) {
    const json::Value* state = blob.find("state");
    return state != nullptr && *state == json::Value("done");
  }));
}

}  // namespace

Result<Pushed> push_image(const image::Image& image, const oci::Reference& destination,
                          const Choices& choices, const TransferPlace& place,
                          const TransferWatch& watch) {
  const std::string what = "push " + destination.str();
  NX_TRY(const Files files, read_files(Environment::current(), choices), what);
  NX_TRY(const Plan plan, plan_push(files, destination, choices), what);
  NX_TRY(const Access access, complete(plan), what);
  NX_TRY(const image::Layout layout,
         image::Layout::open(place.images, image::Store::IfMissing::fail), what);
  const oci::Digest& digest =
      check_complete(layout, image.entry) ? image.entry.digest : image.manifest_descriptor.digest;
  json::Array endpoints;
  for (const Endpoint& endpoint : access.endpoints) endpoints.push_back(to_json(endpoint));
  json::Object request;
  request.set("images", place.images);
  request.set("manifest", digest.str());
  request.set("reference", destination.str());
  request.set("endpoints", std::move(endpoints));
  request.set("mount_from", mount_candidates(image, destination));
  request.set("settings", to_json(place.settings));
  if (watch.say) watch.say("Trying to push " + destination.str() + "...");
  if (watch.on_event) watch.on_event(resolved_event(image, digest));
  NX_TRY(const json::Value answer,
         image::call_helper(
             place.libexec, "push", std::move(request),
             {.input = -1, .output = -1, .on_event = watch.on_event, .on_tick = watch.on_tick}),
         what);
  return Pushed{.name = destination, .digest = digest, .uploaded = count_uploaded(answer)};
}

}  // namespace nexcage::registry
