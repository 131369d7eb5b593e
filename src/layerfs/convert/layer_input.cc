#include "nexcage/layerfs/convert/layer_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <optional>
#include <thread>
#include <utility>

#include "nexcage/image/content/file_tee.h"
#include "nexcage/image/content/stream.h"
#include "nexcage/image/content/tar_reader.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::convert {
namespace {

using image::content::FileTee;
using image::content::LayerStream;
using image::content::TarReader;

/// More layers at a time would only wait for each other's disk.
constexpr unsigned kMaxThreads = 8;

Result<std::uint64_t> size_of(int fd) {
  NX_TRY(const struct stat found, sys::stat_fd(fd));
  return static_cast<std::uint64_t>(found.st_size);
}

Result<LayerInput> inflate_layer(const ConvertJob::LayerIn& layer,
                                 const tree::UnpackLimits& limits) {
  NX_TRY(const UniqueFd blob,
         sys::open_at(AT_FDCWD, layer.blob_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  UniqueFd tar(
      ::open(layer.tar_path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400));
  if (!tar) return fail_errno("create " + layer.tar_path);
  NX_TRY(const auto stream, LayerStream::open(blob.get(),
                                              {.digest = layer.digest,
                                               .size = layer.size,
                                               .compression = layer.compression,
                                               .diff_id = layer.diff_id},
                                              {}, LayerStream::Threads::two));
  FileTee tee(stream->tar(), tar.get(), layer.tar_path);
  TarReader reader(tee);
  NX_TRY(tree::Members members, tree::read_members(reader, limits));
  NX_CHECK(image::content::drain(tee));  // what stands behind the end of the archive
  NX_CHECK(stream->finish());
  NX_CHECK(sys::fsync_fd(tar.get(), layer.tar_path));
  return LayerInput{.tar = std::move(tar), .tar_bytes = tee.bytes(), .members = std::move(members)};
}

Result<LayerInput> scan_layer(const ConvertJob::LayerIn& layer, const tree::UnpackLimits& limits) {
  NX_TRY(UniqueFd tar, sys::open_at(AT_FDCWD, layer.tar_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  NX_TRY(const std::uint64_t size, size_of(tar.get()));
  image::content::SliceSource source(tar.get(), 0, size, layer.tar_path);
  TarReader reader(source);
  NX_TRY(tree::Members members, tree::read_members(reader, limits));
  return LayerInput{.tar = std::move(tar), .tar_bytes = size, .members = std::move(members)};
}

Result<LayerInput> read_layer(const ConvertJob::LayerIn& layer, const tree::UnpackLimits& limits) {
  auto input = layer.tar_is_there ? scan_layer(layer, limits) : inflate_layer(layer, limits);
  if (!input) return fail(std::move(input).error().wrap("layer " + layer.digest.str()));
  return input;
}

}  // namespace

Result<std::vector<LayerInput>> read_layers(const std::vector<ConvertJob::LayerIn>& layers,
                                            const tree::UnpackLimits& limits) {
  std::vector<std::optional<Result<LayerInput>>> results(layers.size());
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> failed = false;
  const auto work = [&] {
    for (std::size_t i = next++; i < layers.size() && !failed; i = next++) {
      try {
        results[i] = read_layer(layers[i], limits);
      } catch (const std::bad_alloc&) {
        results[i] = fail(Errc::OutOfMemory, "layer " + layers[i].digest.str());
      }
      if (!*results[i]) failed = true;
    }
  };
  {
    const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1U, kMaxThreads);
    std::vector<std::jthread> others;
    for (unsigned i = 1; i < threads && i < layers.size(); ++i) others.emplace_back(work);
    work();
  }
  std::vector<LayerInput> inputs;
  inputs.reserve(layers.size());
  // None is left out before one that failed: they are taken in order.
  for (auto& result : results) {
    if (!result) continue;
    if (!*result) return fail(std::move(*result).error());
    inputs.push_back(**std::move(result));
  }
  return inputs;
}

}  // namespace nexcage::layerfs::convert
