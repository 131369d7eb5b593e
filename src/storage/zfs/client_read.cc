// What asks about datasets and changes nothing.
#include "nexcage/base/text.h"
#include "nexcage/storage/zfs/call.h"
#include "nexcage/storage/zfs/client.h"

namespace nexcage::storage::zfs {
namespace {

using Arguments = std::vector<std::string>;

/// An answer that is expected to say whether something exists.
Result<bool> existence(Result<std::string> answer) {
  if (answer) return true;
  if (failure_of(answer.error()) == Failure::no_such_dataset) return false;
  return fail(std::move(answer).error());
}

}  // namespace

Result<std::map<std::string, std::string>> Client::get(
    const std::string& dataset, const std::vector<std::string>& names) const {
  const std::string attempted = "read properties of dataset " + dataset;
  for (const std::string& name : names) NX_CHECK(check_property_name(name), attempted);
  NX_TRY(const std::string text,
         zfs(attempted, {"get", "-H", "-p", "-o", "property,value", join(names, ","), dataset}));
  NX_TRY(auto values, parse_properties(text, names), attempted);
  return values;
}

Result<> Client::probe() const {
  NX_CHECK(find_installed(programs_.zpool), "look for the programs of ZFS");
  auto values = get(parent_.name(), {"type"});
  if (!values && failure_of(values.error()) == Failure::no_such_dataset)
    return fail(std::move(values)
                    .error()
                    .as(Errc::ConfigError)
                    .hint("Make it with zfs create " + parent_.name() +
                          ", or change dataset in [zfs] of the configuration."));
  if (!values) return fail(std::move(values).error());
  if ((*values)["type"] == "filesystem") return {};
  return fail(Errc::ConfigError, "the ZFS dataset " + parent_.name() +
                                     " is no file system, so nothing can lie below it");
}

Result<bool> Client::exists(const Dataset& dataset) const {
  NX_CHECK(check(dataset));
  return existence(zfs("look for dataset " + dataset.name(),
                       {"list", "-H", "-o", "name", "-t", "filesystem,volume", dataset.name()}));
}

Result<bool> Client::exists(const Snapshot& snapshot) const {
  NX_CHECK(check(snapshot.dataset()));
  return existence(zfs("look for snapshot " + snapshot.name(),
                       {"list", "-H", "-o", "name", "-t", "snapshot", snapshot.name()}));
}

Result<std::optional<std::string>> Client::property(const Dataset& dataset,
                                                    const std::string& name) const {
  auto values = properties(dataset, {name});
  if (!values) {
    if (failure_of(values.error()) == Failure::no_such_dataset) return std::nullopt;
    return fail(std::move(values).error());
  }
  if (values->empty()) return std::nullopt;
  return std::move(values->begin()->second);
}

Result<std::map<std::string, std::string>> Client::properties(
    const Dataset& dataset, const std::vector<std::string>& names) const {
  NX_CHECK(check(dataset));
  if (names.empty()) return {};
  return get(dataset.name(), names);
}

Result<std::vector<SnapshotInfo>> Client::snapshots(const Dataset& dataset) const {
  NX_CHECK(check(dataset));
  const std::string attempted = "list the snapshots of dataset " + dataset.name();
  NX_TRY(const std::string text,
         zfs(attempted, {"list", "-H", "-p", "-t", "snapshot", "-d", "1", "-s", "creation", "-s",
                         "createtxg", "-o", kSnapshotFields, dataset.name()}));
  NX_TRY(auto snapshots, parse_snapshots(text, dataset), attempted);
  return snapshots;
}

Result<std::vector<DatasetInfo>> Client::list_below(const std::string& name, Depth depth) const {
  const std::string attempted = "list the datasets below " + name;
  Arguments arguments = {"list", "-H", "-p", "-t", "filesystem,volume", "-o", kDatasetFields};
  if (depth == Depth::direct)
    arguments.insert(arguments.end(), {"-d", "1"});
  else
    arguments.emplace_back("-r");
  arguments.push_back(name);
  NX_TRY(const std::string text, zfs(attempted, arguments));
  NX_TRY(auto datasets, parse_datasets(text, parent_, name), attempted);
  return datasets;
}

Result<std::vector<DatasetInfo>> Client::children(Depth depth) const {
  return list_below(parent_.name(), depth);
}

Result<std::vector<DatasetInfo>> Client::children(const Dataset& of, Depth depth) const {
  NX_CHECK(check(of));
  return list_below(of.name(), depth);
}

Result<PoolInfo> Client::pool() const {
  const std::string name(parent_.pool());
  const std::string attempted = "look at pool " + name;
  NX_TRY(const std::string text,
         call(programs_.zpool, attempted, {"list", "-H", "-p", "-o", kPoolFields, name}));
  NX_TRY(PoolInfo info, parse_pool(text), attempted);
  return info;
}

Result<Space> Client::space() const {
  NX_TRY(const auto values, get(parent_.name(), {"used", "available", "quota"}));
  NX_TRY(const Space space, parse_space(values), "read the space of dataset " + parent_.name());
  return space;
}

}  // namespace nexcage::storage::zfs
