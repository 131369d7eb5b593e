#include "nexcage/storage/snapshots/parts.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::storage {

std::vector<SnapshotInfo> by_age(std::vector<Dated> found) {
  std::ranges::sort(found, [](const Dated& a, const Dated& b) {
    return std::tie(a.info.created, a.nanoseconds, a.serial, a.info.name) <
           std::tie(b.info.created, b.nanoseconds, b.serial, b.info.name);
  });
  std::vector<SnapshotInfo> out;
  out.reserve(found.size());
  for (Dated& one : found) out.push_back(std::move(one.info));
  return out;
}

Result<UniqueFd> open_if_there(const std::string& directory) {
  auto fd = sys::open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  if (!fd && fd.error().sys_errno() == ENOENT) return UniqueFd();
  return fd;
}

Result<sys::FileLock> lock_snapshots(int directory) {
  constexpr int kPatienceMs = 30'000;
  return sys::FileLock::acquire(directory, ".lock", sys::FileLock::Kind::exclusive, kPatienceMs);
}

std::string replacement_name(const std::string& name) { return ".nexcage-rollback-" + name; }

Error exists_already(const std::string& name) {
  return Error(Errc::InvalidState, "snapshot " + quote(name) + " exists already");
}

Error no_such_snapshot(const std::string& name) {
  return Error(Errc::InvalidState, "there is no snapshot " + quote(name));
}

}  // namespace nexcage::storage
