// Importing an image, as a confined process.
#include <linux/capability.h>

#include "nexcage/helpers/confine.h"
#include "nexcage/helpers/subcommand.h"
#include "nexcage/image/content/importer.h"

namespace nexcage::helpers {

namespace {

/// The source may belong to anybody. Files of the store are made as the caller.
constexpr sys::CapSet kCapabilities = sys::CapSet{1} << CAP_DAC_OVERRIDE;

json::Value to_json(const image::content::Imported& imported) {
  json::Array names;
  for (const oci::Reference& name : imported.names) names.emplace_back(name.str());
  json::Object out;
  out.set("manifest", imported.manifest.digest.str());
  out.set("names", std::move(names));
  return out;
}

}  // namespace

Result<json::Value> run_import(const json::Value& request) {
  const std::string root = request.text("root");
  const json::Value* import = request.find("import");
  if (root.empty() || import == nullptr)
    return fail(Errc::InvalidJson, "the request lacks root or import");
  NX_TRY(image::ImportRequest what, image::parse_import_request(*import));
  NX_TRY(auto layout, image::Layout::open(root, image::Store::IfMissing::create));
  NX_CHECK(
      confine(
          {.read_only = {what.source.path}, .read_write = {root}, .capabilities = kCapabilities}),
      "confine the importer");
  NX_TRY(auto imported, image::content::run_import(layout, what));
  return to_json(imported);
}

}  // namespace nexcage::helpers
