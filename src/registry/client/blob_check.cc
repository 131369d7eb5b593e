#include "nexcage/registry/client/blob_check.h"

#include <span>
#include <utility>
#include <vector>

#include "nexcage/base/log.h"
#include "nexcage/image/content/read_ahead.h"

namespace nexcage::registry::client {

using image::content::ByteSource;
using image::content::HashingSource;

namespace {

constexpr std::size_t kBuffer = 256u << 10;

/// Whoever needs the layer will inflate it again: no reason to give the pull up.
void give_up(std::optional<StagedTar>& kept, const Error& why) {
  log::debug("an inflated layer is not kept: " + why.message());
  kept.reset();
}

std::optional<StagedTar> begin_keeping(const TarStaging* tars) {
  std::optional<StagedTar> kept;
  if (tars == nullptr) return kept;
  auto begun = tars->begin();
  if (begun)
    kept.emplace(std::move(*begun));
  else
    give_up(kept, begun.error());
  return kept;
}

/// The diff ID of what `blob` inflates to; all of it goes to `kept`, too.
Result<oci::Digest> read_layer(HashingSource& blob, const BlobPromise::Layer& layer,
                               std::optional<StagedTar>& kept) {
  NX_TRY(auto inflated, image::content::inflate(blob, layer.compression));
  // Inflating takes as long as the rest together.
  image::content::ReadAhead ahead(*inflated);
  NX_TRY(auto tar, HashingSource::create(ahead, layer.diff_id.algorithm()));
  std::vector<std::byte> buffer(kBuffer);
  while (true) {
    NX_TRY(const std::size_t n, tar->read(buffer));
    if (n == 0) return tar->finish();
    if (!kept) continue;
    if (auto written = kept->write(std::span(buffer).first(n)); !written)
      give_up(kept, written.error());
  }
}

BlobVerdict wrong(BlobVerdict::Is is, Error error) { return {.is = is, .error = std::move(error)}; }

}  // namespace

BlobVerdict check_blob(ByteSource& wire, const BlobPromise& promise, const TarStaging* tars) {
  using Is = BlobVerdict::Is;
  auto blob = HashingSource::create(wire, promise.digest.algorithm());
  if (!blob) return wrong(Is::failed, std::move(blob).error());
  // A plain tar is hashed once: its digest is its diff ID.
  const bool plain = promise.layer && promise.layer->compression == oci::Compression::none &&
                     promise.layer->diff_id.algorithm() == promise.digest.algorithm();
  Result<oci::Digest> diff_id = promise.digest;
  const bool inflate = promise.layer && !plain;
  std::optional<StagedTar> kept = begin_keeping(inflate ? tars : nullptr);
  if (inflate) diff_id = read_layer(**blob, *promise.layer, kept);
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
  if (kept)
    if (auto published = std::move(*kept).publish(inflated); !published)
      log::debug("an inflated layer is not kept: " + published.error().message());
  return {};
}

}  // namespace nexcage::registry::client
