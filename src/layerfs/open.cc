// The table of drivers.
#include <array>
#include <string_view>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/drivers/overlay.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs {
namespace {

struct Row {
  std::string_view name;
  std::unique_ptr<Driver> (*make)(Options options);
};
/// Best first. A driver is added by its files in drivers/ and one line here.
constexpr std::array<Row, 1> kDrivers = {{{"overlay", &overlay::make_driver}}};

/// Names that configurations may hold already, without a driver in this build.
constexpr std::array<std::string_view, 4> kPlanned = {"erofs", "zfs", "raw", "copy"};

std::string known_names() {
  std::vector<std::string> names = driver_names();
  names.emplace_back("auto");
  return join(names, ", ");
}

Result<std::unique_ptr<Driver>> best(const Options& options) {
  Error why(Errc::Unsupported, "no LayerFS driver works on this host");
  for (const Row& row : kDrivers) {
    auto driver = row.make(options);
    auto works = driver->probe();
    if (works) return driver;
    why = std::move(why).also(std::move(works).error().wrap("driver " + std::string(row.name)));
  }
  return fail(std::move(why));
}

}  // namespace

std::vector<std::string> driver_names() {
  std::vector<std::string> names;
  names.reserve(kDrivers.size());
  for (const Row& row : kDrivers) names.emplace_back(row.name);
  return names;
}

Result<std::unique_ptr<Driver>> open(Options options) {
  if (options.driver == "auto") return best(options);
  for (const Row& row : kDrivers) {
    if (row.name != options.driver) continue;
    auto driver = row.make(std::move(options));
    NX_CHECK(driver->probe(), "LayerFS driver " + std::string(row.name));
    return driver;
  }
  for (const std::string_view planned : kPlanned)
    if (planned == options.driver)
      return fail(Error(Errc::Unsupported, "this build has no LayerFS driver " + options.driver)
                      .hint("drivers: " + known_names()));
  return fail(Error(Errc::ConfigError, "unknown LayerFS driver " + quote(options.driver))
                  .hint("drivers: " + known_names()));
}

}  // namespace nexcage::layerfs
