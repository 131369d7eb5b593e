// What all verbs share: the options before the verb, the name the program was called by, and the
// settings, read when a verb asks for them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/cli/config.h"
#include "nexcage/cli/options.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::cli {

// Exit codes of our own failures: as runc for the OCI form, as Podman for the image form.
inline constexpr int kOciFailure = 1;
inline constexpr int kExecFailure = 255;  // runc exec
inline constexpr int kImageFailure = 125;
inline constexpr int kNotExecutable = 126;
inline constexpr int kNotFound = 127;

Result<std::string> working_directory();
/// A path of the caller's, made absolute and clean: later stages do not depend on the working
/// directory. Empty stays empty.
Result<std::string> absolute_path(const std::string& path);

/// Options before the verb.
struct Globals {
  std::optional<std::string> root;
  std::string log;
  std::string log_format = "text";
  bool debug = false;
  std::optional<std::string> config;
  std::optional<std::string> runtime;
  bool systemd_cgroup = false;
  std::string cgroup_manager = "cgroupfs";
  std::string rootless = "auto";
  bool version = false;
  bool help = false;

  void declare(Options& options);
  /// InvalidSpec for a value outside its list of words.
  Result<> check() const;
};

/// The program's name and, for the names that engines register, the backend it fixes.
struct Program {
  std::string name = "nexcage";
  std::string fixed_backend;  // empty for "nexcage" itself
  /// "/usr/bin/nexcage-lxc" -> nexcage-lxc, lxc.
  static Program from_argv0(std::string_view argv0);
  bool always_oci() const { return !fixed_backend.empty(); }
};

class Context {
 public:
  Context(Program program, Globals globals)
      : program_(std::move(program)), globals_(std::move(globals)) {}

  const Program& program() const { return program_; }
  const Globals& globals() const { return globals_; }
  /// Configuration files, environment and options joined; read at the first call.
  Result<const Configuration*> configuration();
  Result<runtime::Settings> settings();
  /// Opens the runtime with these settings.
  Result<runtime::Services> services();
  /// The backend that the command line fixes, `after_verb` being the verb's own --runtime; empty
  /// when annotations and the default decide. InvalidSpec when the program's name says another one.
  Result<std::string> backend(const std::string& after_verb = "") const;
  /// The options that make another nexcage see the settings that this one sees.
  Result<std::vector<std::string>> repeat_globals();
  /// --systemd-cgroup and --cgroup-manager.
  backends::CgroupManager cgroup_manager() const;

 private:
  std::optional<std::string> config_file() const;

  Program program_;
  Globals globals_;
  std::optional<Configuration> configuration_;
};

}  // namespace nexcage::cli
