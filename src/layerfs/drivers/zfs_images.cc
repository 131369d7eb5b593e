#include "nexcage/layerfs/drivers/zfs_images.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "nexcage/base/testpoint.h"
#include "nexcage/base/text.h"
#include "nexcage/image/sha256.h"
#include "nexcage/layerfs/message.h"
#include "nexcage/storage/zfs/volume.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs::zfs_driver {
namespace {

using storage::zfs::Client;
using storage::zfs::Dataset;
using storage::zfs::Parent;
using storage::zfs::Snapshot;

constexpr const char* kImages = "nexcage/images/";
constexpr const char* kTree = "tree";             // where the dataset is mounted while it is filled
constexpr const char* kFilling = "filling.json";  // in a work directory: the dataset it is about
constexpr std::size_t kParentDigits = 12;         // of the parent's hash, in keys

std::string stack_name(const std::vector<Layer>& layers) {
  return layers.empty() ? "empty" : std::string(layers.back().chain_id.hex());
}

Result<Dataset> dataset_of(const std::vector<Layer>& layers, const Parent& parent) {
  return parent.child(kImages + stack_name(layers));
}

json::Value to_json(const ImageInfo& info) {
  json::Object object;
  object.set("parent", info.parent);
  object.set("dataset", info.dataset);
  json::Array diff_ids;
  for (const oci::Digest& diff_id : info.diff_ids) diff_ids.emplace_back(diff_id.str());
  object.set("diff_ids", std::move(diff_ids));
  object.set("bytes", info.bytes);
  object.set("entries", info.entries);
  return object;
}

Result<ImageInfo> read_image(const Message& message) {
  ImageInfo info;
  NX_TRY(info.parent, message.text("parent"));
  NX_TRY(info.dataset, message.text("dataset"));
  NX_TRY(info.bytes, message.number("bytes"));
  NX_TRY(info.entries, message.number("entries"));
  NX_TRY(const auto diff_ids, message.texts("diff_ids"));
  for (const std::string& text : diff_ids) {
    NX_TRY(oci::Digest diff_id, oci::Digest::parse(text));
    info.diff_ids.push_back(std::move(diff_id));
  }
  return info;
}

/// True when the dataset carries our mark for this stack.
Result<bool> is_ours(const Client& client, const Dataset& dataset, const std::string& stack) {
  NX_TRY(const auto mark, client.property(dataset, kImageProperty));
  return mark && *mark == stack;
}

/// A dataset that nothing is noted of. One that has clones was filled long ago, before the notes
/// were lost: it stays, to be taken up again.
Result<> destroy_unnoted(const Client& client, const Dataset& dataset, const std::string& stack) {
  NX_TRY(const bool ours, is_ours(client, dataset, stack));
  if (!ours) return {};
  NX_TRY(const Snapshot complete, dataset.snapshot(kComplete));
  auto destroyed = client.destroy(complete);
  if (!destroyed &&
      storage::zfs::failure_of(destroyed.error()) == storage::zfs::Failure::has_dependents)
    return {};
  if (!destroyed) return destroyed;
  return client.destroy(dataset);
}

/// One run of prepare_image.
class Filling {
 public:
  Filling(const LayerStore& layers, const Client& client, const image::Store& store,
          const image::Image& image, const Options& options)
      : layers_(layers),
        client_(client),
        store_(store),
        image_(image),
        options_(options),
        ids_(layers_of(image)),
        stack_(stack_name(ids_)),
        key_(key_of(ids_, client.parent())) {}

  Result<> run() {
    NX_TRY(const auto known, find_image(layers_, key_));
    if (known) return {};
    NX_CHECK(layers_.remove_stale(undo_filling));
    NX_TRY(WorkDirectory work, WorkDirectory::claim(layers_, key_));
    NX_TRY(const auto made_meanwhile, find_image(layers_, key_));
    if (made_meanwhile) return {};
    NX_TRY(const Dataset dataset, dataset_of(ids_, client_.parent()));
    NX_TRY(const Snapshot complete, dataset.snapshot(kComplete));
    NX_CHECK(announce(work, dataset));
    NX_TRY(const bool adopted, adopt(dataset, complete));
    if (!adopted) NX_CHECK(fill(work, dataset, complete));
    return note(std::move(work), dataset);
  }

 private:
  /// What lies there from before the notes were lost is taken as it is, if it is complete.
  Result<bool> adopt(const Dataset& dataset, const Snapshot& complete) const {
    NX_TRY(const bool there, client_.exists(dataset));
    if (!there) return false;
    NX_TRY(const bool ours, is_ours(client_, dataset, stack_));
    if (!ours)
      return fail(
          Error(Errc::ZFSError, "dataset " + dataset.name() + " is there, but not nexcage's")
              .hint("rename or destroy it"));
    NX_TRY(const bool is_complete, client_.exists(complete));
    if (is_complete) return true;
    NX_CHECK(client_.destroy(dataset));
    return false;
  }

  /// For whoever comes after us, should we be killed.
  Result<> announce(const WorkDirectory& work, const Dataset& dataset) const {
    json::Object note;
    note.set("parent", client_.parent().name());
    note.set("dataset", std::string(dataset.path()));
    note.set("stack", stack_);
    return sys::write_file_atomic(work.fd(), kFilling, json::dump(note), 0600, sys::Durable::no);
  }

  Result<> fill(const WorkDirectory& work, const Dataset& dataset, const Snapshot& complete) {
    testpoint("zfs-create");
    auto filled = create_and_write(work, dataset);
    if (filled) {
      testpoint("zfs-snapshot");
      filled = client_.snapshot(complete);
    }
    if (filled) return {};
    Error error = std::move(filled).error();
    if (auto undone = undo_filling(work.fd(), work.path()); !undone)
      error = std::move(error).also(std::move(undone).error());
    return fail(std::move(error).wrap("fill dataset " + dataset.name()));
  }

  Result<> create_and_write(const WorkDirectory& work, const Dataset& dataset) {
    NX_CHECK(client_.create(dataset,
                            {{"mountpoint", "legacy"},
                             {"acltype", "posixacl"},
                             {"xattr", "sa"},
                             {kImageProperty, stack_}},
                            storage::zfs::Ancestors::make));
    const std::string tree = work.path() + "/" + kTree;
    NX_CHECK(sys::mkdirs(tree, 0700));
    NX_TRY(const sys::DetachedMount mount, storage::zfs::mount_dataset(dataset, 0));
    NX_CHECK(sys::attach(mount, tree));
    testpoint("zfs-fill");
    auto written = write_tree(work, tree);
    // The snapshot waits for what was written; the mount is in its way only when it is destroyed.
    if (auto unmounted = sys::unmount(tree); !unmounted && written) written = std::move(unmounted);
    return written;
  }

  Result<> write_tree(const WorkDirectory& work, const std::string& tree) {
    if (image_.layers.empty()) return {};
    ConvertJob job{.layers = {}, .form = ConvertForm::plain, .outputs = {tree}};
    for (std::size_t i = 0; i < image_.layers.size(); ++i) {
      const image::LayerBlob& blob = image_.layers[i];
      job.layers.push_back({.blob_path = store_.root() + "/" + blob.blob.digest.blob_path(),
                            .compression = blob.compression,
                            .digest = blob.blob.digest,
                            .diff_id = blob.diff_id,
                            .size = blob.blob.size,
                            .tar_path = work.path() + "/scratch-" + std::to_string(i),
                            .tar_is_there = false});
    }
    NX_TRY(const ConvertResult result, options_.convert(job));
    for (const ConvertResult::LayerOut& layer : result.layers) entries_ += layer.entries;
    for (const ConvertJob::LayerIn& layer : job.layers)
      if (::unlink(layer.tar_path.c_str()) != 0) return fail_errno("remove " + layer.tar_path);
    return {};
  }

  Result<> note(WorkDirectory work, const Dataset& dataset) const {
    ImageInfo info{.parent = client_.parent().name(),
                   .dataset = std::string(dataset.path()),
                   .diff_ids = {},
                   .bytes = 0,
                   .entries = entries_};
    for (const Layer& layer : ids_) info.diff_ids.push_back(layer.diff_id);
    NX_TRY(const auto referenced, client_.property(dataset, "referenced"));
    info.bytes = parse_u64(referenced.value_or("")).value_or(0);
    NX_CHECK(sys::remove_file(work.fd(), kFilling));
    NX_CHECK(sys::remove_tree(work.fd(), kTree));
    NX_CHECK(work.complete(to_json(info), sys::Durable::yes));
    NX_CHECK(std::move(work).publish(key_));
    return sys::fsync_fd(layers_.fd(), "the directory of layers");
  }

  const LayerStore& layers_;
  const Client& client_;
  const image::Store& store_;
  const image::Image& image_;
  const Options& options_;
  std::vector<Layer> ids_;
  std::string stack_, key_;
  std::uint64_t entries_ = 0;
};

}  // namespace

std::string key_of(const std::vector<Layer>& layers, const Parent& parent) {
  const oci::Digest hash = image::sha256_digest(parent.name());
  return "z-" + stack_name(layers) + "-" + std::string(hash.hex().substr(0, kParentDigits));
}

Result<std::optional<ImageInfo>> find_image(const LayerStore& store, const std::string& key) {
  NX_TRY(const std::optional<json::Value> done, store.find(key));
  if (!done) return std::optional<ImageInfo>();
  auto info = read_image(Message(*done, "done.json"));
  if (!info) return fail(store.damaged(key, std::move(info).error()));
  return std::optional(std::move(*info));
}

Result<Located> locate(const ImageInfo& info) {
  NX_TRY(const Parent parent, Parent::parse(info.parent));
  NX_TRY(Dataset dataset, parent.child(info.dataset));
  NX_TRY(Snapshot snapshot, dataset.snapshot(kComplete));
  return Located{Client(parent), std::move(dataset), std::move(snapshot)};
}

Result<> prepare_image(const LayerStore& layers, const Client& client, const image::Store& store,
                       const image::Image& image, const Options& options) {
  return Filling(layers, client, store, image, options).run();
}

Result<> undo_filling(int dir, const std::string& path) {
  const auto text = sys::read_file(dir, kFilling);
  if (!text) {
    if (text.error().sys_errno() == ENOENT) return {};
    return fail(text.error());
  }
  NX_CHECK(sys::unmount(path + "/" + kTree));
  const auto note = json::parse(*text);
  if (!note) return {};  // cut short: nothing was made yet
  NX_TRY(const Parent parent, Parent::parse(note->text("parent")));
  NX_TRY(const Dataset dataset, parent.child(note->text("dataset")));
  return destroy_unnoted(Client(parent), dataset, note->text("stack"));
}

}  // namespace nexcage::layerfs::zfs_driver
