#include "nexcage/cli/updating.h"

#include <chrono>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/base/testpoint.h"
#include "nexcage/cli/monitored.h"
#include "nexcage/cli/stopping.h"
#include "nexcage/runtime/root_update.h"

namespace nexcage::cli {
namespace {

using runtime::RootUpdate;

constexpr std::chrono::seconds kStopTime{10};  // as `stop`

Result<RootUpdate> plan(const std::string& id, const std::optional<std::string>& image,
                        runtime::Services& services) {
  if (!image) return RootUpdate::to_earlier(id, services);
  const auto keep = static_cast<unsigned>(services.settings.generations);
  return RootUpdate::to_image(id, *image, keep, services);
}

/// One that did not come to its end, or whose poststart hooks failed, may still be there.
Result<> take_back(const std::string& id, RootUpdate& update, runtime::Services& services) {
  NX_CHECK(stop_container(id, kStopTime, services));
  return update.take_back(services);
}

Result<> start_again(Context& context, const std::string& id, runtime::Services& services) {
  NX_TRY(const backends::Record record, runtime::find(id, services));
  if (record.state.status != oci::Status::stopped) return {};
  return start_container(context, id, services, runtime::Ending::returns);
}

Result<> carry_out(Context& context, const std::string& id, RootUpdate& update,
                   runtime::Services& services) {
  const bool ran = update.is_running();
  Result<> done;
  if (ran) done = stop_container(id, kStopTime, services);
  testpoint("update-stopped");
  if (done) done = update.exchange(services);
  const bool exchanged = done.has_value();
  if (done && ran) done = start_container(context, id, services, runtime::Ending::returns);
  testpoint("update-started");
  if (done) {
    // Roots too many cost space, not correctness; the next update takes them away.
    if (auto dropped = update.drop_surplus(services); !dropped)
      log::warning(dropped.error().message());
    return {};
  }
  Error error = std::move(done).error();
  Result<> back;
  if (exchanged) back = take_back(id, update, services);
  if (back && ran) back = start_again(context, id, services);
  if (!back) error = std::move(error).also(std::move(back).error());
  return fail(std::move(error));
}

}  // namespace

Result<> update_root(Context& context, const std::string& id,
                     const std::optional<std::string>& image, runtime::Services& services) {
  const std::string what = "update " + id;
  if (context.program().always_oci())
    return fail(Errc::Unsupported,
                what + ": " + context.program().name + " runs containers from bundles");
  NX_TRY(RootUpdate update, plan(id, image, services), what);
  testpoint("update-planned");
  auto done = carry_out(context, id, update, services);
  // What stays behind costs space, not correctness; the next command takes it away.
  if (auto tidied = update.finish(); !tidied) log::warning(tidied.error().message());
  if (!done) return fail(std::move(done).error().wrap(what));
  return {};
}

}  // namespace nexcage::cli
