// Saving images to an archive and loading them from one, as a confined process.
#include <linux/capability.h>
#include <unistd.h>

#include "nexcage/helpers/confine.h"
#include "nexcage/helpers/subcommand.h"
#include "nexcage/image/content/loader.h"
#include "nexcage/image/content/saver.h"

namespace nexcage::helpers {

Result<json::Value> run_save(const json::Value& request) {
  const json::Value* root = request.find("root");
  const json::Value* save = request.find("save");
  if (root == nullptr || root->if_string() == nullptr || save == nullptr)
    return fail(Errc::InvalidJson, "the request lacks root or save");
  NX_TRY(const image::SaveRequest what, image::parse_save_request(*save));
  NX_TRY(auto layout, image::Layout::open(*root->if_string(), image::Store::IfMissing::fail));
  NX_CHECK(layout.share_blobs());  // makes the lock's file: from here on nothing is written
  NX_CHECK(confine({.read_only = {*root->if_string()},
                    .read_write = {},
                    .capabilities = sys::CapSet{1} << CAP_DAC_READ_SEARCH}),
           "confine the writer of archives");
  NX_CHECK(image::content::run_save(layout, what, STDOUT_FILENO));
  return json::Object();
}

Result<json::Value> run_load(const json::Value& request) {
  const json::Value* root = request.find("root");
  const json::Value* path = request.find("path");
  if (root == nullptr || root->if_string() == nullptr || path == nullptr ||
      path->if_string() == nullptr)
    return fail(Errc::InvalidJson, "the request lacks root or path");
  const std::string& file = *path->if_string();
  NX_TRY(auto layout, image::Layout::open(*root->if_string(), image::Store::IfMissing::create));
  Confinement keep{.read_only = {},
                   .read_write = {*root->if_string()},
                   .capabilities = sys::CapSet{1} << CAP_DAC_OVERRIDE};
  if (!file.empty()) keep.read_only.push_back(file);
  NX_CHECK(confine(keep), "confine the reader of archives");
  NX_TRY(const auto images, image::content::run_load(layout, file, STDIN_FILENO));
  return image::to_json(images);
}

}  // namespace nexcage::helpers
