#include "nexcage/layerfs/convert/convert.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>
#include <utility>

#include "nexcage/image/content/stream.h"
#include "nexcage/layerfs/convert/layer_input.h"
#include "nexcage/layerfs/erofs/write.h"
#include "nexcage/layerfs/tree/apply.h"
#include "nexcage/layerfs/tree/materialise.h"
#include "nexcage/layerfs/tree/tree.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::convert {
namespace {

using Uuid = std::array<std::byte, 16>;

/// The same layers, the same UUID: images are reproducible.
Uuid uuid_of(const ConvertJob& job, std::size_t layers) {
  std::string text(form_name(job.form));
  for (std::size_t i = 0; i < layers; ++i) text += '\n' + job.layers[i].diff_id.str();
  const oci::Digest digest = image::content::sha256_of(text);
  const std::string_view hex = digest.hex();
  Uuid uuid{};
  const auto value = [](char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; };
  for (std::size_t i = 0; i < uuid.size(); ++i)
    uuid[i] = static_cast<std::byte>(value(hex[2 * i]) * 16 + value(hex[2 * i + 1]));
  return uuid;
}

Result<oci::Digest> digest_of(int file, std::uint64_t size, const std::string& what) {
  image::content::SliceSource source(file, 0, size, what);
  NX_TRY(const auto hashing, image::content::HashingSource::create(source));
  NX_CHECK(image::content::drain(*hashing));
  return hashing->finish();
}

/// One run of convert().
class Conversion {
 public:
  Conversion(const ConvertJob& job, const tree::UnpackLimits& limits)
      : job_(job), limits_(limits) {}

  Result<ConvertResult> run() {
    NX_TRY(inputs_, read_layers(job_.layers, limits_));
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      NX_CHECK(apply(i), "layer " + job_.layers[i].digest.str());
    if (job_.form != ConvertForm::index && !job_.outputs.empty()) NX_CHECK(write_stack());
    return std::move(result_);
  }

 private:
  Result<> apply(std::size_t i);
  Result<> write_index(std::size_t i, const tree::LayerChange& change);
  Result<> write_stack();
  Result<ConvertResult::Output> write_image(const tree::Tree& tree, std::size_t layers,
                                            const std::string& path);
  std::vector<int> tars() const;

  const ConvertJob& job_;
  const tree::UnpackLimits& limits_;
  std::vector<LayerInput> inputs_;
  tree::Tree tree_;
  ConvertResult result_;
};

Result<> Conversion::apply(std::size_t i) {
  const auto source = static_cast<std::uint32_t>(i);
  NX_TRY(tree::LayerChange change, tree::plan_layer(tree_, inputs_[i].members, source, limits_));
  const tree::Applied& applied = change.applied;
  result_.layers.push_back({.tar_bytes = inputs_[i].tar_bytes,
                            .entries = inputs_[i].members.size(),
                            .file_bytes = applied.bytes,
                            .root_opaque = applied.root_opaque});
  if (job_.form == ConvertForm::index) NX_CHECK(write_index(i, change));
  tree::merge(tree_, std::move(change));
  return {};
}

Result<> Conversion::write_index(std::size_t i, const tree::LayerChange& change) {
  if (job_.outputs[i].empty()) {
    result_.outputs.emplace_back();
    return {};
  }
  NX_TRY(ConvertResult::Output output,
         write_image(tree::overlay_form(tree_, change), i + 1, job_.outputs[i]));
  result_.outputs.push_back(std::move(output));
  return {};
}

Result<> Conversion::write_stack() {
  const std::string& path = job_.outputs.front();
  if (job_.form == ConvertForm::plain) {
    NX_TRY(const UniqueFd directory,
           sys::open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    NX_CHECK(tree::materialise(tree_, tars(), directory.get()));
    result_.outputs.emplace_back();
    return {};
  }
  NX_TRY(ConvertResult::Output output, write_image(tree_, inputs_.size(), path));
  result_.outputs.push_back(std::move(output));
  return {};
}

/// The layers whose tars hold data of the tree.
std::vector<bool> used_sources(const tree::Tree& tree, std::size_t layers) {
  std::vector<bool> used(layers);
  for (tree::InodeId id = 0; id < tree.inode_limit(); ++id)
    for (const tree::Extent& extent : tree.inode(id).extents) used[extent.source] = true;
  return used;
}

Result<ConvertResult::Output> Conversion::write_image(const tree::Tree& tree, std::size_t layers,
                                                      const std::string& path) {
  ConvertResult::Output output;
  erofs::WriteOptions options{.form = erofs::Form::full, .devices = {}, .uuid = {}};
  options.uuid = uuid_of(job_, layers);
  if (job_.form != ConvertForm::full) options.form = erofs::Form::index;
  std::vector<bool> wanted(layers, true);
  if (job_.form == ConvertForm::index) {
    wanted = used_sources(tree, layers);
    wanted[layers - 1] = true;
  }
  for (std::size_t i = 0; i < layers; ++i) {
    options.devices.push_back({.bytes = inputs_[i].tar_bytes, .in_table = wanted[i]});
    if (wanted[i] && job_.form != ConvertForm::full)
      output.devices.push_back(static_cast<std::uint32_t>(i));
  }
  const UniqueFd file(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400));
  if (!file) return fail_errno("create " + path);
  NX_TRY(const erofs::Written written, erofs::write(tree, options, tars(), file.get()));
  NX_CHECK(sys::fsync_fd(file.get(), path));
  output.bytes = written.bytes;
  NX_TRY(output.digest, digest_of(file.get(), written.bytes, path));
  return output;
}

std::vector<int> Conversion::tars() const {
  std::vector<int> fds;
  fds.reserve(inputs_.size());
  for (const LayerInput& input : inputs_) fds.push_back(input.tar.get());
  return fds;
}

}  // namespace

Result<ConvertResult> convert(const ConvertJob& job, const tree::UnpackLimits& limits) {
  auto result = Conversion(job, limits).run();
  if (result) return result;
  Error error = std::move(result).error();
  const bool of_this_host =
      error.code() == Errc::FileError || error.code() == Errc::PermissionDenied;
  if (of_this_host) error = std::move(error).as(Errc::LayerError);
  return fail(std::move(error));
}

}  // namespace nexcage::layerfs::convert
