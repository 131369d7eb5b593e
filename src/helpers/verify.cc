// Verifying an image, as a confined process.
#include <linux/capability.h>

#include "confine.h"
#include "nexcage/image/content/verifier.h"
#include "subcommand.h"

namespace nexcage::helpers {

Result<json::Value> run_verify(const json::Value& request) {
  const json::Value* root = request.find("root");
  const json::Value* what = request.find("image");
  if (root == nullptr || root->if_string() == nullptr || what == nullptr ||
      what->if_string() == nullptr)
    return fail(Errc::InvalidJson, "the request lacks root or image");
  NX_TRY(auto layout, image::Layout::open(*root->if_string(), image::Store::IfMissing::fail));
  // Writing is for the lock file alone.
  NX_CHECK(confine({.read_only = {},
                    .read_write = {*root->if_string()},
                    .capabilities = sys::CapSet{1} << CAP_DAC_OVERRIDE}),
           "confine the verifier");
  NX_TRY(image::VerifyReport report, image::content::run_verify(layout, *what->if_string()));
  return image::to_json(report);
}

}  // namespace nexcage::helpers
