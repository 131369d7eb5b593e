// Converting a stack of layers, as a confined process.
#include "nexcage/layerfs/convert/convert.h"

#include <linux/capability.h>

#include <string>
#include <vector>

#include "nexcage/helpers/confine.h"
#include "nexcage/helpers/subcommand.h"
#include "nexcage/helpers/unpack_capabilities.h"
#include "nexcage/layerfs/convert_protocol.h"

namespace nexcage::helpers {
namespace {

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

Result<json::Value> run_convert(const json::Value& request) {
  NX_TRY(const layerfs::ConvertJob job, layerfs::convert_job_from_json(request));
  const bool plain = job.form == layerfs::ConvertForm::plain;
  // Images are written as what they are: files of the caller's. Only a plain tree has other owners.
  Confinement keep{
      .read_only = {}, .read_write = {}, .capabilities = plain ? kUnpackCapabilities : 0};
  for (const layerfs::ConvertJob::LayerIn& layer : job.layers) {
    keep.read_only.push_back(layer.tar_is_there ? layer.tar_path : layer.blob_path);
    if (!layer.tar_is_there) keep.read_write.push_back(directory_of(layer.tar_path));
  }
  for (const std::string& output : job.outputs)
    if (!output.empty()) keep.read_write.push_back(plain ? output : directory_of(output));
  NX_CHECK(confine(keep), "confine the converter");
  NX_TRY(const layerfs::ConvertResult result, layerfs::convert::convert(job));
  return layerfs::to_json(result);
}

}  // namespace nexcage::helpers
