#include "nexcage/layerfs/drivers/mount_refs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <set>
#include <utility>

#include "nexcage/json/value.h"
#include "nexcage/sys/boot.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs {
namespace {

struct Ref {
  std::string target;
  std::vector<std::string> keys;
  std::string boot;      // of the kernel that has the mount
  std::string mount_ns;  // mount namespace it was made in
};

/// FNV-1a with the given start. Names a file; targets are paths of our own, not a stranger's.
std::uint64_t fnv1a(std::string_view text, std::uint64_t hash) {
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return hash;
}

std::string file_name(const std::string& target) {
  char name[40];
  // Two starts make 128 bits; the first is FNV's own.
  (void)std::snprintf(name, sizeof name, "%016llx%016llx.json",
                      static_cast<unsigned long long>(fnv1a(target, 0xcbf29ce484222325)),
                      static_cast<unsigned long long>(fnv1a(target, 0x9ae16a3b2f90404f)));
  return name;
}

Result<std::string> mount_namespace() { return sys::read_link(AT_FDCWD, "/proc/self/ns/mnt"); }

json::Value to_json(const Ref& ref) {
  json::Object object;
  object.set("target", ref.target);
  json::Array keys;
  for (const std::string& key : ref.keys) keys.emplace_back(key);
  object.set("keys", std::move(keys));
  object.set("boot", ref.boot);
  object.set("namespace", ref.mount_ns);
  return object;
}

/// nullopt for a file that a power cut left damaged: then nothing is mounted any more either.
std::optional<Ref> parse_ref(const std::string& text) {
  const auto value = json::parse(text);
  if (!value) return std::nullopt;
  Ref ref;
  const auto take = [&](const char* name, std::string& to) {
    const json::Value* member = value->find(name);
    if (member == nullptr || member->if_string() == nullptr) return false;
    to = *member->if_string();
    return true;
  };
  if (!take("target", ref.target) || !take("boot", ref.boot) || !take("namespace", ref.mount_ns))
    return std::nullopt;
  const json::Value* keys = value->find("keys");
  if (keys == nullptr || keys->if_array() == nullptr) return std::nullopt;
  for (const json::Value& key : *keys->if_array()) {
    if (key.if_string() == nullptr) return std::nullopt;
    ref.keys.push_back(*key.if_string());
  }
  return ref;
}

/// What decides whether a note still holds.
struct Now {
  std::string boot;
  std::string mount_ns;
  std::set<std::string> mount_points;
};

Result<Now> look_around() {
  Now now;
  NX_TRY(now.boot, sys::boot_id());
  NX_TRY(now.mount_ns, mount_namespace());
  NX_TRY(const auto mounts, sys::read_mountinfo());
  for (const sys::MountInfo& mount : mounts) now.mount_points.insert(mount.mount_point);
  return now;
}

Result<bool> holds(const Ref& ref, const Now& now) {
  if (now.mount_points.contains(ref.target)) return true;
  if (ref.boot != now.boot || ref.mount_ns == now.mount_ns) return false;
  return sys::exists(AT_FDCWD, ref.target);
}

/// Calls `see` with each note of the group: nullopt for a damaged one. True: it is to go.
template <class See>
Result<> for_each_note(int group, See see) {
  NX_TRY(const std::vector<std::string> names, sys::list_dir(group));
  for (const std::string& name : names) {
    const auto text = sys::read_file(group, name);
    if (!text && text.error().sys_errno() == ENOENT) continue;  // removed at this moment
    NX_TRY(const bool go, see(text ? parse_ref(*text) : std::nullopt));
    if (go) NX_CHECK(sys::remove_file(group, name));
  }
  return {};
}

constexpr int kMaxTries = 100;  // each failed one means that another process was quicker

}  // namespace

Result<MountRefs> MountRefs::open(int store) {
  auto dir = sys::open_at(store, ".refs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (dir) return MountRefs(std::move(*dir));
  if (mkdirat(store, ".refs", 0700) != 0 && errno != EEXIST)
    return fail_errno("create the directory of mount notes");
  NX_TRY(UniqueFd made, sys::open_at(store, ".refs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return MountRefs(std::move(made));
}

Result<> MountRefs::add(const std::string& group, const std::string& target,
                        const std::vector<std::string>& keys) const {
  NX_TRY(std::string boot, sys::boot_id());
  NX_TRY(std::string ns, mount_namespace());
  const Ref ref{sys::clean_path(target), keys, std::move(boot), std::move(ns)};
  const std::string text = json::dump(to_json(ref));
  for (int tries = 0; tries < kMaxTries; ++tries) {
    if (mkdirat(dir_.get(), group.c_str(), 0700) != 0 && errno != EEXIST)
      return fail_errno("create the directory of mount notes of " + group);
    auto dir = sys::open_at(dir_.get(), group, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    Result<> written;
    if (dir)
      written =
          sys::write_file_atomic(dir->get(), file_name(ref.target), text, 0600, sys::Durable::no);
    else
      written = fail(std::move(dir).error());
    // Somebody who found the directory empty has removed it.
    if (written || written.error().sys_errno() != ENOENT) return written;
  }
  return fail(Errc::Timeout, "the mount notes of " + group + " are contended");
}

Result<> MountRefs::remove(const std::string& group, const std::string& target) const {
  return sys::remove_file(dir_.get(), group + "/" + file_name(sys::clean_path(target)));
}

Result<bool> MountRefs::unused(const std::string& group) const {
  if (unlinkat(dir_.get(), group.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
  if (errno == ENOTEMPTY || errno == EEXIST) return false;
  return fail_errno("remove the directory of mount notes of " + group);
}

Result<MountRefs::Counts> MountRefs::count(Stale stale) const {
  NX_TRY(const Now now, look_around());
  NX_TRY(const std::vector<std::string> groups, sys::list_dir(dir_.get()));
  Counts counts;
  for (const std::string& group : groups) {
    auto dir = sys::open_at(dir_.get(), group, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!dir && dir.error().sys_errno() == ENOENT) continue;
    if (!dir) return fail(std::move(dir).error());
    NX_CHECK(for_each_note(dir->get(), [&](const std::optional<Ref>& ref) -> Result<bool> {
      bool live = false;
      if (ref) {
        NX_TRY(live, holds(*ref, now));
      }
      if (live)
        for (const std::string& key : ref->keys) ++counts[key];
      return !live && stale == Stale::remove;
    }));
    if (stale == Stale::remove) NX_CHECK(unused(group));
  }
  return counts;
}

Result<MountRefs::Counts> MountRefs::in_use() const { return count(Stale::keep); }

Result<MountRefs::Counts> MountRefs::remove_stale() const { return count(Stale::remove); }

Result<> MountRefs::forget_earlier_boots(const std::string& group) const {
  const auto dir = sys::open_at(dir_.get(), group, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir) return {};
  NX_TRY(const std::string boot, sys::boot_id());
  return for_each_note(dir->get(), [&](const std::optional<Ref>& ref) -> Result<bool> {
    return ref && ref->boot != boot;
  });
}

}  // namespace nexcage::layerfs
