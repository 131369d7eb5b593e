// Verifying an image, as a confined process.
#include <linux/capability.h>

#include "nexcage/helpers/confine.h"
#include "nexcage/helpers/subcommand.h"
#include "nexcage/image/content/checker.h"
#include "nexcage/image/content/verifier.h"

namespace nexcage::helpers {

namespace {

/// The store, opened, with nothing left that this process may write.
Result<image::Layout> open_to_read(const json::Value& request) {
  const std::string root = request.text("root");
  if (root.empty()) return fail(Errc::InvalidJson, "the request lacks root");
  NX_TRY(auto layout, image::Layout::open(root, image::Store::IfMissing::fail));
  NX_CHECK(layout.share_blobs());  // makes the lock's file: from here on nothing is written
  NX_CHECK(confine({.read_only = {root},
                    .read_write = {},
                    .capabilities = sys::CapSet{1} << CAP_DAC_READ_SEARCH}),
           "confine the verifier");
  return layout;
}

}  // namespace

Result<json::Value> run_verify(const json::Value& request) {
  const std::string what = request.text("image");
  if (what.empty()) return fail(Errc::InvalidJson, "the request lacks image");
  NX_TRY(const image::Layout layout, open_to_read(request));
  NX_TRY(image::VerifyReport report, image::content::run_verify(layout, what));
  return image::to_json(report);
}

Result<json::Value> run_check(const json::Value& request) {
  NX_TRY(const image::Layout layout, open_to_read(request));
  NX_TRY(const image::StoreCheck check, image::content::run_check(layout));
  return image::to_json(check);
}

}  // namespace nexcage::helpers
