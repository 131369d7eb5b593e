#include "nexcage/runtime/owner.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

constexpr std::size_t kMaxOwnerFile = 8U << 10;

Result<std::string> boot_id() {
  NX_TRY(std::string text, sys::read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id"));
  return std::string(trim(text));
}

Result<> remove_if_stale(const std::string& id, const std::string& boot, const Settings& settings) {
  const Paths paths(settings);
  auto text = sys::read_file(AT_FDCWD, paths.bundle(id) + "/owner", kMaxOwnerFile);
  if (!text) return {};  // not ours to judge
  const auto lines = split(*text, '\n');
  if (lines.size() < 2 || lines[0] != settings.root || lines[1] == boot) return {};
  log::info("remove the bundle of " + id + ", which ended with an earlier boot");
  NX_CHECK(sys::remove_tree(paths.info_dir(id)));
  return sys::remove_tree(paths.bundle(id));
}

}  // namespace

Result<> write_owner(const std::string& bundle, const std::string& root) {
  NX_TRY(std::string boot, boot_id());
  return sys::write_file_atomic(bundle + "/owner", root + "\n" + boot + "\n", 0600,
                                sys::Durable::no);
}

Result<bool> made_in_this_boot(const std::string& bundle) {
  NX_TRY(const std::string text, sys::read_file(AT_FDCWD, bundle + "/owner", kMaxOwnerFile));
  NX_TRY(const std::string boot, boot_id());
  const auto lines = split(text, '\n');
  return lines.size() >= 2 && lines[1] == boot;
}

Result<> remove_bundles_of_earlier_boots(const Settings& settings) {
  auto dir = sys::open_at(AT_FDCWD, settings.containers, O_RDONLY | O_DIRECTORY);
  if (!dir) {
    if (dir.error().sys_errno() == ENOENT) return {};
    // Root's: a user without privileges has no such bundles.
    if (dir.error().code() == Errc::PermissionDenied && ::geteuid() != 0) return {};
    return std::unexpected(std::move(dir).error());
  }
  NX_TRY(auto names, sys::list_dir(dir->get()));
  if (names.empty()) return {};
  NX_TRY(std::string boot, boot_id());
  for (const std::string& name : names)
    if (auto done = remove_if_stale(name, boot, settings); !done)
      log::warning(done.error().message());
  return {};
}

}  // namespace nexcage::runtime
