#include "nexcage/runtime/pull.h"

#include <array>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/registry/pull.h"

namespace nexcage::runtime {
namespace {

constexpr std::array<std::pair<std::string_view, PullPolicy>, 4> kPolicies = {
    {{"missing", PullPolicy::missing},
     {"always", PullPolicy::always},
     {"newer", PullPolicy::newer},
     {"never", PullPolicy::never}}};

/// By the store's own rules, then by those of registries.conf.
Result<image::Image> find(const std::string& what, const image::Store& store) {
  auto found = store.resolve(what);
  if (found || found.error().code() != Errc::ImageNotFound) return found;
  // Files that are wrong are told by the pull that would need them.
  auto name = registry::find_local_name(what, store);
  if (name && *name) return store.resolve((*name)->str());
  return found;
}

}  // namespace

Result<PullPolicy> parse_pull_policy(std::string_view word) {
  for (const auto& [name, policy] : kPolicies)
    if (word == name) return policy;
  return fail(Errc::InvalidSpec,
              "pull policy " + quote(word) + ": expected missing, always, newer or never");
}

Result<image::Image> find_or_pull(const std::string& what, PullPolicy policy,
                                  const image::Store& store, const storage::Choice& storage,
                                  Services& with) {
  const bool asks_first = policy == PullPolicy::always || policy == PullPolicy::newer;
  Result<image::Image> found = asks_first ? fail(Errc::ImageNotFound, what) : find(what, store);
  if (found || policy == PullPolicy::never || found.error().code() != Errc::ImageNotFound)
    return found;
  // An ID or digest that the store has not can be asked of nobody.
  if (oci::Digest::parse(what)) return asks_first ? find(what, store) : std::move(found);
  auto pulled = with.pull(what, storage);
  if (pulled) return store.resolve(pulled->name.str());
  if (policy != PullPolicy::newer) return fail(std::move(pulled).error().wrap("pull"));
  found = find(what, store);
  if (!found) return fail(std::move(pulled).error().wrap("pull"));
  log::warning("the image in the store is used: " + pulled.error().message());
  return found;
}

registry::TransferPlace transfer_place(const Settings& settings) {
  return {.images = settings.images,
          .libexec = settings.libexec,
          .settings = {.parallel_layers = settings.pull_parallel_layers,
                       .connections_per_layer = settings.pull_connections,
                       .retries = settings.pull_retries,
                       .stall_seconds = settings.pull_stall_timeout}};
}

Result<registry::Pulled> pull_ready(const std::string& what, const registry::PullOptions& options,
                                    const registry::TransferWatch& watch, const Services& with,
                                    const storage::Choice& storage) {
  registry::TransferPlace place = transfer_place(with.settings);
  const bool for_here = !options.platform || oci::platform_text(*options.platform) ==
                                                 oci::platform_text(oci::host_platform());
  if (!for_here) return registry::pull_image(what, options, place, watch);
  NX_TRY(auto driver, with.open_layerfs(storage));
  NX_TRY(place.tars, driver->open_inbox());
  NX_TRY(registry::Pulled pulled, registry::pull_image(what, options, place, watch));
  const auto prepare = [&]() -> Result<> {
    NX_TRY(const image::Store store,
           image::Store::open(place.images, image::Store::IfMissing::fail));
    NX_TRY(const image::Image image, store.resolve(pulled.name.str()));
    NX_CHECK(driver->prepare(store, image), "prepare the layers");
    return {};
  };
  NX_CHECK(prepare(), pulled.name.str());
  return pulled;
}

storage::Defaults storage_defaults(const Settings& settings) {
  return {.storage = settings.storage,
          .zfs_dataset = settings.zfs_dataset,
          .layerfs = settings.layerfs};
}

Result<storage::Choice> default_storage(const Settings& settings) {
  return storage::select(oci::Spec{}, storage_defaults(settings), storage::Form::image);
}

}  // namespace nexcage::runtime
