#include "nexcage/layerfs/drivers/erofs_prepare.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <ranges>
#include <set>
#include <utility>

#include "nexcage/base/testpoint.h"
#include "nexcage/image/inflated.h"
#include "nexcage/layerfs/drivers/erofs_store.h"
#include "nexcage/layerfs/drivers/protect.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::erofs_driver {
namespace {

/// One run of prepare_stack.
class Preparation {
 public:
  Preparation(const LayerStore& layers, const image::Store& store, const image::Image& image,
              const Preparing& how, const Options& options)
      : layers_(layers),
        store_(store),
        image_(image),
        form_(how.form),
        inbox_(how.inbox),
        options_(options),
        ids_(layers_of(image)),
        keys_(keys_of(ids_, form_)) {}

  Result<> run() {
    NX_CHECK(find_missing());
    if (missing_.empty()) return {};
    NX_CHECK(layers_.remove_stale());
    // In the order of the names, the same in every process: two that need the same layers never
    // wait for each other in a circle.
    for (const std::string& key : missing_) {
      NX_TRY(WorkDirectory work, WorkDirectory::claim(layers_, key));
      work_.emplace(key, std::move(work));
    }
    NX_CHECK(find_missing());  // another process may have made some while we waited
    std::erase_if(work_, [&](const auto& item) { return !missing_.contains(item.first); });
    if (missing_.empty()) return {};
    NX_CHECK(take_inflated());
    const ConvertJob job = make_job();
    NX_TRY(const ConvertResult result, options_.convert(job));
    NX_CHECK(check_shape(job, result));
    NX_CHECK(complete_tars(result));
    NX_CHECK(complete_images(job, result));
    return publish();
  }

 private:
  Result<> find_missing() {
    missing_.clear();
    for (const auto* keys : {&keys_.images, &keys_.tars})
      for (const std::string& key : *keys) {
        NX_TRY(const bool there, sys::exists(layers_.fd(), key + "/" + file_of(key)));
        if (!there) missing_.insert(key);
      }
    return {};
  }

  /// Moves the tars that are wanted from the inbox to where they would be written.
  Result<> take_inflated() {
    if (inbox_ < 0) return {};
    for (std::size_t i = 0; i < keys_.tars.size(); ++i) {
      const std::string& key = keys_.tars[i];
      if (!is_missing(key) || taken_.contains(key)) continue;
      const std::string name = image::inflated_name(ids_[i].diff_id);
      if (renameat(inbox_, name.c_str(), work_.at(key).fd(), kTarFile) == 0)
        taken_.insert(key);
      else if (errno != ENOENT)
        return fail_errno("take " + name + " from the inbox");
    }
    return {};
  }

  bool is_missing(const std::string& key) const { return missing_.contains(key); }

  /// Where a file that is not to stay is written.
  std::string scratch_path(std::size_t i) const {
    return work_.begin()->second.path() + "/scratch-" + std::to_string(i);
  }

  ConvertJob::LayerIn make_layer(std::size_t i, std::set<std::string>& written) const {
    const image::LayerBlob& blob = image_.layers[i];
    ConvertJob::LayerIn layer{.blob_path = store_.root() + "/" + blob.blob.digest.blob_path(),
                              .compression = blob.compression,
                              .digest = blob.blob.digest,
                              .diff_id = blob.diff_id,
                              .size = blob.blob.size,
                              .tar_path = {},
                              .tar_is_there = false};
    const std::string key = tar_key(blob.diff_id);
    // A full image holds the data itself; the same bytes twice in one image are kept once.
    if (taken_.contains(key)) {
      layer.tar_path = work_.at(key).path() + "/" + kTarFile;
      layer.tar_is_there = true;
      layer.blob_path.clear();
    } else if (form_ == ConvertForm::full || (is_missing(key) && !written.insert(key).second)) {
      layer.tar_path = scratch_path(i);
    } else if (is_missing(key)) {
      layer.tar_path = work_.at(key).path() + "/" + kTarFile;
    } else {
      layer.tar_path = layers_.path() + "/" + key + "/" + kTarFile;
      layer.tar_is_there = true;
      layer.blob_path.clear();
    }
    return layer;
  }

  ConvertJob make_job() const {
    ConvertJob job{.layers = {}, .form = form_, .outputs = {}};
    std::set<std::string> written;
    for (std::size_t i = 0; i < ids_.size(); ++i) job.layers.push_back(make_layer(i, written));
    const auto output = [&](const std::string& key) {
      return is_missing(key) ? work_.at(key).path() + "/" + kIndexFile : std::string();
    };
    for (const std::string& key : keys_.images) job.outputs.push_back(output(key));
    if (form_ == ConvertForm::merged && job.outputs.front().empty()) {
      // Only tars are missing.
      job.form = ConvertForm::plain;
      job.outputs.clear();
    }
    return job;
  }

  static Result<> check_shape(const ConvertJob& job, const ConvertResult& result) {
    bool fits = result.layers.size() == job.layers.size() &&
                (job.form == ConvertForm::plain || result.outputs.size() == job.outputs.size());
    for (const ConvertResult::Output& output : result.outputs)
      for (const std::uint32_t device : output.devices) fits = fits && device < job.layers.size();
    if (fits) return {};
    return fail(Errc::LayerError, "the converter's answer does not fit its job");
  }

  Result<std::string> protect(const std::string& key) const {
    const int dir = work_.at(key).fd();
    if (options_.protect) return protect_file(dir, file_of(key));
    return std::string();
  }

  /// Fills tars_, and completes those that are new.
  Result<> complete_tars(const ConvertResult& result) {
    for (std::size_t i = 0; i < keys_.tars.size(); ++i) {
      const std::string& key = keys_.tars[i];
      if (tars_.contains(key)) continue;
      if (!is_missing(key)) {
        NX_TRY(auto known, find_tar(layers_, key));
        if (!known) return fail(Errc::LayerError, "prepared layer " + key + " is gone");
        tars_.emplace(key, std::move(*known));
        continue;
      }
      TarInfo info{.diff_id = ids_[i].diff_id,
                   .bytes = result.layers[i].tar_bytes,
                   .entries = result.layers[i].entries,
                   .verity = {}};
      NX_TRY(info.verity, protect(key));
      NX_CHECK(work_.at(key).complete(to_json(info), sys::Durable::yes));
      tars_.emplace(key, std::move(info));
    }
    return {};
  }

  ImageInfo image_info(std::size_t i, const ConvertResult& result) const {
    const ConvertResult::Output& output = result.outputs[i];
    const bool one_layer = form_ == ConvertForm::index;
    ImageInfo info{.form = form_,
                   .digest = *output.digest,
                   .bytes = output.bytes,
                   .entries = 0,
                   .verity = {},
                   .root_opaque = one_layer && result.layers[i].root_opaque,
                   .diff_ids = {},
                   .parent = {},
                   .devices = {}};
    for (std::size_t layer = one_layer ? i : 0; layer < (one_layer ? i + 1 : ids_.size());
         ++layer) {
      info.diff_ids.push_back(ids_[layer].diff_id);
      info.entries += result.layers[layer].entries;
    }
    if (one_layer && i > 0) info.parent = ids_[i - 1].chain_id;
    for (const std::uint32_t device : output.devices)
      info.devices.push_back(tars_.at(keys_.tars[device]));
    return info;
  }

  Result<> complete_images(const ConvertJob& job, const ConvertResult& result) {
    for (std::size_t i = 0; i < job.layers.size(); ++i)
      if (job.layers[i].tar_path == scratch_path(i) && unlink(job.layers[i].tar_path.c_str()) != 0)
        return fail_errno("remove " + job.layers[i].tar_path);
    for (std::size_t i = 0; i < keys_.images.size(); ++i) {
      const std::string& key = keys_.images[i];
      if (!is_missing(key)) continue;
      if (!result.outputs[i].digest)
        return fail(Errc::LayerError, "the converter's answer lacks a digest");
      ImageInfo info = image_info(i, result);
      NX_TRY(info.verity, protect(key));
      NX_CHECK(work_.at(key).complete(to_json(info), sys::Durable::yes));
    }
    return {};
  }

  Result<> publish() {
    testpoint("layerfs.unpacked");
    // From the last name on, which are tars: an image that is there has its tars.
    for (const std::string& key : missing_ | std::views::reverse) {
      auto work = work_.extract(key);
      NX_CHECK(std::move(work.mapped()).publish(key));
    }
    testpoint("layerfs.published");
    return sys::fsync_fd(layers_.fd(), "the directory of layers");
  }

  const LayerStore& layers_;
  const image::Store& store_;
  const image::Image& image_;
  ConvertForm form_;
  int inbox_;
  const Options& options_;
  std::vector<Layer> ids_;
  StackKeys keys_;
  std::set<std::string> missing_;
  std::set<std::string> taken_;                // tars from the inbox
  std::map<std::string, WorkDirectory> work_;  // by key
  std::map<std::string, TarInfo> tars_;        // by key
};

}  // namespace

StackKeys keys_of(const std::vector<Layer>& layers, ConvertForm form) {
  StackKeys keys;
  if (layers.empty()) return keys;
  if (form == ConvertForm::index)
    for (const Layer& layer : layers) keys.images.push_back(image_key(form, layer.chain_id));
  else if (form != ConvertForm::plain)
    keys.images.push_back(image_key(form, layers.back().chain_id));
  if (form != ConvertForm::full)
    for (const Layer& layer : layers) keys.tars.push_back(tar_key(layer.diff_id));
  return keys;
}

Result<> prepare_stack(const LayerStore& layers, const image::Store& store,
                       const image::Image& image, const Preparing& how, const Options& options) {
  return Preparation(layers, store, image, how, options).run();
}

}  // namespace nexcage::layerfs::erofs_driver
