// `checkpoint`: done by the backend; here only what becomes of the container.
#include "nexcage/runtime/runtime.h"

namespace nexcage::runtime {

Result<> checkpoint(const std::string& id, const std::vector<std::string>& options, After after,
                    Services& with) {
  NX_TRY(const backends::Record record, find(id, with));
  if (record.state.status != oci::Status::running && record.state.status != oci::Status::paused)
    return fail(Errc::InvalidState, "cannot checkpoint: container " + id + " is " +
                                        std::string(oci::status_name(record.state.status)));
  NX_TRY(const auto backend, with.open_backend(record.backend));
  NX_CHECK(backend->checkpoint(record, options), "checkpoint " + id);
  if (after == After::goes_on || is_image_form(record, with.settings)) return {};
  return remove(id, true, with);
}

}  // namespace nexcage::runtime
