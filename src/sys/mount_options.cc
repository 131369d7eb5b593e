// The words of an OCI mount's options (runtime-spec config.md, "Linux mount options").
#include <sys/mount.h>

#include <array>

#include "nexcage/base/text.h"
#include "nexcage/sys/mount.h"

namespace nexcage::sys {
namespace {

/// A word that sets or clears an attribute; with an "r" before it, recursively.
struct AttributeWord {
  std::string_view name;
  std::uint64_t set;
  std::uint64_t clear;
};

constexpr std::array<AttributeWord, 17> kAttributes = {{
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    // The access time settings are values of one field: each replaces the others.
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    // mount(8): back to the kernel's default, which is relatime.
    {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"defaults", 0, 0},
}};

/// A word that takes one access time setting back; any other setting stays.
struct NotAtimeWord {
  std::string_view name;
  std::uint64_t setting;
};
constexpr std::array<NotAtimeWord, 2> kNotAtime = {{
    // Not relatime without another setting is still the kernel's default: nothing to change.
    {"norelatime", 0},
    {"nostrictatime", MOUNT_ATTR_STRICTATIME},
}};

struct PropagationWord {
  std::string_view name;
  std::uint64_t flag;
};
constexpr std::array<PropagationWord, 4> kPropagation = {{
    {"shared", MS_SHARED},
    {"slave", MS_SLAVE},
    {"private", MS_PRIVATE},
    {"unbindable", MS_UNBINDABLE},
}};

struct SwitchWord {
  std::string_view name;
  bool MountOptions::* member;
  bool value;
};
constexpr std::array<SwitchWord, 15> kSwitches = {{
    {"bind", &MountOptions::bind, true},
    {"remount", &MountOptions::remount, true},
    {"tmpcopyup", &MountOptions::tmpcopyup, true},
    {"copy-symlink", &MountOptions::copy_symlink, true},
    {"idmap", &MountOptions::idmap, true},
    {"sync", &MountOptions::sync, true},
    {"async", &MountOptions::sync, false},
    {"dirsync", &MountOptions::dirsync, true},
    {"mand", &MountOptions::mandlock, true},
    {"nomand", &MountOptions::mandlock, false},
    {"iversion", &MountOptions::iversion, true},
    {"noiversion", &MountOptions::iversion, false},
    {"lazytime", &MountOptions::lazytime, true},
    {"nolazytime", &MountOptions::lazytime, false},
    {"silent", &MountOptions::silent, true},
}};

/// Where an attribute word writes to.
struct Attributes {
  std::uint64_t& set;
  std::uint64_t& clear;
};

bool take_attribute(Attributes to, std::string_view word) {
  for (const AttributeWord& known : kAttributes) {
    if (known.name != word) continue;
    to.set = (to.set & ~known.clear) | known.set;
    to.clear = (to.clear & ~known.set) | known.clear;
    return true;
  }
  for (const NotAtimeWord& known : kNotAtime) {
    if (known.name != word) continue;
    const bool current = known.setting != 0 && (to.set & MOUNT_ATTR__ATIME) == known.setting;
    if (current || (known.setting != 0 && (to.clear & MOUNT_ATTR__ATIME) == 0)) {
      to.set &= ~std::uint64_t{MOUNT_ATTR__ATIME};
      to.clear |= MOUNT_ATTR__ATIME;
    }
    return true;
  }
  return false;
}

/// False when the word is none of these; an error when it contradicts an earlier one.
Result<bool> take_propagation(MountOptions& options, std::string_view word) {
  const bool recursive = word.starts_with('r');
  if (recursive) word.remove_prefix(1);
  for (const PropagationWord& known : kPropagation) {
    if (known.name != word) continue;
    if (options.propagation != 0 && options.propagation != known.flag)
      return fail(Errc::InvalidSpec, "more than one kind of mount propagation");
    options.propagation = known.flag;
    options.propagation_recursive = options.propagation_recursive || recursive;
    return true;
  }
  return false;
}

bool take_switch(MountOptions& options, std::string_view word) {
  for (const SwitchWord& known : kSwitches) {
    if (known.name != word) continue;
    options.*known.member = known.value;
    return true;
  }
  if (word == "rbind")
    options.bind = options.recursive_bind = true;
  else if (word == "ridmap")
    options.idmap = options.idmap_recursive = true;
  else if (word == "loud")
    options.silent = false;
  else
    return false;
  return true;
}

Result<bool> take_word(MountOptions& options, std::string_view word) {
  if (word.empty() || take_switch(options, word)) return true;
  if (take_attribute({options.set, options.clear}, word)) return true;
  NX_TRY(const bool propagation, take_propagation(options, word));
  if (propagation) return true;
  if (!word.starts_with('r') || word == "rdefaults") return false;
  return take_attribute({options.rec_set, options.rec_clear}, word.substr(1));
}

}  // namespace

Result<MountOptions> parse_mount_options(const std::vector<std::string>& options) {
  MountOptions out;
  for (const std::string& word : options) {
    NX_TRY(const bool known, take_word(out, word), "mount option " + quote(word));
    if (!known) out.data.push_back(word);
  }
  if (out.tmpcopyup && out.bind)
    return fail(Errc::InvalidSpec, "mount options \"tmpcopyup\" and \"bind\" exclude each other");
  return out;
}

}  // namespace nexcage::sys
