#include "nexcage/cli/context.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"

namespace nexcage::cli {
namespace {

/// Names of links to this program; each fixes the backend of its suffix.
constexpr std::array<std::string_view, 4> kFixedNames = {"nexcage-lxc", "nexcage-crun",
                                                         "nexcage-runc", "nexcage-vm"};
constexpr std::string_view kVariablePrefix = "nexcage-";

Result<> expect_word(std::string_view option, const std::string& value,
                     std::initializer_list<std::string_view> words) {
  std::string list;
  for (std::string_view word : words) {
    if (value == word) return {};
    if (!list.empty()) list += ", ";
    list += word;
  }
  return fail(Errc::InvalidSpec,
              std::string(option) + " " + quote(value) + ": expected one of " + list);
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value == '/' ? value : "";
}

/// A user without privileges keeps things below his own directories, as with runc, crun and Podman:
/// states below XDG_RUNTIME_DIR, the rest below XDG_DATA_HOME.
Result<> use_own_directories(Configuration& configuration) {
  if (::geteuid() == 0) return {};
  const std::string home = environment("HOME");
  std::string data = environment("XDG_DATA_HOME");
  if (data.empty() && !home.empty()) data = home + "/.local/share";
  const std::string runtime = environment("XDG_RUNTIME_DIR");
  const std::array<std::array<std::string, 3>, 4> own = {{
      {"runtime.root", runtime, "/nexcage"},
      {"storage.images", data, "/nexcage/images"},
      {"storage.containers", data, "/nexcage/containers"},
      {"storage.layers", data, "/nexcage/layers"},
  }};
  for (const auto& [key, directory, below] : own)
    if (!directory.empty() && configuration.origin(key) == "default")
      NX_CHECK(configuration.set(key, directory + below, "default of users other than root"));
  return {};
}

}  // namespace

Result<std::string> working_directory() { return sys::read_link(AT_FDCWD, "/proc/self/cwd"); }

Result<std::string> absolute_path(const std::string& path) {
  if (path.empty() || path.starts_with('/')) return path;
  NX_TRY(const std::string here, working_directory());
  return sys::clean_path(here + "/" + path);
}

void Globals::declare(Options& options) {
  options.text("--root", "DIR", root, "directory of the container states (default /run/nexcage)")
      .text("--log", "FILE", log, "write log records to this file")
      .text("--log-format", "FORMAT", log_format, "format of log records: text or json")
      .flag("--debug", debug, "log more, and show where an error arose")
      .text("--config", "FILE", config, "read this file instead of /etc/nexcage/config.toml")
      .text("--runtime", "NAME", runtime, "backend for new containers: lxc, crun, runc, vm")
      .flag("--systemd-cgroup", systemd_cgroup, "have systemd make the cgroups")
      .text("--cgroup-manager", "NAME", cgroup_manager,
            "manager of cgroups: cgroupfs, systemd or disabled")
      .text("--rootless", "MODE", rootless,
            "true, false or auto: handed on to crun and runc; true is refused by lxc")
      .flag("-v,--version", version, "print the version")
      .flag("-h,--help", help, "print this help");
}

Result<> Globals::check() const {
  NX_CHECK(expect_word("--log-format", log_format, {"text", "json"}));
  NX_CHECK(expect_word("--cgroup-manager", cgroup_manager, {"cgroupfs", "systemd", "disabled"}));
  return expect_word("--rootless", rootless, {"true", "false", "auto"});
}

Program Program::from_argv0(std::string_view argv0) {
  Program program;
  const std::string_view base = argv0.substr(argv0.rfind('/') + 1);
  for (std::string_view name : kFixedNames) {
    if (base != name) continue;
    program.name = name;
    program.fixed_backend = name.substr(kVariablePrefix.size());
  }
  return program;
}

Result<const Configuration*> Context::configuration() {
  if (configuration_) return &*configuration_;
  Configuration configuration;
  NX_CHECK(configuration.read_files(config_file()));
  NX_CHECK(configuration.read_environment());
  if (globals_.root) {
    NX_TRY(const std::string root, absolute_path(*globals_.root));
    NX_CHECK(configuration.set("runtime.root", root, "option --root"));
  }
  NX_CHECK(use_own_directories(configuration));
  NX_TRY(const std::string directory, sys::executable_dir());
  configuration.set_libexec(sys::clean_path(directory + "/../libexec/nexcage"));
  configuration_ = std::move(configuration);
  return &*configuration_;
}

std::optional<std::string> Context::config_file() const {
  if (globals_.config) return globals_.config;
  const char* named = std::getenv(std::string(kConfigVariable).c_str());
  if (named == nullptr || *named == '\0') return std::nullopt;
  return named;
}

Result<runtime::Settings> Context::settings() {
  NX_TRY(const Configuration* configuration, this->configuration());
  runtime::Settings settings = configuration->settings();
  NX_TRY(settings.invocation.log, absolute_path(globals_.log));
  if (!globals_.log.empty()) settings.invocation.log_format = globals_.log_format;
  settings.invocation.debug = globals_.debug;
  if (globals_.rootless != "auto") settings.invocation.rootless = globals_.rootless;
  return settings;
}

Result<runtime::Services> Context::services() {
  NX_TRY(const runtime::Settings settings, this->settings());
  return runtime::Services::open(settings);
}

Result<std::string> Context::backend(const std::string& after_verb) const {
  const std::string asked = after_verb.empty() ? globals_.runtime.value_or("") : after_verb;
  const std::string& fixed = program_.fixed_backend;
  if (fixed.empty() || asked.empty() || asked == fixed) return fixed.empty() ? asked : fixed;
  return fail(Errc::InvalidSpec, "--runtime " + quote(asked) + ": " + program_.name +
                                     " always runs containers on " + fixed);
}

Result<std::vector<std::string>> Context::repeat_globals() {
  NX_TRY(const runtime::Settings settings, this->settings());
  std::vector<std::string> words = {"--root", settings.root};
  if (const auto file = config_file()) {
    NX_TRY(std::string path, absolute_path(*file));
    words.emplace_back("--config");
    words.push_back(std::move(path));
  }
  if (globals_.debug) words.emplace_back("--debug");
  if (globals_.systemd_cgroup) words.emplace_back("--systemd-cgroup");
  for (const auto& [option, value] : {std::pair("--cgroup-manager", globals_.cgroup_manager),
                                      std::pair("--rootless", globals_.rootless)}) {
    words.emplace_back(option);
    words.push_back(value);
  }
  return words;
}

backends::CgroupManager Context::cgroup_manager() const {
  if (globals_.systemd_cgroup || globals_.cgroup_manager == "systemd")
    return backends::CgroupManager::systemd;
  return globals_.cgroup_manager == "disabled" ? backends::CgroupManager::disabled
                                               : backends::CgroupManager::cgroupfs;
}

}  // namespace nexcage::cli
