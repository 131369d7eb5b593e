#include "nexcage/backends/oci_runtime/argv.h"

#include <algorithm>
#include <utility>

namespace nexcage::backends::oci_runtime {
namespace {

void option(Words& words, const char* name, const std::string& value) {
  if (value.empty()) return;
  words.emplace_back(name);
  words.push_back(value);
}

std::unexpected<Error> lacks(const Dialect& dialect, const std::string& what) {
  return fail(Errc::Unsupported, std::string(dialect.name) + " has no " + what);
}

/// The directory that `--bundle` names and, if its config.json is not the one to be read, that one.
struct Bundle {
  std::string dir, config;
};

Result<Bundle> bundle_of(const Dialect& dialect, const CreateJob& job) {
  if (job.config_file.empty() || job.config_file == job.bundle + "/config.json")
    return Bundle{job.bundle, ""};
  if (dialect.config_option) return Bundle{job.bundle, job.config_file};
  // A spec that we wrote ourselves has absolute paths only: its directory serves as the bundle.
  const std::string own = job.state_dir + "/config.json";
  if (job.config_file == own) return Bundle{job.state_dir, ""};
  return lacks(dialect, "option for a config.json outside the bundle");
}

}  // namespace

Words plan_program(const Program& program) {
  Words words = {program.path, "--root", program.root};
  option(words, "--log", program.options.log);
  option(words, "--log-format", program.options.log_format);
  if (program.options.debug) words.emplace_back("--debug");
  option(words, "--rootless", program.options.rootless);
  return words;
}

Result<Words> plan_cgroup_manager(const Dialect& dialect, CgroupManager manager) {
  switch (manager) {
    case CgroupManager::cgroupfs:
      break;
    case CgroupManager::systemd:
      return Words{"--systemd-cgroup"};
    case CgroupManager::disabled:
      if (!dialect.cgroup_manager) return lacks(dialect, "way to do without control groups");
      return Words{"--cgroup-manager", "disabled"};
  }
  return Words{};
}

Result<Words> plan_create(const Dialect& dialect, const CreateJob& job, const std::string& pid_file,
                          const std::string& console_socket) {
  NX_TRY(const Bundle bundle, bundle_of(dialect, job));
  Words words = {"create", "--bundle", bundle.dir};
  option(words, "--config", bundle.config);
  option(words, "--pid-file", pid_file);
  option(words, "--console-socket", console_socket);
  if (job.preserve_fds > 0) option(words, "--preserve-fds", std::to_string(job.preserve_fds));
  if (job.pivot == Pivot::move_mount) words.emplace_back("--no-pivot");
  if (job.keyring == Keyring::inherited) words.emplace_back("--no-new-keyring");
  words.push_back(job.id);
  return words;
}

Result<Words> plan_restore(const Dialect& dialect, const CreateJob& job,
                           const std::string& pid_file, const std::string& console_socket) {
  NX_TRY(const Bundle bundle, bundle_of(dialect, job));
  if (!bundle.config.empty())
    return lacks(dialect, "option to restore with a config.json outside the bundle");
  Words words = {"restore", "--detach", "--bundle", bundle.dir};
  option(words, "--pid-file", pid_file);
  option(words, "--console-socket", console_socket);
  if (job.pivot == Pivot::move_mount) words.emplace_back("--no-pivot");
  if (job.restore) words.insert(words.end(), job.restore->begin(), job.restore->end());
  words.push_back(job.id);
  return words;
}

Result<Words> plan_exec(const Dialect& dialect, const ExecRequest& request,
                        const std::string& process_file, const std::string& id) {
  Words words = {"exec", "--process", process_file};
  if (request.detach) words.emplace_back("--detach");
  option(words, "--pid-file", request.pid_file);
  option(words, "--console-socket", request.console_socket.value_or(""));
  if (request.preserve_fds > 0)
    option(words, "--preserve-fds", std::to_string(request.preserve_fds));
  if (request.ignore_paused) {
    if (!dialect.ignore_paused) return lacks(dialect, "exec --ignore-paused");
    words.emplace_back("--ignore-paused");
  }
  for (const std::string& cgroup : request.cgroups) option(words, "--cgroup", cgroup);
  words.push_back(id);
  return words;
}

Words plan_cgroups(const Dialect& dialect, const CreateJob& job, const Words& own_paths) {
  if (job.cgroup_manager != CgroupManager::cgroupfs) return {};
  const std::string asked = job.spec.linux_ ? job.spec.linux_->cgroups_path : "";
  if (asked.starts_with('/')) return {asked.substr(1)};
  const std::string name = asked.empty() ? job.id : asked;
  if (!dialect.cgroup_below_callers) return {name};
  Words paths;
  for (const std::string& own : own_paths) {
    std::string path = own + "/" + name;
    path.erase(0, path.find_first_not_of('/'));
    if (std::ranges::find(paths, path) == paths.end()) paths.push_back(std::move(path));
  }
  return paths;
}

}  // namespace nexcage::backends::oci_runtime
