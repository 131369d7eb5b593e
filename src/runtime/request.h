// What was asked. Made by cli/, read by the creation flow, changed by nobody.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/network/options.h"
#include "nexcage/oci/spec.h"

namespace nexcage::runtime {

/// OCI form: a bundle directory made by somebody else.
struct BundleSource {
  std::string bundle;       // directory
  std::string config_file;  // empty: {bundle}/config.json
};

/// When a registry is asked for the image (Podman's --pull).
enum class PullPolicy : std::uint8_t { missing, always, newer, never };

/// Image form: an image of the store and what the command line changes of its configuration.
struct ImageSource {
  std::string image;                                   // as the user wrote it
  std::optional<PullPolicy> pull;                      // nullopt: Settings::pull_policy
  std::vector<std::string> command;                    // replaces Cmd when not empty
  std::optional<std::vector<std::string>> entrypoint;  // replaces Entrypoint (and drops Cmd)
  std::vector<std::string> env;                        // NAME=value; NAME alone takes ours
  std::string user;  // "uid[:gid]" or "name[:group]"; empty: the image's
  std::string workdir;
  std::string hostname;  // empty: the first 12 characters of the id
  std::vector<oci::Mount> mounts;
  std::optional<std::uint64_t> memory;  // bytes
  std::optional<double> cpus;
  std::optional<std::int64_t> pids_limit;
  oci::StringMap annotations;
  network::Options network;
  /// A user namespace with these maps; both or none.
  std::vector<oci::IdMapping> uid_map, gid_map;
  bool terminal = false;
  bool read_only = false;
};

struct Request {
  std::string id;
  std::variant<BundleSource, ImageSource> source;
  std::string backend;  // --runtime or the program's name; empty: annotation, then default
  std::string pid_file;
  std::optional<std::string> console_socket;
  bool keep_master = false;  // foreground run -t: the caller relays
  backends::Pivot pivot = backends::Pivot::pivot_root;
  backends::Keyring keyring = backends::Keyring::fresh;
  int preserve_fds = 0;
  /// For `restore`: the options of that verb of the backend's runtime.
  std::optional<std::vector<std::string>> restore;
  backends::CgroupManager cgroup_manager = backends::CgroupManager::cgroupfs;
  // Image form, for the monitor that holds the container when it is started again.
  bool keep_stdin = false;    // a pipe as standard input, not /dev/null
  bool remove_ended = false;  // --rm
};

}  // namespace nexcage::runtime
