// Device nodes and links in /dev.
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "nexcage/backends/lxc/plan.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::lxc {
namespace {

struct Standard {
  std::string_view path;
  std::uint32_t major, minor;
};

/// config-linux.md, "Default Devices".
constexpr std::array<Standard, 6> kStandard = {{
    {"/dev/null", 1, 3},
    {"/dev/zero", 1, 5},
    {"/dev/full", 1, 7},
    {"/dev/random", 1, 8},
    {"/dev/urandom", 1, 9},
    {"/dev/tty", 5, 0},
}};

/// config-linux.md, "Symbolic Links" and /dev/ptmx.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kLinks = {{
    {"/dev/fd", "/proc/self/fd"},
    {"/dev/stdin", "/proc/self/fd/0"},
    {"/dev/stdout", "/proc/self/fd/1"},
    {"/dev/stderr", "/proc/self/fd/2"},
    {"/dev/core", "/proc/kcore"},
    {"/dev/ptmx", "pts/ptmx"},
}};

/// A /dev that the caller binds from somewhere is the caller's: nothing is put into it.
bool dev_is_bound(const oci::Spec& spec) {
  return std::ranges::any_of(spec.mounts, [](const oci::Mount& mount) {
    const bool bind = mount.type == "bind" || std::ranges::count(mount.options, "bind") > 0 ||
                      std::ranges::count(mount.options, "rbind") > 0;
    return bind && sys::clean_path(mount.destination) == "/dev";
  });
}

void plan_device(const oci::Spec& spec, const oci::Device& device, CreatePlan& out) {
  // mknod is not allowed in a user namespace; the host's node of that name is what can be shown.
  if (has_user_namespace(spec)) {
    attach(out, {.path = device.path, .propagation = MS_PRIVATE}, device.path);
    return;
  }
  const std::uint32_t type = device.type == 'b' ? S_IFBLK : device.type == 'p' ? S_IFIFO : S_IFCHR;
  constexpr mode_t kDefaultMode = 0666;
  out.plan.operations.emplace_back(
      sys::plan::MakeDevice{.target = device.path,
                            .mode = type | (device.file_mode.value_or(kDefaultMode) & 07777),
                            .major = static_cast<std::uint32_t>(device.major),
                            .minor = static_cast<std::uint32_t>(device.minor),
                            .uid = device.uid.value_or(0),
                            .gid = device.gid.value_or(0)});
}

}  // namespace

Result<> plan_devices(const CreateJob& job, CreatePlan& out) {
  if (dev_is_bound(job.spec)) return {};
  for (const Standard& standard : kStandard) {
    const bool named = std::ranges::any_of(
        job.spec.linux_->devices,
        [&](const oci::Device& device) { return sys::clean_path(device.path) == standard.path; });
    if (named) continue;  // the spec's own entry for it follows
    oci::Device device;
    device.path = standard.path;
    device.major = standard.major;
    device.minor = standard.minor;
    plan_device(job.spec, device, out);
  }
  for (const oci::Device& device : job.spec.linux_->devices) plan_device(job.spec, device, out);
  for (const auto& [target, content] : kLinks)
    out.plan.operations.emplace_back(
        sys::plan::MakeSymlink{.target = std::string(target), .content = std::string(content)});
  return {};
}

}  // namespace nexcage::backends::lxc
