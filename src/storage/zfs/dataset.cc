#include "nexcage/storage/zfs/dataset.h"

#include <algorithm>
#include <array>
#include <optional>

#include "nexcage/base/text.h"

namespace nexcage::storage::zfs {
namespace {

// Room for "/$ORIGIN@$ORIGIN", which each pool has inside.
constexpr std::size_t kMaxPool = 239;
// zfs_max_dataset_nesting: so many '/' are one too many.
constexpr std::ptrdiff_t kMaxDepth = 50;
// What zpool-create(8) takes for the kind of a virtual device, in whole or as a beginning.
constexpr std::array<std::string_view, 4> kReservedBeginnings = {"mirror", "raidz", "draid",
                                                                 "spare"};
constexpr std::string_view kReserved = "log";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == ':';
}

/// What is wrong with one component; nullopt: nothing.
std::optional<std::string> fault_of_component(std::string_view part) {
  if (part.empty()) return "has an empty component";
  if (part == "." || part == "..") return "has the component " + quote(part);
  auto bad = std::ranges::find_if_not(part, is_name_char);
  if (bad == part.end()) return std::nullopt;
  return "has the character " + quote(std::string_view(&*bad, 1)) +
         ", which is none of [A-Za-z0-9_.:-]";
}

std::optional<std::string> fault_of_pool(std::string_view pool) {
  if (!is_letter(pool.front())) return "does not begin with a letter";
  if (pool.size() > kMaxPool)
    return "names a pool with more than " + std::to_string(kMaxPool) + " bytes";
  const bool is_disk = pool.size() > 1 && pool[0] == 'c' && is_digit(pool[1]);
  const bool is_device = std::ranges::any_of(
      kReservedBeginnings, [pool](std::string_view word) { return pool.starts_with(word); });
  if (is_disk || is_device || pool == kReserved)
    return "names the pool " + quote(pool) + ", a word that zpool(8) keeps for devices";
  return std::nullopt;
}

std::optional<std::string> fault_of_name(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kMaxName) return "is longer than " + std::to_string(kMaxName) + " bytes";
  if (std::ranges::count(name, '/') >= kMaxDepth)
    return "is more than " + std::to_string(kMaxDepth) + " levels deep";
  for (const std::string& part : split(name, '/'))
    if (auto fault = fault_of_component(part)) return fault;
  return fault_of_pool(name.substr(0, name.find('/')));
}

}  // namespace

Result<Snapshot> Dataset::snapshot(std::string_view label) const {
  std::string name = name_ + "@" + std::string(label);
  auto fault = label.empty() ? "is empty" : fault_of_component(label);
  if (!fault && name.size() > kMaxName)
    fault = "makes a name longer than " + std::to_string(kMaxName) + " bytes";
  if (fault)
    return fail(Errc::InvalidSpec,
                "snapshot " + quote(label) + " of dataset " + name_ + ": its name " + *fault);
  return Snapshot(std::move(name), name_.size());
}

Result<Parent> Parent::parse(std::string_view name) {
  if (auto fault = fault_of_name(name))
    return fail(Errc::ConfigError, "ZFS dataset " + quote(name) + ": the name " + *fault);
  return Parent(std::string(name));
}

std::string_view Parent::pool() const { return std::string_view(name_).substr(0, name_.find('/')); }

Result<Dataset> Parent::child(std::string_view path) const {
  std::string name = name_ + "/" + std::string(path);
  const auto fault = path.empty() ? "is empty" : fault_of_name(name);
  if (fault)
    return fail(Errc::InvalidSpec,
                "dataset " + quote(path) + " below " + name_ + ": the name " + *fault);
  return Dataset(std::move(name), name_.size());
}

bool Parent::contains(std::string_view name) const {
  return name == name_ ||
         (name.size() > name_.size() + 1 && name.starts_with(name_) && name[name_.size()] == '/');
}

Result<Parent> Parent::below(std::string_view name) const {
  NX_TRY(Parent parent, parse(name));
  if (contains(name)) return parent;
  return fail(Errc::ConfigError,
              "ZFS dataset " + quote(name) + " is outside of the configured dataset " + name_);
}

std::string component_of(std::string_view container_id) {
  std::string out(container_id);
  std::ranges::replace(out, '+', ':');
  return out;
}

}  // namespace nexcage::storage::zfs
