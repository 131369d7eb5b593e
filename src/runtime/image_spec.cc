#include "nexcage/runtime/image_spec.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::runtime {
namespace {

constexpr std::string_view kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::uint64_t kCpuPeriod = 100'000;  // microseconds, the kernel's default
constexpr std::size_t kHostnameLength = 12;    // of the id, as Docker and Podman do

std::string_view name_of(std::string_view entry) { return entry.substr(0, entry.find('=')); }

/// Later entries replace earlier ones of the same name, in place.
void set_env(std::vector<std::string>& env, std::string entry) {
  auto same = std::ranges::find_if(
      env, [&](const std::string& old) { return name_of(old) == name_of(entry); });
  if (same != env.end())
    *same = std::move(entry);
  else
    env.push_back(std::move(entry));
}

std::vector<std::string> environment(const oci::ImageProcess& image, const ImageSource& wanted,
                                     const std::string& hostname) {
  std::vector<std::string> env{std::string(kDefaultPath)};
  if (wanted.terminal) env.emplace_back("TERM=xterm");
  env.emplace_back("container=oci");
  env.push_back("HOSTNAME=" + hostname);
  for (const std::string& entry : image.env) set_env(env, entry);
  for (const std::string& entry : wanted.env) {
    if (entry.find('=') != std::string::npos) {
      set_env(env, entry);
    } else if (const char* ours = std::getenv(entry.c_str())) {
      // A bare name takes the caller's value, as in Docker and Podman.
      set_env(env, entry + "=" + ours);
    }
  }
  return env;
}

std::vector<std::string> arguments(const oci::ImageProcess& image, const ImageSource& wanted) {
  std::vector<std::string> args = wanted.entrypoint.value_or(image.entrypoint);
  // A replaced entrypoint drops the image's Cmd: those words were meant for the old program.
  const auto& tail = !wanted.command.empty() || wanted.entrypoint ? wanted.command : image.cmd;
  args.insert(args.end(), tail.begin(), tail.end());
  return args;
}

void apply_resources(oci::Linux& linux_section, const ImageSource& wanted) {
  if (!linux_section.resources) linux_section.resources.emplace();
  oci::Resources& resources = *linux_section.resources;
  if (wanted.memory) {
    resources.memory.emplace();
    resources.memory->limit = static_cast<std::int64_t>(*wanted.memory);
  }
  if (wanted.cpus) {
    resources.cpu.emplace();
    resources.cpu->period = kCpuPeriod;
    resources.cpu->quota = std::llround(*wanted.cpus * static_cast<double>(kCpuPeriod));
  }
  if (wanted.pids_limit) resources.pids_limit = wanted.pids_limit;
}

/// A mount of the command line on a place that the defaults have replaces that default.
void add_mounts(std::vector<oci::Mount>& mounts, const std::vector<oci::Mount>& wanted) {
  for (const oci::Mount& mount : wanted) {
    std::erase_if(mounts,
                  [&](const oci::Mount& old) { return old.destination == mount.destination; });
    mounts.push_back(mount);
  }
}

}  // namespace

Result<ImageSpec> spec_from_image(const oci::ImageConfig& image, const ImageSource& wanted,
                                  const std::string& id, const std::string& image_name) {
  ImageSpec made;
  oci::Spec& spec = made.spec;
  spec = oci::default_spec();
  if (!spec.process) spec.process.emplace();
  if (!spec.linux_) spec.linux_.emplace();
  spec.hostname = wanted.hostname.empty() ? id.substr(0, kHostnameLength) : wanted.hostname;
  spec.root = oci::Root{"rootfs", wanted.read_only};

  oci::Process& process = *spec.process;
  process.terminal = wanted.terminal;
  process.no_new_privileges = false;  // as Docker and Podman: sudo and su work in an image
  process.args = arguments(image.config, wanted);
  if (process.args.empty())
    return fail(Error(Errc::InvalidSpec, "image " + image_name + " names no command")
                    .hint("give one: nexcage run IMAGE COMMAND"));
  process.env = environment(image.config, wanted, spec.hostname);
  process.cwd = !wanted.workdir.empty()             ? wanted.workdir
                : !image.config.working_dir.empty() ? image.config.working_dir
                                                    : "/";

  apply_resources(*spec.linux_, wanted);
  if (!wanted.uid_map.empty()) {
    spec.linux_->namespaces.push_back({oci::NamespaceType::user, {}});
    spec.linux_->uid_mappings = wanted.uid_map;
    spec.linux_->gid_mappings = wanted.gid_map;
  }
  add_mounts(spec.mounts, wanted.mounts);
  spec.annotations = wanted.annotations;
  spec.annotations["org.nexcage.image"] = image_name;
  if (!image.config.stop_signal.empty())
    spec.annotations.emplace("org.opencontainers.image.stopSignal", image.config.stop_signal);

  made.user.text = wanted.user.empty() ? image.config.user : wanted.user;
  made.volumes = image.config.volumes;
  // One rule for both sources: what a config.json may not hold, an image may not either.
  NX_TRY(spec, oci::parse_spec(oci::to_json(spec)), "configuration of image " + image_name);
  return made;
}

}  // namespace nexcage::runtime
