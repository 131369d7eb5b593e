#include "nexcage/storage/snapshots/snapshots.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::storage {
namespace {

bool is_name_byte(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == ':' || c == '-';
}

}  // namespace

Result<> check_snapshot_name(std::string_view name) {
  constexpr std::size_t kMost = 128;
  if (!name.empty() && name.size() <= kMost && std::ranges::all_of(name, is_name_byte) &&
      name.front() != '-' && name.front() != '.')
    return {};
  return fail(Error(Errc::InvalidSpec, "snapshot name " + quote(name))
                  .hint("up to 128 of A-Z a-z 0-9 _ . : -, not beginning with \"-\" or \".\""));
}

std::vector<std::string> beyond(const std::vector<SnapshotInfo>& snapshots, std::size_t keep) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i + keep < snapshots.size(); ++i) names.push_back(snapshots[i].name);
  return names;
}

}  // namespace nexcage::storage
