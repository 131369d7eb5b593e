// Making one archive of a stack of layers, as a confined process.
#include "nexcage/helpers/confine.h"
#include "nexcage/helpers/subcommand.h"
#include "nexcage/layerfs/convert/flat_archive.h"

namespace nexcage::helpers {

Result<json::Value> run_flatten(const json::Value& request) {
  NX_TRY(const layerfs::FlattenJob job, layerfs::flatten_job_from_json(request));
  const auto directory_of = [](const std::string& path) { return path.substr(0, path.rfind('/')); };
  Confinement keep{
      .read_only = {}, .read_write = {directory_of(job.output), job.accounts}, .capabilities = 0};
  for (const layerfs::ConvertJob::LayerIn& layer : job.stack.layers) {
    keep.read_only.push_back(layer.tar_is_there ? layer.tar_path : layer.blob_path);
    if (!layer.tar_is_there) keep.read_write.push_back(directory_of(layer.tar_path));
  }
  for (const layerfs::FlattenJob::Extra& extra : job.extras)
    if (!extra.file.empty()) keep.read_only.push_back(extra.file);
  NX_CHECK(confine(keep), "confine the archiver");
  NX_TRY(const layerfs::Flattened made, layerfs::convert::write_archive(job));
  json::Object out;
  if (!job.output.empty()) out.set("sha256", made.sha256);
  out.set("bytes", made.bytes);
  out.set("unpacked", made.unpacked);
  return out;
}

}  // namespace nexcage::helpers
