// Unpacking a layer, as a confined process.
#include "nexcage/helpers/confine.h"
#include "nexcage/helpers/subcommand.h"
#include "nexcage/helpers/unpack_capabilities.h"
#include "nexcage/layerfs/unpack/unpack_layer.h"
#include "nexcage/layerfs/unpack_protocol.h"

namespace nexcage::helpers {

Result<json::Value> run_unpack(const json::Value& request) {
  NX_TRY(const layerfs::UnpackJob job, layerfs::unpack_job_from_json(request));
  Confinement keep{
      .read_only = job.lowers, .read_write = {job.target}, .capabilities = kUnpackCapabilities};
  keep.read_only.push_back(job.blob_path);
  NX_CHECK(confine(keep), "confine the unpacker");
  NX_TRY(const layerfs::UnpackResult result, layerfs::unpack::unpack_layer(job));
  return layerfs::to_json(result);
}

}  // namespace nexcage::helpers
