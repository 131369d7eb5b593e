#include "nexcage/runtime/owner.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/runtime/exchange.h"
#include "nexcage/runtime/generations.h"
#include "nexcage/runtime/kept.h"
#include "nexcage/runtime/new_root.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/state_file.h"
#include "nexcage/sys/boot.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

constexpr std::size_t kMaxOwnerFile = 8U << 10;

/// Its state directory again, as that of a container that has ended.
Result<> revive(const std::string& id, const Settings& settings) {
  const Paths paths(settings);
  NX_TRY(const std::string info_text,
         sys::read_file(AT_FDCWD, paths.info_dir(id) + "/info.json", json::Limits{}.max_bytes));
  NX_TRY(const json::Value info, json::parse(info_text));
  NX_TRY(const std::string config,
         sys::read_file(AT_FDCWD, paths.bundle(id) + "/config.json", json::Limits{}.max_bytes));
  NX_TRY(const json::Value document, json::parse(config));
  NX_TRY(const oci::Spec spec, oci::parse_spec(document));
  backends::Record record;
  record.state.oci_version = spec.oci_version;
  record.state.id = id;
  record.state.bundle = paths.bundle(id);
  record.state.annotations = spec.annotations;
  record.backend = info.text("backend");
  record.rootfs = info.text("rootfs");
  record.state_dir = paths.state_dir(id);
  record.created = info.text("created");
  record.terminal = spec.process && spec.process->terminal;
  NX_CHECK(sys::mkdirs(record.state_dir, 0700));
  NX_CHECK(
      sys::write_file_atomic(record.state_dir + "/config.json", config, 0600, sys::Durable::no));
  const std::string file = record.state_dir + "/state.json";
  return sys::write_file_atomic(file, ended_text(std::move(record)), 0600, sys::Durable::no);
}

Result<> settle(const std::string& id, const std::string& boot, const Settings& settings) {
  const Paths paths(settings);
  auto text = sys::read_file(AT_FDCWD, paths.bundle(id) + "/owner", kMaxOwnerFile);
  if (!text) return {};  // not ours to judge
  const auto lines = split(*text, '\n');
  if (lines.size() < 2 || lines[0] != settings.root || lines[1] == boot) return {};
  // The undo log of an update that was cut short went with the boot.
  NX_CHECK(undo_exchange(paths.bundle(id)), "container " + id + " of an earlier boot");
  for (const std::string& place : update_places(paths.bundle(id)))
    NX_CHECK(sys::remove_tree(place), "container " + id + " of an earlier boot");
  NX_CHECK(remove_discarded(paths.bundle(id)), "container " + id + " of an earlier boot");
  NX_TRY(const Kept kept, load_kept(id, settings), "container " + id + " of an earlier boot");
  if (kept.volume && storage::survives(*kept.volume)) return revive(id, settings);
  log::info("remove the bundle of " + id + ", which ended with an earlier boot");
  if (kept.volume) NX_CHECK(storage::remove_volume(*kept.volume));
  NX_TRY(const Generations generations, load_generations(paths.bundle(id)));
  for (const Generation& one : generations.earlier) NX_CHECK(storage::remove_volume(one.volume));
  NX_CHECK(sys::remove_tree(paths.info_dir(id)));
  return sys::remove_tree(paths.bundle(id));
}

}  // namespace

Result<> write_owner(const std::string& bundle, const std::string& root) {
  NX_TRY(std::string boot, sys::boot_id());
  return sys::write_file_atomic(bundle + "/owner", root + "\n" + boot + "\n", 0600,
                                sys::Durable::no);
}

Result<bool> made_in_this_boot(const std::string& bundle) {
  NX_TRY(const std::string text, sys::read_file(AT_FDCWD, bundle + "/owner", kMaxOwnerFile));
  NX_TRY(const std::string boot, sys::boot_id());
  const auto lines = split(text, '\n');
  return lines.size() >= 2 && lines[1] == boot;
}

Result<> settle_earlier_boots(const Settings& settings) {
  auto dir = sys::open_at(AT_FDCWD, settings.containers, O_RDONLY | O_DIRECTORY);
  if (!dir) {
    if (dir.error().sys_errno() == ENOENT) return {};
    // Root's: a user without privileges has no such bundles.
    if (dir.error().code() == Errc::PermissionDenied && ::geteuid() != 0) return {};
    return std::unexpected(std::move(dir).error());
  }
  NX_TRY(auto names, sys::list_dir(dir->get()));
  if (names.empty()) return {};
  NX_TRY(std::string boot, sys::boot_id());
  for (const std::string& name : names)
    if (auto done = settle(name, boot, settings); !done) log::warning(done.error().message());
  return {};
}

}  // namespace nexcage::runtime
