// The table of drivers.
#include <fcntl.h>

#include <array>
#include <string_view>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/layerfs/drivers/copy.h"
#include "nexcage/layerfs/drivers/erofs.h"
#include "nexcage/layerfs/drivers/overlay.h"
#include "nexcage/layerfs/drivers/zfs.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs {
namespace {

/// `automatic`: "auto" may take it. Driver zfs needs a dataset, which the storage decides on.
struct Row {
  std::string_view name;
  std::unique_ptr<Driver> (*make)(Options options);
  bool automatic;
};
/// Best first. A driver is added by its files in drivers/ and one line here.
constexpr std::array<Row, 4> kDrivers = {{{"erofs", &erofs_driver::make_driver, true},
                                          {"overlay", &overlay::make_driver, true},
                                          {"copy", &copy::make_driver, true},
                                          {"zfs", &zfs_driver::make_driver, false}}};

std::string known_names() {
  std::vector<std::string> names = driver_names();
  names.emplace_back("auto");
  return join(names, ", ");
}

Result<std::unique_ptr<Driver>> best(const Options& options) {
  Error why(Errc::Unsupported, "no LayerFS driver works on this host");
  for (const Row& row : kDrivers) {
    if (!row.automatic) continue;
    auto driver = row.make(options);
    auto works = driver->probe();
    if (works) return driver;
    why = std::move(why).also(std::move(works).error().wrap("driver " + std::string(row.name)));
  }
  return fail(std::move(why));
}

}  // namespace

Result<std::vector<StackImage>> Driver::images(const PreparedStack& /*stack*/) const {
  return fail(Errc::Unsupported, "driver " + std::string(name()) +
                                     " keeps layers as files, not as file system images");
}

std::vector<std::string> driver_names() {
  std::vector<std::string> names;
  names.reserve(kDrivers.size());
  for (const Row& row : kDrivers) names.emplace_back(row.name);
  return names;
}

Result<std::unique_ptr<Driver>> open(Options options) {
  if (options.driver == "auto") return best(options);
  const std::string name = options.driver;
  NX_TRY(auto driver, open_unprobed(name, std::move(options)));
  NX_CHECK(driver->probe(), "LayerFS driver " + name);
  return driver;
}

Result<std::unique_ptr<Driver>> open_unprobed(const std::string& name, Options options) {
  for (const Row& row : kDrivers)
    if (row.name == name) return row.make(std::move(options));
  if (name == "raw")
    return fail(Error(Errc::ConfigError, "raw is no LayerFS driver")
                    .hint("a root file system in an image is a storage: --raw, or [storage] "
                          "default = \"raw\""));
  return fail(Error(Errc::ConfigError, "unknown LayerFS driver " + quote(name))
                  .hint("drivers: " + known_names()));
}

Result<std::vector<std::unique_ptr<Driver>>> open_used(const Options& options) {
  std::vector<std::unique_ptr<Driver>> drivers;
  for (const Row& row : kDrivers) {
    NX_TRY(const bool used, sys::exists(AT_FDCWD, options.root + "/" + std::string(row.name)));
    if (used) drivers.push_back(row.make(options));
  }
  return drivers;
}

}  // namespace nexcage::layerfs
