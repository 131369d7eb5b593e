// Phase 2: the image is found, pulled when it is missing, and verified, the spec completed from its
// configuration, the bundle written. A bundle of the OCI form passes through.
#include <fcntl.h>

#include "nexcage/runtime/image_spec.h"
#include "nexcage/runtime/network_spec.h"
#include "nexcage/runtime/owner.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/runtime/prepared.h"
#include "nexcage/runtime/pull.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

constexpr mode_t kBundleMode = 0711;  // a container's user namespace must reach its rootfs

std::string name_of(const image::Image& image, const std::string& asked) {
  return image.names.empty() ? asked : image.names.front().str();
}

Result<> write_bundle(Resolved& resolved, const Settings& settings) {
  NX_CHECK(sys::mkdirs(settings.containers, kBundleMode));
  NX_CHECK(resolved.undo.will_create_dir(resolved.bundle));
  if (mkdir(resolved.bundle.c_str(), kBundleMode) != 0)
    return fail_errno("create bundle " + resolved.bundle);
  NX_CHECK(write_owner(resolved.bundle, settings.root));
  const std::string text = json::dump(oci::to_json(resolved.spec), json::Style::pretty) + "\n";
  NX_CHECK(sys::write_file_atomic(resolved.bundle + "/config.json", text, 0600, sys::Durable::no));
  return save_request(resolved);
}

}  // namespace

Result<> take_image(Resolved& resolved, Services& with) {
  const ImageSource& wanted = *resolved.image;
  NX_TRY(resolved.store, image::Store::open(with.settings.images, image::Store::IfMissing::create));
  NX_TRY(const PullPolicy configured, parse_pull_policy(with.settings.pull_policy), "pull.policy");
  NX_TRY(resolved.verified, find_or_pull(wanted.image, wanted.pull.value_or(configured),
                                         *resolved.store, resolved.storage, with));
  resolved.image_name = name_of(*resolved.verified, wanted.image);
  NX_TRY(ImageSpec made, spec_from_image(resolved.verified->config, wanted, resolved.request->id,
                                         resolved.image_name));
  resolved.spec = std::move(made.spec);
  resolved.user = std::move(made.user.text);
  resolved.volumes = std::move(made.volumes);
  if (resolved.network)
    apply_network(resolved.spec, *resolved.network, resolved.bundle,
                  Paths(with.settings).network_dir(resolved.request->id));
  return {};
}

Result<Resolved> resolve_image(Checked checked, Services& with) {
  Resolved resolved{std::move(checked), {}, {}, {}, {}, {}};
  if (resolved.image == nullptr) return resolved;
  NX_CHECK(take_image(resolved, with));
  NX_CHECK(write_bundle(resolved, with.settings));
  return resolved;
}

}  // namespace nexcage::runtime
