#include "nexcage/image/names.h"

#include "nexcage/base/log.h"
#include "nexcage/image/catalog.h"
#include "nexcage/image/view.h"

namespace nexcage::image {

Result<> name_manifests(const Layout& layout, const std::vector<Named>& all) {
  for (const Named& named : all) NX_CHECK(layout.open_blob(named.manifest));
  NX_TRY(auto lock, layout.lock_index());
  NX_TRY(oci::Index index, layout.read_index());
  for (const Named& named : all) {
    index = with_manifest(std::move(index), named.manifest);
    for (const oci::Reference& name : named.names)
      index = with_name(std::move(index), name, named.manifest);
  }
  NX_CHECK(layout.write_index(index));
  sync_views_or_warn(layout, index);
  return {};
}

void sync_views_or_warn(const Layout& layout, const oci::Index& index) {
  if (auto synced = sync_views(layout, index); !synced)
    log::warning("image store " + layout.root() + ": " + synced.error().message());
}

}  // namespace nexcage::image
