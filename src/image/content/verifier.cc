#include "nexcage/image/content/verifier.h"

#include "nexcage/image/catalog.h"
#include "nexcage/image/content/source.h"
#include "nexcage/image/content/stream.h"
#include "nexcage/image/load.h"
#include "nexcage/sys/fs.h"

namespace nexcage::image::content {

namespace {

Result<> check_bytes(const Layout& layout, const oci::Descriptor& blob) {
  NX_TRY(UniqueFd fd, layout.open_blob(blob));
  FdSource file(fd.get(), "blob");
  NX_TRY(auto verified, VerifiedSource::create(file, blob.digest, blob.size, "the content"));
  NX_CHECK(drain(*verified));
  return {};
}

/// A document, hashed with whatever algorithm its digest names, then parsed.
Result<json::Value> read_verified(const Layout& layout, const oci::Descriptor& blob) {
  NX_CHECK(check_bytes(layout, blob));
  return layout.read_document(blob);
}

Result<> check_layer(const Layout& layout, const LayerBlob& layer) {
  NX_TRY(UniqueFd fd, layout.open_blob(layer.blob));
  NX_TRY(auto stream, LayerStream::open(fd.get(), {.digest = layer.blob.digest,
                                                   .size = layer.blob.size,
                                                   .compression = layer.compression,
                                                   .diff_id = layer.diff_id}));
  return stream->finish();
}

/// What is known of a blob is not read again.
Result<> once(BlobResults& known, const oci::Descriptor& blob,
              const std::function<Result<>()>& read) {
  if (const auto found = known.find(blob.digest); found != known.end())
    return found->second.error ? Result<>(fail(*found->second.error)) : Result<>();
  auto result = read();
  known.emplace(blob.digest,
                BlobResult{.size = blob.size,
                           .error = result ? std::nullopt : std::optional(result.error())});
  return result;
}

/// Adds the result of one blob to the report; true when it is good.
template <class T>
bool note(VerifyReport& report, std::string what, const oci::Descriptor& blob,
          const Result<T>& result) {
  BlobCheck check{
      .what = std::move(what), .digest = blob.digest, .size = blob.size, .error = std::nullopt};
  if (!result) check.error = result.error();
  report.blobs.push_back(std::move(check));
  return result.has_value();
}

/// Manifest and config as far as they can be read, then the layers.
void check_manifest(const Layout& layout, const oci::Descriptor& descriptor, VerifyReport& report,
                    BlobResults& known) {
  auto parse = [&]() -> Result<oci::Manifest> {
    NX_TRY(json::Value document, read_verified(layout, descriptor));
    return oci::parse_manifest(document);
  };
  auto manifest = parse();
  (void)once(known, descriptor,
             [&] { return manifest ? Result<>() : Result<>(fail(manifest.error())); });
  if (!note(report, "manifest", descriptor, manifest)) return;
  auto match = [&]() -> Result<std::vector<LayerBlob>> {
    NX_TRY(json::Value document, read_verified(layout, manifest->config));
    NX_TRY(oci::ImageConfig config, oci::parse_image_config(document));
    return match_layers(*manifest, config);
  };
  auto layers = match();
  (void)once(known, manifest->config,
             [&] { return layers ? Result<>() : Result<>(fail(layers.error())); });
  if (!note(report, "config", manifest->config, layers)) {
    // Without diff IDs the bytes of the layers can still be told from others.
    for (std::size_t i = 0; i < manifest->layers.size(); ++i)
      (void)note(report, "layer " + std::to_string(i), manifest->layers[i],
                 check_bytes(layout, manifest->layers[i]));
    return;
  }
  for (std::size_t i = 0; i < layers->size(); ++i)
    (void)note(report, "layer " + std::to_string(i), (*layers)[i].blob,
               once(known, (*layers)[i].blob, [&] { return check_layer(layout, (*layers)[i]); }));
}

/// An index and everything of it that is here.
void check_tree(const Layout& layout, const oci::Descriptor& descriptor, VerifyReport& report,
                BlobResults& known, int depth) {
  if (!is_index_type(descriptor.media_type))
    return check_manifest(layout, descriptor, report, known);
  auto parse = [&]() -> Result<oci::Index> {
    if (depth > 4) return fail(Errc::InvalidImage, "nested too deep");
    NX_TRY(json::Value document, read_verified(layout, descriptor));
    return oci::parse_index(document);
  };
  auto index = parse();
  (void)once(known, descriptor, [&] { return index ? Result<>() : Result<>(fail(index.error())); });
  if (!note(report, "index", descriptor, index)) return;
  for (const oci::Descriptor& entry : index->manifests) {
    auto present = sys::exists(layout.fd(), entry.digest.blob_path());
    if (present && *present) check_tree(layout, entry, report, known, depth + 1);
  }
}

}  // namespace

VerifyReport verify_entry(const Layout& layout, const oci::Descriptor& entry, BlobResults& known) {
  VerifyReport report{.manifest = entry.digest, .names = {}, .blobs = {}};
  check_tree(layout, entry, report, known, 0);
  // An index may lack what other machines need, but not what this one does.
  if (!report.ok()) return report;
  if (auto image = load_image(layout, entry); !image) (void)note(report, "image", entry, image);
  return report;
}

Result<VerifyReport> run_verify(const Layout& layout, std::string_view what) {
  NX_TRY(auto blobs_lock, layout.share_blobs());
  NX_TRY(oci::Index index, layout.read_index());
  NX_TRY(Match match, find_image(index, what, identities(layout)));
  BlobResults known;
  VerifyReport report = verify_entry(layout, match.descriptor, known);
  report.names = names_of(index, match.descriptor.digest);
  return report;
}

}  // namespace nexcage::image::content
