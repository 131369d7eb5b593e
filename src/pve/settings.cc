// From a spec to settings.
#include "nexcage/pve/settings.h"

#include <algorithm>
#include <array>

#include "nexcage/base/text.h"
#include "nexcage/pve/difference.h"
#include "nexcage/pve/line.h"
#include "nexcage/pve/settings_parts.h"
#include "nexcage/sys/process.h"

namespace nexcage::pve {

namespace {

constexpr std::size_t kMostMountPoints = 256;

bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 255) return false;
  return std::ranges::all_of(split(text, '.'), [](const std::string& label) {
    return !label.empty() && label.front() != '-' && label.back() != '-' &&
           label.find_first_not_of(
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") ==
               std::string::npos;
  });
}

/// One that the setting `env` can hold: a plain name, a value without control characters.
bool is_plain_variable(std::string_view entry) {
  const std::string_view name = entry.substr(0, entry.find('='));
  return !name.empty() && name.size() < entry.size() &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
             std::string_view::npos &&
         check_line("", entry).has_value();
}

Result<Launch> launch_of(const oci::Spec& spec) {
  const oci::Process& process = *spec.process;
  Launch launch{.args = process.args,
                .cwd = process.cwd,
                .user = process.user,
                .no_new_privileges = process.no_new_privileges};
  NX_TRY(launch.stop_signal, stop_signal(spec), "stop signal");
  return launch;
}

/// What runs: in the settings where there are such, else it must be what the template has.
Result<> map_process(const oci::Spec& spec, const MapTarget& target, Mapped& out) {
  NX_TRY(Launch launch, launch_of(spec));
  const std::vector<std::string>& env = spec.process->env;
  if (!target.version.has_entrypoint()) {
    const std::string lacks = ": Proxmox VE " + target.version.str() +
                              " has no settings `entrypoint` and `env`: a guest runs what its "
                              "image says";
    if (!target.baked || !(target.baked->launch == launch))
      return fail(Error(Errc::Unsupported, "/process" + lacks).hint("9.1 has them"));
    if (target.baked->env != env)
      return fail(Error(Errc::Unsupported, "/process/env" + lacks).hint("9.1 has them"));
    out.rest.set("launch", encode_text(launch));
    out.rest.set("env", json::Array(env.begin(), env.end()));
    return {};
  }
  std::vector<std::string> plain;
  for (std::size_t i = 0; i < env.size(); ++i) {
    if (env[i].starts_with(std::string(kLaunchVariable) + "="))
      return fail(Errc::InvalidConfig, json::pointer("/process/env", i) + ": " +
                                           std::string(kLaunchVariable) + " is nexcage's own");
    if (is_plain_variable(env[i]))
      plain.push_back(env[i]);
    else
      launch.env.emplace_back(static_cast<unsigned>(i), env[i]);
  }
  plain.push_back(std::string(kLaunchVariable) + "=" + encode_text(launch));
  out.params["env"] = join_env(plain);
  out.params["entrypoint"] = kLauncher;
  return {};
}

Result<std::int64_t> whole_mib(std::int64_t bytes, const char* field) {
  if (bytes >= 0 && bytes % kMiB == 0) return bytes / kMiB;
  return fail(Errc::InvalidConfig, std::string(field) + ": " + std::to_string(bytes) +
                                       ": Proxmox VE counts in MiB and knows no unlimited memory");
}

Result<> map_resources(const oci::Resources& resources, Mapped& out) {
  if (resources.memory) {
    const oci::MemoryLimits& memory = *resources.memory;
    if (memory.limit) {
      NX_TRY(const auto mib, whole_mib(*memory.limit, "/linux/resources/memory/limit"));
      if (mib < 16)
        return fail(Errc::InvalidConfig,
                    "/linux/resources/memory/limit: Proxmox VE gives a guest 16 MiB at least");
      out.params["memory"] = std::to_string(mib);
    }
    if (memory.swap && memory.limit) {
      NX_TRY(const auto mib,
             whole_mib(*memory.swap - *memory.limit, "/linux/resources/memory/swap"));
      out.params["swap"] = std::to_string(mib);
    }
  }
  if (resources.cpu && resources.cpu->quota && *resources.cpu->quota > 0)
    out.params["cpulimit"] = cpu_limit(*resources.cpu->quota);
  if (resources.cpu && resources.cpu->shares) {
    out.params["cpuunits"] = std::to_string(cpu_weight(*resources.cpu->shares));
    out.rest.set("shares", *resources.cpu->shares);
  }
  return {};
}

/// "net0" of "org.nexcage.proxmox.net0"; empty for annotations that are no setting.
std::string setting_of(std::string_view annotation) {
  if (!annotation.starts_with(kAnnotation)) return {};
  const std::string_view name = annotation.substr(kAnnotation.size());
  return is_annotated(name) ? std::string(name) : std::string();
}

Result<> map_annotations(const oci::Spec& spec, const Version& version, Mapped& out) {
  json::Object others;
  for (const auto& [name, value] : spec.annotations) {
    const std::string setting = setting_of(name);
    if (setting.empty() && name.starts_with(kAnnotation))
      return fail(Errc::InvalidConfig, "annotation " + name + ": there is no such setting");
    if (setting.empty()) {
      others.set(name, value);
      continue;
    }
    NX_CHECK(check_line(name, value));
    if (setting.starts_with("net") && !version.has_entrypoint() &&
        value.find("host-managed=") != std::string::npos)
      return fail(Errc::Unsupported,
                  name + ": host-managed: Proxmox VE " + version.str() + " has no such option");
    out.params[setting] = value;
  }
  if (!others.empty()) out.rest.set("annotations", std::move(others));
  std::string& tags = out.params["tags"];
  for (const std::string& tag : split(tags, ';'))
    if (tag == kTag || tag.starts_with(kTagPrefix))
      return fail(Errc::InvalidConfig, std::string(kAnnotation) + "tags: " + quote(tag) +
                                           ": tags that begin so are nexcage's own");
  tags = std::string(kTag) + (tags.empty() ? "" : ";" + tags);
  return {};
}

/// Bind mounts take the numbers that no annotation has.
Result<> map_mounts(const oci::Spec& spec, Mapped& out) {
  const std::vector<oci::Mount> usual = oci::default_spec().mounts;
  std::size_t number = 0;
  for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
    const oci::Mount& mount = spec.mounts[i];
    if (std::ranges::find(usual, mount.destination, &oci::Mount::destination) != usual.end())
      continue;  // compared on the way back
    while (out.params.contains("mp" + std::to_string(number))) ++number;
    if (number >= kMostMountPoints)
      return fail(Errc::Unsupported, "/mounts: Proxmox VE takes 256 mount points");
    NX_TRY(out.params["mp" + std::to_string(number)],
           mount_point(mount, json::pointer("/mounts", i)));
  }
  return {};
}

/// The difference is a field that there is no setting for.
Result<> check_lossless(const oci::Spec& spec, const Mapped& mapped) {
  NX_TRY(const oci::Spec again, to_spec(mapped.params, mapped.rest));
  const auto lost = first_difference(oci::to_json(spec), oci::to_json(again));
  if (!lost) return {};
  return fail(Error(Errc::Unsupported, *lost + ": Proxmox VE has no setting for this value")
                  .hint("`docs/proxmox.md` lists what a guest takes over from a spec"));
}

}  // namespace

Result<int> stop_signal(const oci::Spec& spec) {
  const auto found = spec.annotations.find(std::string(kStopSignal));
  if (found == spec.annotations.end()) return SIGTERM;
  return sys::parse_signal(found->second);
}

std::string join_env(const std::vector<std::string>& env) {
  return join(env, std::string_view("\0", 1));
}

std::vector<std::string> split_env(std::string_view text) {
  return text.empty() ? std::vector<std::string>() : split(text, '\0');
}

oci::Spec normalised(oci::Spec spec) {
  spec.document = {};
  if (spec.root) spec.root->path = "rootfs";
  for (oci::Mount& mount : spec.mounts) {
    if (mount.type != "bind") continue;
    std::erase_if(mount.options, [](const std::string& option) {
      return option == "bind" || option == "rbind" || option == "rw" || option == "rprivate" ||
             option == "private";
    });
    const bool read_only = std::erase(mount.options, "ro") > 0;
    std::ranges::sort(mount.options);
    if (read_only) mount.options.insert(mount.options.begin(), "ro");
    mount.options.insert(mount.options.begin(), "rbind");
  }
  if (!spec.linux_) return spec;
  oci::Linux& section = *spec.linux_;
  section.cgroups_path.clear();
  const std::vector<oci::IdMapping> usual = {{0, 100'000, 65'536}};
  if (section.uid_mappings == usual && section.gid_mappings == usual) {
    section.uid_mappings.clear();
    section.gid_mappings.clear();
    std::erase_if(section.namespaces, [](const oci::Namespace& one) {
      return one.type == oci::NamespaceType::user && one.path.empty();
    });
  }
  return spec;
}

Result<Mapped> to_settings(const oci::Spec& given, const MapTarget& target) {
  const oci::Spec spec = normalised(given);
  if (!spec.process || !spec.root || !spec.linux_)
    return fail(Errc::InvalidSpec, "/process, /root and /linux are required for a guest");
  Mapped out;
  NX_CHECK(map_annotations(spec, target.version, out));
  NX_CHECK(map_process(spec, target, out));
  if (spec.linux_->resources) NX_CHECK(map_resources(*spec.linux_->resources, out));
  NX_CHECK(map_mounts(spec, out));
  if (!spec.hostname.empty()) {
    if (!is_host_name(spec.hostname))
      return fail(
          Error(Errc::InvalidConfig, "/hostname: " + quote(spec.hostname) + " is no name of a host")
              .hint("give --hostname: letters, digits, '-' and '.'"));
    out.params["hostname"] = spec.hostname;
  }
  NX_CHECK(check_line("rootfs", target.rootfs));
  out.params["rootfs"] = target.rootfs + (spec.root->readonly ? ",ro=1" : "");
  out.rest.set("oci", spec.oci_version);
  json::Array unset;
  for (const char* name : {"hostname", "memory", "swap"})
    if (!out.params.contains(name)) unset.emplace_back(name);
  if (!unset.empty()) out.rest.set("unset", std::move(unset));
  NX_CHECK(check_lossless(spec, out));
  return out;
}

}  // namespace nexcage::pve
