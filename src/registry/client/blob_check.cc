#include "nexcage/registry/client/blob_check.h"

namespace nexcage::registry::client {

using image::content::ByteSource;
using image::content::HashingSource;

namespace {

/// The diff ID of what `blob` inflates to.
Result<oci::Digest> read_layer(HashingSource& blob, const BlobPromise::Layer& layer) {
  NX_TRY(auto inflated, image::content::inflate(blob, layer.compression));
  NX_TRY(auto tar, HashingSource::create(*inflated, layer.diff_id.algorithm()));
  NX_CHECK(image::content::drain(*tar));
  return tar->finish();
}

BlobVerdict wrong(BlobVerdict::Is is, Error error) { return {.is = is, .error = std::move(error)}; }

}  // namespace

BlobVerdict check_blob(ByteSource& wire, const BlobPromise& promise) {
  using Is = BlobVerdict::Is;
  auto blob = HashingSource::create(wire, promise.digest.algorithm());
  if (!blob) return wrong(Is::failed, std::move(blob).error());
  // A plain tar is hashed once: its digest is its diff ID.
  const bool plain = promise.layer && promise.layer->compression == oci::Compression::none &&
                     promise.layer->diff_id.algorithm() == promise.digest.algorithm();
  Result<oci::Digest> diff_id = promise.digest;
  if (promise.layer && !plain) diff_id = read_layer(**blob, *promise.layer);
  if (!diff_id && diff_id.error().code() != Errc::InvalidImage)
    return wrong(Is::failed, std::move(diff_id).error());
  // Damaged data is first of all data of another digest, whatever the inflater makes of it.
  if (auto rest = image::content::drain(**blob); !rest)
    return wrong(Is::failed, std::move(rest).error());
  const oci::Digest actual = (*blob)->finish();
  if (actual != promise.digest)
    return wrong(Is::wrong_bytes,
                 Error(Errc::InvalidImage, "what came has digest " + actual.str()));
  if (!diff_id) return wrong(Is::bad_content, std::move(diff_id).error());
  const oci::Digest& inflated = plain ? actual : *diff_id;
  if (promise.layer && inflated != promise.layer->diff_id)
    return wrong(Is::bad_content, Error(Errc::InvalidImage,
                                        "the inflated content has digest " + inflated.str() +
                                            ", not the diff ID " + promise.layer->diff_id.str()));
  return {};
}

}  // namespace nexcage::registry::client
