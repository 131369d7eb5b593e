#include "nexcage/image/pending.h"

#include <algorithm>
#include <set>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/image/lease.h"
#include "nexcage/image/load.h"

namespace nexcage::image {

namespace {

constexpr std::string_view kPrefix = "pending";

struct AbandonedList {
  std::string name;
  UniqueFd lock;
  std::vector<oci::Digest> blobs;
};

/// A line that a crash cut short is no digest and its blob was not written yet.
std::vector<oci::Digest> parse_list(const std::string& text) {
  std::vector<oci::Digest> blobs;
  for (const std::string& line : split(text, '\n'))
    if (auto digest = oci::Digest::parse(line)) blobs.push_back(*std::move(digest));
  return blobs;
}

Result<std::vector<AbandonedList>> abandoned_lists(const Layout& layout) {
  std::vector<AbandonedList> lists;
  NX_TRY(auto names, sys::list_dir(layout.tmp_fd()));
  for (std::string& name : names) {
    UniqueFd lock = name.starts_with(kPrefix) ? lock_dead(layout.tmp_fd(), name) : UniqueFd();
    if (!lock) continue;
    NX_TRY(std::string text, sys::read_all(lock.get()), "read " + name);
    lists.push_back({.name = std::move(name), .lock = std::move(lock), .blobs = parse_list(text)});
  }
  return lists;
}

/// Every blob that some manifest of the index needs. Of an image that cannot be read, what could
/// be: it must be imported again in any case, and that brings its blobs back.
Result<std::set<oci::Digest>> referenced_blobs(const Layout& layout) {
  std::set<oci::Digest> needed;
  NX_TRY(oci::Index index, layout.read_index());
  for (const oci::Descriptor& descriptor : index.manifests) {
    needed.insert(descriptor.digest);
    if (auto read = collect_blobs(layout, descriptor, needed); !read)
      log::warning("image store: " + read.error().message());
  }
  return needed;
}

Result<std::optional<FreedBlob>> remove_blob(const Layout& layout, const oci::Digest& blob) {
  NX_TRY(auto found, sys::stat_at(layout.fd(), blob.blob_path()));
  if (!found) return std::nullopt;
  NX_CHECK(sys::remove_file(layout.fd(), blob.blob_path()), "remove blob " + blob.str());
  return FreedBlob{.digest = blob, .size = static_cast<std::uint64_t>(found->st_size)};
}

}  // namespace

Result<PendingBlobs> PendingBlobs::create(const Layout& layout) {
  NX_TRY(Temp file, Temp::create(layout.tmp_fd(), kPrefix, Temp::Kind::file));
  return PendingBlobs(std::move(file));
}

PendingBlobs::~PendingBlobs() {
  if (!finished_) file_.forget();
}

Result<> PendingBlobs::add(const oci::Digest& blob) { return add(std::vector{blob}); }

Result<> PendingBlobs::add(const std::vector<oci::Digest>& blobs) {
  std::string lines;
  for (const oci::Digest& blob : blobs) lines += blob.str() + "\n";
  NX_CHECK(sys::write_all(file_.fd(), lines), "note blobs");
  return sys::fsync_fd(file_.fd(), "list of pending blobs");
}

Result<std::vector<FreedBlob>> sweep(const Layout& layout) {
  std::vector<FreedBlob> freed;
  NX_CHECK(remove_dead(layout.tmp_fd(), kPrefix));
  NX_TRY(auto own, layout.try_own_blobs());
  if (!own) return freed;
  NX_TRY(auto lists, abandoned_lists(layout));
  if (lists.empty()) return freed;
  NX_TRY(const std::set<oci::Digest> needed, referenced_blobs(layout));
  NX_TRY(const std::set<oci::Digest> leased, leased_blobs(layout));
  for (const AbandonedList& list : lists) {
    bool stays = false;
    for (const oci::Digest& blob : list.blobs) {
      if (needed.contains(blob)) continue;
      stays = stays || leased.contains(blob);
      if (leased.contains(blob)) continue;
      NX_TRY(auto removed, remove_blob(layout, blob));
      if (removed) freed.push_back(*std::move(removed));
    }
    if (!stays) NX_CHECK(sys::remove_file(layout.tmp_fd(), list.name));
  }
  return freed;
}

}  // namespace nexcage::image
