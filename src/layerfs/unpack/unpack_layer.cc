#include "nexcage/layerfs/unpack/unpack_layer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <utility>

#include "nexcage/image/content/stream.h"
#include "nexcage/image/content/tar_reader.h"
#include "nexcage/layerfs/unpack/extractor.h"
#include "nexcage/layerfs/unpack/layer_tree.h"
#include "nexcage/layerfs/unpack/lower_view.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/umask.h"

namespace nexcage::layerfs::unpack {
namespace {

Result<UnpackResult> unpack(const UnpackJob& job, const UnpackLimits& limits) {
  NX_TRY(const UniqueFd blob,
         sys::open_at(AT_FDCWD, job.blob_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  NX_TRY(LowerView lower, LowerView::open(job.lowers));
  NX_TRY(LayerTree tree, LayerTree::open(job.target, std::move(lower), limits));
  NX_TRY(const auto stream,
         image::content::LayerStream::open(blob.get(), {.digest = job.digest,
                                                        .size = job.size,
                                                        .compression = job.compression,
                                                        .diff_id = job.diff_id}));
  image::content::TarReader reader(stream->tar());
  NX_CHECK(Extractor(tree, reader).run());
  NX_CHECK(stream->finish());
  return UnpackResult{.self_contained = tree.self_contained(),
                      .bytes = tree.bytes(),
                      .entries = tree.files(),
                      .root_entry = tree.has_root_entry(),
                      .root_opaque = tree.root_opaque()};
}

}  // namespace

Result<UnpackResult> unpack_layer(const UnpackJob& job, const UnpackLimits& limits) {
  const sys::NoUmask no_umask;
  auto result = unpack(job, limits);
  if (result) return result;
  Error error = std::move(result).error();
  const bool of_this_host =
      error.code() == Errc::FileError || error.code() == Errc::PermissionDenied;
  if (of_this_host) error = std::move(error).as(Errc::LayerError);
  return fail(std::move(error).wrap("unpack layer " + job.digest.str()));
}

}  // namespace nexcage::layerfs::unpack
