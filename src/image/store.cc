#include "nexcage/image/store.h"

#include <algorithm>

#include "nexcage/base/log.h"
#include "nexcage/image/catalog.h"
#include "nexcage/image/layout.h"
#include "nexcage/image/load.h"
#include "nexcage/image/names.h"
#include "nexcage/image/pending.h"

namespace nexcage::image {

namespace {

/// Another command may remove an image between our reading of index.json and of its blobs.
constexpr int kAttempts = 3;

Result<Image> resolve_in(const Layout& layout, const oci::Index& index, std::string_view what) {
  NX_TRY(Match match, find_image(index, what, identities(layout)));
  NX_TRY(Image image, load_image(layout, match.descriptor), "image " + std::string(what));
  image.names = names_of(index, match.descriptor.digest);
  return image;
}

}  // namespace

std::uint64_t Image::total_size() const {
  std::uint64_t size = manifest_descriptor.size + manifest.config.size;
  for (const LayerBlob& layer : layers) size += layer.blob.size;
  return size;
}

struct Store::State {
  Layout layout;
};

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store> Store::open(const std::string& root, IfMissing if_missing) {
  NX_TRY(Layout layout, Layout::open(root, if_missing));
  return Store(std::make_unique<State>(State{std::move(layout)}));
}

const std::string& Store::root() const { return state_->layout.root(); }
int Store::fd() const { return state_->layout.fd(); }

Result<Image> Store::resolve(std::string_view what) const {
  const Layout& layout = state_->layout;
  NX_TRY(oci::Index index, layout.read_index());
  for (int attempt = 1;; ++attempt) {
    auto image = resolve_in(layout, index, what);
    if (image || image.error().code() != Errc::InvalidImage || attempt == kAttempts) return image;
    NX_TRY(oci::Index now, layout.read_index());
    if (now.document == index.document) return image;
    index = std::move(now);
  }
}

Result<std::vector<Store::Listed>> Store::list() const {
  const Layout& layout = state_->layout;
  NX_TRY(oci::Index index, layout.read_index());
  std::vector<Listed> all;
  for (const oci::Descriptor& descriptor : index.manifests) {
    bool seen = std::ranges::any_of(
        all, [&](const Listed& other) { return other.manifest.digest == descriptor.digest; });
    if (seen) continue;
    Listed listed{.names = names_of(index, descriptor.digest),
                  .manifest = descriptor,
                  .image = std::nullopt,
                  .error = std::nullopt};
    auto image = load_image(layout, descriptor);
    if (image) {
      listed.image = *std::move(image);
      listed.image->names = listed.names;
    } else {
      listed.error = std::move(image).error();
    }
    all.push_back(std::move(listed));
  }
  return all;
}

Result<UniqueFd> Store::open_blob(const oci::Descriptor& blob) const {
  return state_->layout.open_blob(blob);
}

Result<> Store::tag(const oci::Reference& name, const oci::Descriptor& manifest) {
  const Layout& layout = state_->layout;
  std::string what = "tag " + name.str();
  // Held so that nobody removes the blobs between the look at them and the new name.
  NX_TRY(auto blobs, layout.share_blobs(), what);
  return name_manifests(layout, {{.manifest = manifest, .names = {name}}});
}

namespace {

/// The index without what is removed, and the names that went.
struct Removal {
  oci::Index index;
  std::vector<oci::Reference> names;
  bool manifest_goes = false;
};

Removal plan_removal(const oci::Index& index, const Match& match) {
  const oci::Digest& digest = match.descriptor.digest;
  Removal removal;
  if (match.name) {
    removal.names = {*match.name};
    removal.index = without_name(index, *match.name);
  } else {
    removal.names = names_of(index, digest);
    removal.index = without_manifest(index, digest);
  }
  removal.manifest_goes = !has_manifest(removal.index, digest);
  return removal;
}

/// Notes all blobs of the image. One whose manifest is damaged loses at least the manifest.
Result<> note_blobs(const Layout& layout, const oci::Descriptor& manifest, PendingBlobs& pending) {
  std::set<oci::Digest> blobs = {manifest.digest};
  if (auto all = collect_blobs(layout, manifest, blobs); !all)
    log::warning("image store: " + all.error().message());
  for (const oci::Digest& blob : blobs) NX_CHECK(pending.add(blob));
  return {};
}

/// Takes the names away durably; from here on sweep() finishes the rest.
Result<std::vector<oci::Reference>> unlist(const Layout& layout, std::string_view what) {
  NX_TRY(auto lock, layout.lock_index());
  NX_TRY(oci::Index index, layout.read_index());
  NX_TRY(Match match, find_image(index, what, identities(layout)));
  Removal removal = plan_removal(index, match);
  NX_TRY(PendingBlobs pending, PendingBlobs::create(layout));
  if (removal.manifest_goes) {
    NX_CHECK(note_blobs(layout, match.descriptor, pending));
  } else {
    pending.done();
  }
  NX_CHECK(layout.write_index(removal.index));
  sync_views_or_warn(layout, removal.index);
  return removal.names;
}

}  // namespace

Result<Store::Removed> Store::remove(std::string_view what) {
  const Layout& layout = state_->layout;
  std::string context = "remove image " + std::string(what);
  Removed removed;
  NX_TRY(removed.names, unlist(layout, what), context);
  NX_TRY(auto freed, sweep(layout), context);
  for (const FreedBlob& blob : freed) {
    removed.blobs.push_back(blob.digest);
    removed.freed += blob.size;
  }
  return removed;
}

}  // namespace nexcage::image
