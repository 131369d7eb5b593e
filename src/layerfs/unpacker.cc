#include "nexcage/layerfs/unpacker.h"

#include <utility>

#include "nexcage/image/helper.h"
#include "nexcage/layerfs/unpack_protocol.h"

namespace nexcage::layerfs {

Unpacker helper_unpacker(std::string libexec_dir) {
  return [libexec_dir = std::move(libexec_dir)](const UnpackJob& job) -> Result<UnpackResult> {
    NX_TRY(const json::Value answer, image::call_helper(libexec_dir, "unpack", to_json(job)));
    return unpack_result_from_json(answer);
  };
}

}  // namespace nexcage::layerfs
