// The options that `create` and `run` share, in both forms, and the request they make.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/cli/context.h"
#include "nexcage/cli/options.h"
#include "nexcage/cli/registry_args.h"
#include "nexcage/network/options.h"
#include "nexcage/runtime/request.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::cli {

/// OCI form: a bundle and an id. Image form: an image and a command.
struct CreateArgs {
  // Both forms.
  std::string pid_file;
  std::optional<std::string> console_socket;
  std::string backend;
  bool detach = false;
  bool no_pivot = false;
  bool no_new_keyring = false;
  std::string preserve_fds;
  // OCI form.
  std::optional<std::string> bundle;
  std::string config_file;
  // Image form.
  std::string name;
  bool terminal = false;
  bool interactive = false;
  std::vector<std::string> env, env_files;
  std::string user, workdir, hostname;
  std::optional<std::string> entrypoint;
  std::vector<std::string> mounts, volumes, annotations;
  std::string memory, cpus, pids_limit;
  network::Options network;
  bool read_only = false, read_only_tmpfs = false;
  std::string layerfs, tmpfs_upper, storage, storage_size, raw;
  std::vector<std::string> uid_map, gid_map;
  std::string pull;
  RegistryArgs registry;
  ProgressArgs progress;

  void declare(Options& options);
  /// With --bundle, and always under a name that fixes the backend.
  bool oci_form(const Context& context) const {
    return bundle.has_value() || context.program().always_oci();
  }
  /// Has images that are missing pulled as these options say, with progress on standard error.
  Result<> watch_pull(runtime::Services& services) const;
  /// InvalidSpec for options of the other form, missing or extra words, values that do not parse.
  Result<runtime::Request> request(const Context& context, std::vector<std::string> words) const;

 private:
  Result<runtime::Request> oci_request(const Context& context,
                                       const std::vector<std::string>& words) const;
  Result<runtime::Request> image_request(std::vector<std::string> words) const;
  Result<runtime::ImageSource> image_source() const;
  Result<> root_file_system(runtime::ImageSource& source) const;
  Result<> common(runtime::Request& request) const;
};

/// "KEY=VALUE" words of --annotation.
Result<> add_annotations(oci::StringMap& to, const std::vector<std::string>& words);
/// "[\"a\",\"b\"]" is a JSON array of words, anything else one word; empty text: no words.
Result<std::vector<std::string>> parse_entrypoint(const std::string& text);
/// Lines NAME=VALUE or NAME; empty lines and those that begin with '#' do not count.
std::vector<std::string> parse_env_file(std::string_view text);

}  // namespace nexcage::cli
