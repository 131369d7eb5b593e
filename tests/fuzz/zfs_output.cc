// What zfs(8) and zpool(8) write, and names of datasets: a program's words become errors and lists,
// a user's words become arguments of a program that destroys things.
#include <algorithm>
#include <string>

#include "harness.h"
#include "nexcage/base/text.h"
#include "nexcage/storage/zfs/dataset.h"
#include "nexcage/storage/zfs/failure.h"
#include "nexcage/storage/zfs/listing.h"
#include "nexcage/storage/zfs/properties.h"

namespace nexcage::fuzz {
namespace {

namespace zfs = storage::zfs;

/// Holds for every name that can reach a command line.
void check_name(std::string_view name) {
  check(!name.empty() && name.size() <= zfs::kMaxName, "a name has 1 to 255 bytes");
  check(!name.starts_with('-') && !name.starts_with('/'), "a name is no option and no path");
  check(name.find_first_of("#%, '\"\\\t\n") == std::string_view::npos,
        "a name is no range, no list and no bookmark");
  for (const std::string& part : split(name.substr(0, name.find('@')), '/'))
    check(!part.empty() && part != "." && part != "..", "a name has proper components");
}

void check_names(std::string_view text) {
  static const zfs::Parent parent = zfs::Parent::parse("tank/cages").value();
  if (const auto other = zfs::Parent::parse(text); other) {
    check_name(other->name());
    check(other->name() == text, "a parent is its name");
    check(parent.below(text).has_value() == parent.contains(text), "narrowing never leaves");
  } else {
    check_message(other.error());
    check(!parent.below(text).has_value(), "what is no parent is not below one");
  }
  const auto child = parent.child(text);
  if (child) {
    check_name(child->name());
    check(child->name().starts_with("tank/cages/") && child->path() == text, "a child is below");
    check(parent.contains(child->name()), "a parent contains its children");
    check(child->name().find('@') == std::string::npos, "a dataset is no snapshot");
  } else {
    check_message(child.error());
  }
  const auto snapshot = parent.child("web1")->snapshot(text);
  if (!snapshot) {
    check_message(snapshot.error());
    return;
  }
  check_name(snapshot->name());
  check(snapshot->dataset() == "tank/cages/web1" && snapshot->label() == text,
        "a snapshot is its dataset's");
  check(std::ranges::count(snapshot->name(), '@') == 1, "a label has no '@'");
}

void check_properties(std::string_view text) {
  const std::size_t sign = text.find('=');
  if (sign == std::string_view::npos) return;
  const std::string name(text.substr(0, sign));
  const auto arguments = zfs::assignments({{name, std::string(text.substr(sign + 1))}});
  if (!arguments) {
    check_message(arguments.error());
    return;
  }
  check(arguments->size() == 1 && arguments->front() == text, "an assignment is name=value");
  check(!text.starts_with('-'), "an assignment is no option");
  const std::string line = name + "\t" + std::string(text.substr(sign + 1)) + "\n";
  const auto back = zfs::parse_properties(line, {&name, 1});
  check(back.has_value(), "what is set can be read");
}

void check_failure(std::string_view text) {
  for (const int code : {1, 2}) {
    const Error error = zfs::to_error("attempt", text, code);
    check_message(error);
    check(zfs::failure_of(error) == zfs::classify(text, code), "an error keeps its kind");
    check(error.message().size() < 800, "an error is bounded");
  }
}

void check_listings(std::string_view text) {
  static const zfs::Parent parent = zfs::Parent::parse("tank/cages").value();
  static const zfs::Dataset web = parent.child("web1").value();
  static const std::vector<std::string> names = {"used", "available", "quota"};
  if (const auto list = zfs::parse_snapshots(text, web); !list)
    check_message(list.error());
  else
    for (const zfs::SnapshotInfo& info : *list)
      check(!info.label.empty(), "a snapshot has a label");
  if (const auto list = zfs::parse_datasets(text, parent, parent.name()); !list)
    check_message(list.error());
  else
    for (const zfs::DatasetInfo& info : *list) check(!info.path.empty(), "a dataset has a path");
  if (const auto pool = zfs::parse_pool(text); !pool) check_message(pool.error());
  const auto values = zfs::parse_properties(text, names);
  if (!values) {
    check_message(values.error());
    return;
  }
  if (const auto space = zfs::parse_space(*values); !space) check_message(space.error());
}

}  // namespace

NX_HARNESS(zfs_output) {
  const std::string_view text = text_of(data, size);
  check_names(text);
  check_properties(text);
  check_failure(text);
  check_listings(text);
  return 0;
}

}  // namespace nexcage::fuzz
