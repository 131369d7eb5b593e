// Verifying an image, as a confined process.
#include <linux/capability.h>

#include "nexcage/helpers/confine.h"
#include "nexcage/helpers/subcommand.h"
#include "nexcage/image/content/verifier.h"

namespace nexcage::helpers {

Result<json::Value> run_verify(const json::Value& request) {
  const std::string root = request.text("root");
  const std::string what = request.text("image");
  if (root.empty() || what.empty())
    return fail(Errc::InvalidJson, "the request lacks root or image");
  NX_TRY(auto layout, image::Layout::open(root, image::Store::IfMissing::fail));
  NX_CHECK(layout.share_blobs());  // makes the lock's file: from here on nothing is written
  NX_CHECK(confine({.read_only = {root},
                    .read_write = {},
                    .capabilities = sys::CapSet{1} << CAP_DAC_READ_SEARCH}),
           "confine the verifier");
  NX_TRY(image::VerifyReport report, image::content::run_verify(layout, what));
  return image::to_json(report);
}

}  // namespace nexcage::helpers
