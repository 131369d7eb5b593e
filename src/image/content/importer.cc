#include "nexcage/image/content/importer.h"

#include <algorithm>

#include "nexcage/base/clock.h"
#include "nexcage/base/testpoint.h"
#include "nexcage/image/names.h"

namespace nexcage::image::content {

namespace {

constexpr std::string_view kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

json::Value to_array(const std::vector<std::string>& texts) {
  json::Array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

json::Value process_of(const RootfsConfig& rootfs) {
  std::vector<std::string> env = rootfs.env;
  if (std::ranges::none_of(env, [](const std::string& e) { return e.starts_with("PATH="); }))
    env.insert(env.begin(), std::string(kDefaultPath));
  json::Object process;
  if (!rootfs.user.empty()) process.set("User", rootfs.user);
  process.set("Env", to_array(env));
  if (!rootfs.entrypoint.empty()) process.set("Entrypoint", to_array(rootfs.entrypoint));
  if (!rootfs.cmd.empty()) process.set("Cmd", to_array(rootfs.cmd));
  if (!rootfs.working_dir.empty()) process.set("WorkingDir", rootfs.working_dir);
  return process;
}

json::Value plain_descriptor(const oci::Descriptor& descriptor) {
  json::Object out;
  out.set("mediaType", descriptor.media_type);
  out.set("digest", descriptor.digest.str());
  out.set("size", descriptor.size);
  return out;
}

std::vector<oci::Reference> names_for(const ImportRequest& request, const SourceImage& image) {
  if (request.name) return {*request.name};
  if (!image.names.empty()) return image.names;
  return {fallback_name(request.source.path, image.tag)};
}

Result<Imported> import_locked(const Layout& layout, const ImportRequest& request) {
  NX_TRY(auto blobs_lock, layout.share_blobs());
  NX_TRY(SourceImage image, read_source(request, layout));
  NX_TRY(PendingBlobs pending, PendingBlobs::create(layout));
  BlobWriter writer(layout, pending);
  NX_TRY(oci::Descriptor manifest, write_image(request.rootfs, image, writer));
  testpoint("import-blobs");
  std::vector<oci::Reference> names = names_for(request, image);
  NX_CHECK(name_manifests(layout, {{.manifest = manifest, .names = names}}));
  testpoint("import-named");
  pending.done();
  return Imported{.manifest = std::move(manifest), .names = std::move(names)};
}

}  // namespace

std::string make_config(const RootfsConfig& rootfs, const oci::Digest& diff_id) {
  std::string created = format_rfc3339(now(), 0);
  oci::Platform host = oci::host_platform();
  json::Object layers;
  layers.set("type", "layers");
  layers.set("diff_ids", json::Array{json::Value(diff_id.str())});
  json::Object step;
  step.set("created", created);
  step.set("created_by", "nexcage image import rootfs:");
  json::Object out;
  out.set("created", created);
  out.set("architecture", host.architecture);
  out.set("os", host.os);
  if (!host.variant.empty()) out.set("variant", host.variant);
  out.set("config", process_of(rootfs));
  out.set("rootfs", std::move(layers));
  out.set("history", json::Array{json::Value(std::move(step))});
  return json::dump(std::move(out));
}

std::string make_manifest(const oci::Descriptor& config,
                          const std::vector<oci::Descriptor>& layers) {
  json::Array blobs;
  for (const oci::Descriptor& layer : layers) blobs.push_back(plain_descriptor(layer));
  json::Object out;
  out.set("schemaVersion", 2);
  out.set("mediaType", oci::media::kManifest);
  out.set("config", plain_descriptor(config));
  out.set("layers", std::move(blobs));
  return json::dump(std::move(out));
}

Result<oci::Descriptor> write_image(const RootfsConfig& rootfs, SourceImage& image,
                                    BlobWriter& writer) {
  using CheckTar = BlobWriter::CheckTar;
  CheckTar check = image.config ? CheckTar::no : CheckTar::yes;
  std::vector<oci::Descriptor> layers;
  for (const SourceLayer& source : image.layers) {
    NX_TRY(BlobWriter::Layer layer, writer.add_layer(source, check));
    testpoint("import-layer");
    if (!image.config)
      image.config = make_document(oci::media::kConfig, make_config(rootfs, layer.diff_id));
    layers.push_back(std::move(layer.blob));
  }
  if (!image.manifest) {
    image.manifest =
        make_document(oci::media::kManifest, make_manifest(image.config->descriptor, layers));
  }
  NX_CHECK(writer.add_document(*image.config));
  NX_CHECK(writer.add_document(*image.manifest));
  NX_CHECK(writer.sync());
  oci::Descriptor manifest = image.manifest->descriptor;
  // What only we may say of an image (image/staged.h) is not taken from a source.
  std::erase_if(manifest.annotations,
                [](const auto& note) { return note.first.starts_with("org.nexcage."); });
  return manifest;
}

Result<Imported> run_import(const Layout& layout, const ImportRequest& request) {
  return between_sweeps(layout, [&] { return import_locked(layout, request); });
}

}  // namespace nexcage::image::content
