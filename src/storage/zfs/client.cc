// What changes datasets. What asks about them: client_read.cc.
#include "nexcage/storage/zfs/client.h"

#include <algorithm>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/storage/zfs/call.h"
#include "nexcage/sys/poll_until.h"

namespace nexcage::storage::zfs {
namespace {

using Arguments = std::vector<std::string>;

constexpr std::chrono::milliseconds kRetryPause{100};
// For zfs 2.1 a clone that could not be mounted is a failure, for later ones it is none.
constexpr std::string_view kOnlyNotMounted = "filesystem successfully created";

/// `arguments` with "-o name=value" for each property, then `last`.
Result<Arguments> with_properties(Arguments arguments, const Properties& properties,
                                  Arguments last) {
  NX_TRY(const Arguments values, assignments(properties));
  for (const std::string& value : values) {
    arguments.emplace_back("-o");
    arguments.push_back(value);
  }
  std::ranges::move(last, std::back_inserter(arguments));
  return arguments;
}

bool failed_with(const Result<>& result, Failure failure) {
  return !result && failure_of(result.error()) == failure;
}

}  // namespace

Client::Client(Parent parent, Programs programs)
    : parent_(std::move(parent)), programs_(std::move(programs)) {}

Result<std::string> Client::zfs(std::string attempted, const Arguments& arguments,
                                Streams streams) const {
  return call(programs_.zfs, std::move(attempted), arguments, streams);
}

Result<> Client::change(std::string attempted, const Arguments& arguments, Streams streams) const {
  NX_CHECK(zfs(std::move(attempted), arguments, streams));
  return {};
}

Result<> Client::check(std::string_view dataset) const {
  if (parent_.contains(dataset) && dataset != parent_.name()) return {};
  return fail(Errc::ConfigError, "ZFS dataset " + std::string(dataset) +
                                     " does not lie below the configured dataset " +
                                     parent_.name());
}

Result<> Client::make_ancestors(const Dataset& dataset) const {
  const std::string path = dataset.name().substr(parent_.name().size() + 1);
  for (std::size_t end = path.find('/'); end != std::string::npos; end = path.find('/', end + 1)) {
    NX_TRY(const Dataset ancestor, parent_.child(path.substr(0, end)));
    const Properties only_a_node = {{"mountpoint", "none"}, {"canmount", "off"}};
    auto made = create(ancestor, only_a_node, Ancestors::must_exist);
    if (!made && !failed_with(made, Failure::exists)) return made;
  }
  return {};
}

Result<> Client::create(const Dataset& dataset, const Properties& properties,
                        Ancestors ancestors) const {
  NX_CHECK(check(dataset));
  const std::string attempted = "create dataset " + dataset.name();
  NX_TRY(const Arguments arguments, with_properties({"create", "-u"}, properties, {dataset.name()}),
         attempted);
  auto made = change(attempted, arguments);
  // Not `create -p`: to that a dataset that exists is success, and it mounts the ancestors.
  if (ancestors == Ancestors::must_exist || !failed_with(made, Failure::no_such_dataset))
    return made;
  NX_CHECK(make_ancestors(dataset), attempted);
  return change(attempted, arguments);
}

Result<> Client::create_volume(const Dataset& dataset, std::uint64_t bytes, Allocation allocation,
                               const Properties& properties) const {
  NX_CHECK(check(dataset));
  const std::string attempted = "create volume " + dataset.name();
  Arguments arguments = {"create", "-V", std::to_string(bytes)};
  if (allocation == Allocation::sparse) arguments.emplace_back("-s");
  NX_TRY(arguments, with_properties(std::move(arguments), properties, {dataset.name()}), attempted);
  return change(attempted, arguments);
}

Result<> Client::snapshot(const Snapshot& snapshot, const Properties& properties) const {
  NX_CHECK(check(snapshot.dataset()));
  const std::string attempted = "create snapshot " + snapshot.name();
  NX_TRY(const Arguments arguments, with_properties({"snapshot"}, properties, {snapshot.name()}),
         attempted);
  return change(attempted, arguments);
}

Result<> Client::clone(const Snapshot& of, const Dataset& to, const Properties& properties,
                       const std::string& program) const {
  NX_CHECK(check(of.dataset()));
  NX_CHECK(check(to));
  const std::string attempted = "clone " + of.name() + " to dataset " + to.name();
  NX_TRY(const Arguments arguments, with_properties({"clone"}, properties, {of.name(), to.name()}),
         attempted);
  const auto made = call(program.empty() ? programs_.zfs : program, attempted, arguments);
  if (made) return {};
  if (made.error().message().find(kOnlyNotMounted) == std::string::npos) return fail(made.error());
  log::warning(made.error().message());
  return {};
}

Result<> Client::rollback(const Snapshot& snapshot, Newer newer) const {
  NX_CHECK(check(snapshot.dataset()));
  Arguments arguments = {"rollback"};
  if (newer == Newer::destroy) arguments.emplace_back("-r");
  arguments.push_back(snapshot.name());
  return change("roll back to snapshot " + snapshot.name(), arguments);
}

Result<> Client::rename(const Dataset& from, const Dataset& to) const {
  NX_CHECK(check(from));
  NX_CHECK(check(to));
  return change("rename dataset " + from.name() + " to " + to.name(),
                {"rename", from.name(), to.name()});
}

Result<> Client::promote(const Dataset& dataset) const {
  const std::string attempted = "promote dataset " + dataset.name();
  NX_TRY(const auto origin, property(dataset, "origin"), attempted);
  if (origin) NX_CHECK(parent_.below(origin->substr(0, origin->find('@'))), attempted);
  return change(attempted, {"promote", dataset.name()});
}

Result<> Client::destroy(const Dataset& dataset, std::chrono::milliseconds patience) const {
  NX_CHECK(check(dataset));
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto done = change("destroy dataset " + dataset.name(), {"destroy", dataset.name()});
    if (failed_with(done, Failure::no_such_dataset)) return {};
    if (!failed_with(done, Failure::busy) || std::chrono::steady_clock::now() >= deadline)
      return done;
    sys::sleep_for(kRetryPause);
  }
}

Result<> Client::destroy(const Snapshot& snapshot) const {
  NX_CHECK(check(snapshot.dataset()));
  auto done = change("destroy snapshot " + snapshot.name(), {"destroy", snapshot.name()});
  if (failed_with(done, Failure::no_such_dataset)) return {};
  return done;
}

Result<> Client::destroy_snapshots(const Dataset& dataset) const {
  NX_CHECK(check(dataset));
  // '%' is a range without ends: every snapshot of this dataset, and never the dataset.
  auto done = change("destroy the snapshots of dataset " + dataset.name(),
                     {"destroy", dataset.name() + "@%"});
  if (failed_with(done, Failure::no_such_dataset)) return {};
  return done;
}

Result<> Client::set(const Dataset& dataset, const Properties& properties) const {
  NX_CHECK(check(dataset));
  if (properties.empty()) return {};
  const std::string attempted = "set properties of dataset " + dataset.name();
  Arguments arguments = {"set"};
  NX_TRY(Arguments values, assignments(properties), attempted);
  std::ranges::move(values, std::back_inserter(arguments));
  arguments.push_back(dataset.name());
  return change(attempted, arguments);
}

Result<> Client::send(const Snapshot& snapshot, const Snapshot* base, int fd) const {
  NX_CHECK(check(snapshot.dataset()));
  Arguments arguments = {"send"};
  std::string attempted = "send snapshot " + snapshot.name();
  if (base != nullptr) {
    NX_CHECK(check(base->dataset()));
    arguments.insert(arguments.end(), {"-i", base->name()});
    attempted += " from " + base->name() + " on";
  }
  arguments.push_back(snapshot.name());
  return change(std::move(attempted), arguments, {.output = fd});
}

Result<> Client::receive(const Dataset& dataset, int fd, const Properties& properties) const {
  NX_CHECK(check(dataset));
  const std::string attempted = "receive dataset " + dataset.name();
  NX_TRY(const Arguments arguments,
         with_properties({"receive", "-u"}, properties, {dataset.name()}), attempted);
  return change(attempted, arguments, {.input = fd});
}

}  // namespace nexcage::storage::zfs
