#include "nexcage/registry/client/push.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <set>

#include "nexcage/image/content/stream.h"
#include "nexcage/image/load.h"
#include "nexcage/registry/client/documents.h"
#include "nexcage/registry/client/listing.h"
#include "nexcage/sys/fs.h"

namespace nexcage::registry::client {

namespace {

constexpr int kMaxIndexNesting = 4;
constexpr std::chrono::seconds kDocumentLimit{120};

/// A manifest or index of the store, checked.
Result<Document> read_document(const image::Layout& layout, const oci::Digest& digest) {
  const std::string what = "manifest " + digest.str();
  auto text = sys::read_file(layout.fd(), digest.blob_path(), kMaxDocument);
  if (!text && text.error().sys_errno() == ENOENT)
    return fail(Errc::InvalidImage, what + " is missing from the store");
  if (!text) return fail(std::move(text).error().wrap(what));
  NX_TRY(auto hasher, image::content::Hasher::create(digest.algorithm()));
  hasher.update(std::as_bytes(std::span(*text)));
  if (hasher.finish() != digest) return fail(Errc::InvalidImage, what + " is damaged");
  auto value = json::parse(*text);
  if (!value) return fail(std::move(value).error().as(Errc::InvalidImage).wrap(what));
  NX_TRY(std::string type, manifest_type("", *value), what);
  return Document{.media_type = std::move(type),
                  .digest = digest,
                  .text = *std::move(text),
                  .value = *std::move(value)};
}

class Pusher {
 public:
  Pusher(const PushRequest& request, const image::Layout& layout, Remote& remote, Events& events)
      : request_(request), layout_(layout), remote_(remote), events_(events) {}

  Result<json::Value> run();

 private:
  Result<> push_document(const oci::Digest& digest, const std::string& reference, int depth);
  Result<> push_manifest(const Document& document);
  Result<> push_blob(const oci::Descriptor& blob);
  Result<> put(const Document& document, const std::string& reference);
  Result<> list_as_referrer(const Document& document, const oci::Descriptor& subject);

  const PushRequest& request_;
  const image::Layout& layout_;
  Remote& remote_;
  Events& events_;
  std::set<oci::Digest> pushed_;
  json::Array blobs_;
};

Result<> Pusher::push_blob(const oci::Descriptor& blob) {
  if (!pushed_.insert(blob.digest).second) return {};
  NX_TRY(UniqueFd file, layout_.open_blob(blob));
  BlobUpload upload(remote_, {.digest = blob.digest, .size = blob.size, .fd = file.get()},
                    request_.mount_from, request_.upload);
  NX_TRY(const Uploaded how, upload.run());
  events_.blob(blob.digest, upload_state(how));
  json::Object out;
  out.append("digest", blob.digest.str());
  out.append("size", blob.size);
  out.append("state", upload_state(how));
  blobs_.emplace_back(std::move(out));
  return {};
}

Result<> Pusher::push_manifest(const Document& document) {
  NX_TRY(const oci::Manifest manifest, oci::parse_manifest(document.value));
  for (const oci::Descriptor& layer : manifest.layers) NX_CHECK(push_blob(layer));
  return push_blob(manifest.config);
}

Result<> Pusher::push_document(const oci::Digest& digest, const std::string& reference, int depth) {
  const std::string what = "manifest " + digest.str();
  if (depth > kMaxIndexNesting) return fail(Errc::InvalidImage, what + ": nested too deep");
  NX_TRY(const Document document, read_document(layout_, digest));
  if (document.is_index()) {
    NX_TRY(const oci::Index index, oci::parse_index(document.value), what);
    for (const oci::Descriptor& entry : index.manifests) {
      // A registry takes an index only when it has all it names.
      NX_CHECK(push_document(entry.digest, entry.digest.str(), depth + 1), "index " + digest.str());
    }
  } else {
    NX_CHECK(push_manifest(document), what);
  }
  return put(document, reference);
}

Result<> Pusher::put(const Document& document, const std::string& reference) {
  Ask ask;
  ask.method = Method::put;
  ask.target = remote_.path("manifests/" + reference);
  ask.scope = remote_.scope("pull,push");
  ask.what = "manifest " + reference;
  ask.limit = kDocumentLimit;
  ask.headers = {"Content-Type: " + document.media_type};
  ask.body = document.text;
  NX_TRY(const Finished done, remote_.ask_ok(ask, nullptr));
  const auto stored = oci::Digest::parse(done.response.header("docker-content-digest"));
  if (stored && *stored != document.digest)
    return fail(remote_.describe(
        Error(Errc::RegistryError, "the registry stored another document: " + stored->str()),
        ask.what));
  const json::Value* subject = document.value.find("subject");
  if (subject == nullptr || subject->is_null() || !done.response.header("oci-subject").empty())
    return {};
  NX_TRY(const oci::Descriptor descriptor, oci::parse_descriptor(*subject, "/subject"));
  return list_as_referrer(document, descriptor);
}

/// For a registry without the referrers API: adds the document to the list under the subject's tag.
Result<> Pusher::list_as_referrer(const Document& document, const oci::Descriptor& subject) {
  const std::string tag = referrers_tag(subject.digest);
  oci::Index index;
  index.media_type = oci::media::kIndex;
  auto held = get_manifest(remote_, tag, std::nullopt);
  if (!held && held.error().code() != Errc::ImageNotFound) return fail(std::move(held).error());
  if (held) {
    NX_TRY(index, oci::parse_index(held->value), "referrers tag " + tag);
  }
  for (const oci::Descriptor& known : index.manifests)
    if (known.digest == document.digest) return {};
  oci::Descriptor entry = document.descriptor();
  const json::Value* type = document.value.find("artifactType");
  const json::Value* config = document.value.find("config");
  if (type == nullptr && config != nullptr) type = config->find("mediaType");
  if (type != nullptr && type->if_string() != nullptr) entry.artifact_type = *type->if_string();
  index.manifests.push_back(std::move(entry));
  Document list{.media_type = index.media_type,
                .digest = document.digest,
                .text = json::dump(oci::to_json(index)),
                .value = nullptr};
  list.digest = image::content::sha256_of(list.text);
  return put(list, tag);
}

Result<json::Value> Pusher::run() {
  const oci::Reference& reference = request_.reference;
  NX_CHECK(push_document(request_.manifest,
                         reference.tag.empty() ? request_.manifest.str() : reference.tag, 0));
  json::Object out;
  out.append("manifest", request_.manifest.str());
  out.append("endpoint", remote_.endpoint().url);
  out.append("blobs", std::move(blobs_));
  return out;
}

}  // namespace

Result<json::Value> run_push(const PushRequest& request, const image::Layout& layout,
                             std::vector<EndpointTls> tls, Events& events) {
  NX_TRY(auto session, HttpSession::create(request.settings.http));
  for (std::size_t i = 0; i < request.endpoints.size(); ++i) {
    const bool last = i + 1 == request.endpoints.size();
    Remote remote(*session, request.endpoints[i], std::move(tls[i]), request.settings.retry,
                  events);
    remote.set_alternatives(!last);
    events.endpoint(request.endpoints[i].url);
    auto answer = Pusher(request, layout, remote, events).run();
    if (answer || last || remote.has_answered() || answer.error().code() == Errc::InvalidImage) {
      if (answer) return answer;
      return fail(std::move(answer).error().wrap("push " + request.reference.str()));
    }
    events.retry("push", answer.error().message(), std::chrono::milliseconds(0));
  }
  return fail(Errc::RegistryError, "push " + request.reference.str() + ": no endpoint");
}

}  // namespace nexcage::registry::client
