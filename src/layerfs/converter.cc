#include "nexcage/layerfs/converter.h"

#include <utility>

#include "nexcage/image/helper.h"
#include "nexcage/layerfs/convert_protocol.h"

namespace nexcage::layerfs {

Converter helper_converter(std::string libexec_dir) {
  return [libexec_dir = std::move(libexec_dir)](const ConvertJob& job) -> Result<ConvertResult> {
    NX_TRY(const json::Value answer, image::call_helper(libexec_dir, "convert", to_json(job)));
    return convert_result_from_json(answer);
  };
}

}  // namespace nexcage::layerfs
