#include "nexcage/registry/client/documents.h"

#include <algorithm>
#include <array>

#include "nexcage/base/text.h"
#include "nexcage/image/content/stream.h"
#include "nexcage/image/load.h"

namespace nexcage::registry::client {

namespace {

/// A document that takes longer is being dripped.
constexpr std::chrono::seconds kDocumentLimit{120};

constexpr std::array<std::string_view, 4> kManifestTypes = {
    oci::media::kIndex, oci::media::kManifest, oci::media::kDockerList,
    oci::media::kDockerManifest};
constexpr std::string_view kSchema1 = "application/vnd.docker.distribution.manifest.v1+";

Ask manifest_ask(Remote& remote, Method method, const std::string& reference) {
  Ask ask;
  ask.method = method;
  ask.target = remote.path("manifests/" + reference);
  ask.scope = remote.scope("pull");
  ask.what = "manifest " + reference;
  ask.limit = kDocumentLimit;
  for (const std::string_view type : kManifestTypes)
    ask.headers.push_back("Accept: " + std::string(type));
  return ask;
}

Result<oci::Digest> digest_of(std::string_view algorithm, std::string_view text) {
  NX_TRY(auto hasher, image::content::Hasher::create(algorithm));
  hasher.update(std::as_bytes(std::span(text)));
  return hasher.finish();
}

/// nullopt when the header is absent or no digest.
std::optional<oci::Digest> digest_header(const HttpResponse& response) {
  auto digest = oci::Digest::parse(response.header("docker-content-digest"));
  return digest ? std::optional(*std::move(digest)) : std::nullopt;
}

Result<Document> make_document(const Finished& done, std::string text,
                               const std::optional<oci::Digest>& wanted) {
  const auto told = digest_header(done.response);
  const oci::Digest* promised = wanted ? &*wanted : told ? &*told : nullptr;
  NX_TRY(oci::Digest digest,
         digest_of(promised != nullptr ? promised->algorithm() : "sha256", text));
  if (promised != nullptr && digest != *promised)
    return fail(Errc::InvalidImage,
                "what came has digest " + digest.str() + ", not " + promised->str());
  auto value = json::parse(text, {.max_bytes = kMaxDocument});
  if (!value) return fail(std::move(value).error().as(Errc::InvalidImage));
  NX_TRY(std::string type, manifest_type(done.response.header("content-type"), *value));
  return Document{.media_type = std::move(type),
                  .digest = std::move(digest),
                  .text = std::move(text),
                  .value = *std::move(value)};
}

}  // namespace

oci::Descriptor Document::descriptor() const {
  oci::Descriptor out{.media_type = media_type,
                      .digest = digest,
                      .size = text.size(),
                      .platform = std::nullopt,
                      .annotations = {},
                      .artifact_type = {},
                      .document = {}};
  return out;
}

bool Document::is_index() const { return image::is_index_type(media_type); }

Result<bool> has_digest(std::string_view text, const oci::Digest& digest) {
  NX_TRY(const oci::Digest actual, digest_of(digest.algorithm(), text));
  return actual == digest;
}

Result<std::string> manifest_type(std::string_view content_type, const json::Value& value) {
  std::string header = to_lower(trim(content_type.substr(0, content_type.find(';'))));
  const json::Value* member = value.find("mediaType");
  const std::string* own = member != nullptr ? member->if_string() : nullptr;
  const json::Value* version = value.find("schemaVersion");
  if (header.starts_with(kSchema1) || (version != nullptr && version->as_i64() == 1))
    return fail(Error(Errc::Unsupported, "the manifest is of Docker's schema 1")
                    .hint("push the image again with a tool of this decade"));
  const auto known = [](std::string_view type) {
    return std::ranges::find(kManifestTypes, type) != kManifestTypes.end();
  };
  if (own != nullptr && !known(*own))
    return fail(Errc::InvalidImage, "media type " + quote(*own) + " is that of no image");
  if (own != nullptr && known(header) && header != *own)
    return fail(Errc::InvalidImage,
                "the registry calls it " + quote(header) + ", the document itself " + quote(*own));
  if (own != nullptr) return *own;
  if (known(header)) return header;
  // No word from either: the members tell, and the parser refuses a document that has both.
  return std::string(value.find("manifests") != nullptr ? oci::media::kIndex
                                                        : oci::media::kManifest);
}

Result<std::optional<oci::Digest>> head_manifest(Remote& remote, const std::string& reference) {
  NX_TRY(Finished done, remote.ask(manifest_ask(remote, Method::head, reference), nullptr));
  const int status = done.response.status;
  // 405 and the like: a registry that knows no HEAD; GET will tell.
  if (status >= 400 && status != 401 && status != 403 && status != 404) return std::nullopt;
  if (!done.response.ok()) return fail(remote.refusal(done, "manifest " + reference));
  return digest_header(done.response);
}

Result<Document> get_manifest(Remote& remote, const std::string& tag,
                              const std::optional<oci::Digest>& digest) {
  const std::string reference = digest ? digest->str() : tag;
  const std::string what = "manifest " + reference;
  TextSink sink(kMaxDocument, "the document");
  NX_TRY(Finished done, remote.ask_ok(manifest_ask(remote, Method::get, reference), &sink));
  auto document = make_document(done, sink.text(), digest);
  if (!document) return fail(remote.describe(std::move(document).error(), what));
  return *std::move(document);
}

static Result<std::string> get_from(Remote& remote, const oci::Descriptor& blob,
                                    const std::string& what) {
  Ask ask;
  ask.target = remote.path("blobs/" + blob.digest.str());
  ask.scope = remote.scope("pull");
  ask.what = what;
  ask.limit = kDocumentLimit;
  TextSink sink(blob.size, "the document");
  NX_CHECK(remote.ask_ok(ask, &sink));
  NX_TRY(oci::Digest digest, digest_of(blob.digest.algorithm(), sink.text()));
  if (digest != blob.digest)
    return fail(
        remote.describe(Error(Errc::InvalidImage, "what came has digest " + digest.str()), what));
  return sink.text();
}

Result<std::string> get_small_blob(const std::vector<Remote*>& remotes, const oci::Descriptor& blob,
                                   std::string_view kind) {
  const std::string what = std::string(kind) + " " + blob.digest.str();
  if (blob.size > kMaxDocument)
    return fail(Errc::InvalidImage, what + " has " + std::to_string(blob.size) +
                                        " bytes; more than 4 MiB are not read");
  Result<std::string> last = fail(Errc::RegistryError, "no endpoint");
  for (Remote* remote : remotes) {
    last = get_from(*remote, blob, what);
    if (last) return last;
  }
  return last;
}

}  // namespace nexcage::registry::client
