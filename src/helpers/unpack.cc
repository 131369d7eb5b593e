// Unpacking a layer, as a confined process.
#include <linux/capability.h>

#include "nexcage/helpers/confine.h"
#include "nexcage/helpers/subcommand.h"
#include "nexcage/layerfs/unpack/unpack_layer.h"
#include "nexcage/layerfs/unpack_protocol.h"

namespace nexcage::helpers {
namespace {

constexpr sys::CapSet bit(int capability) { return sys::CapSet{1} << capability; }

/// What making files of any owner, mode, type and attribute needs. CAP_SYS_ADMIN is for the
/// trusted.* attributes, by which overlayfs knows an opaque directory.
constexpr sys::CapSet kCapabilities = bit(CAP_CHOWN) | bit(CAP_DAC_OVERRIDE) | bit(CAP_FOWNER) |
                                      bit(CAP_FSETID) | bit(CAP_MKNOD) | bit(CAP_SETFCAP) |
                                      bit(CAP_SYS_ADMIN);

}  // namespace

Result<json::Value> run_unpack(const json::Value& request) {
  NX_TRY(const layerfs::UnpackJob job, layerfs::unpack_job_from_json(request));
  Confinement keep{
      .read_only = job.lowers, .read_write = {job.target}, .capabilities = kCapabilities};
  keep.read_only.push_back(job.blob_path);
  NX_CHECK(confine(keep), "confine the unpacker");
  NX_TRY(const layerfs::UnpackResult result, layerfs::unpack::unpack_layer(job));
  return layerfs::to_json(result);
}

}  // namespace nexcage::helpers
