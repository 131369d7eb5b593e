// The creation flow, from top to bottom. Each phase stands in the file named beside it.
#include <utility>

#include "nexcage/base/testpoint.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/runtime/prepared.h"
#include "nexcage/runtime/restart.h"

namespace nexcage::runtime {
namespace {

/// Phases 3 to 9. On any failure the undo log inside the value that was being made takes everything
/// back, in this process; if this process dies, the next command does.
Result<Container> build(Resolved resolved, Services& with) {
  NX_TRY(Mounted mounted, mount_layers(std::move(resolved), with));  // phase_layers.cc
  testpoint("phase-3");
  NX_TRY(Rooted rooted, assemble_rootfs(std::move(mounted)));  // phase_rootfs.cc
  testpoint("phase-4");
  NX_TRY(Stored stored, settle_storage(std::move(rooted), with));  // phase_storage.cc
  testpoint("phase-5");
  NX_TRY(Ready ready, configure_backend(std::move(stored), with));  // phase_backend.cc
  testpoint("phase-6");
  NX_TRY(Registered registered, write_metadata(std::move(ready), with));  // phase_metadata.cc
  testpoint("phase-7");
  NX_TRY(Registered connected, connect_network(std::move(registered), with));  // phase_network.cc
  NX_TRY(Made made, create_environment(std::move(connected), with));           // phase_backend.cc
  testpoint("phase-8");
  return publish(std::move(made));  // phase_metadata.cc
}

std::string what(const Request& request) { return "create " + request.id; }

}  // namespace

Result<Container> create(const Request& request, Services& with) {
  NX_TRY(Checked checked, check_request(request, with), what(request));  // phase_request.cc
  testpoint("phase-1");
  NX_TRY(Resolved resolved, resolve_image(std::move(checked), with),
         what(request));  // phase_image.cc
  testpoint("phase-2");
  NX_TRY(Container container, build(std::move(resolved), with), what(request));
  return container;
}

Result<PreparedBundle> prepare_bundle(const Request& request, Services& with) {
  NX_TRY(Checked checked, check_request(request, with), what(request));
  NX_TRY(Resolved resolved, resolve_image(std::move(checked), with), what(request));
  NX_TRY(PreparedBundle prepared, hand_on(std::move(resolved)), what(request));
  return prepared;
}

Result<Container> create_prepared(const Request& request, Services& with) {
  Request whole = request;
  NX_TRY(Resolved resolved, load_prepared(whole, with), what(request));  // prepared.cc
  testpoint("phase-2");
  NX_TRY(Container container, build(std::move(resolved), with), what(request));
  return container;
}

Result<Container> create_again(const Request& request, Services& with) {
  Request whole = request;
  NX_TRY(Resolved resolved, load_stopped(whole, with), "start " + request.id);  // restart.cc
  testpoint("phase-2");
  NX_TRY(Container container, build(std::move(resolved), with), "start " + request.id);
  return container;
}

}  // namespace nexcage::runtime
