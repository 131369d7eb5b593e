// The user's and the machine's files about registries, found where Podman and Docker look for them,
// read and parsed. After this step everything about a pull is decided by pure functions (plan.h).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/registry/auth_file.h"
#include "nexcage/registry/certs.h"
#include "nexcage/registry/policy.h"
#include "nexcage/registry/registries_conf.h"

namespace nexcage::registry {

/// What decides where files are looked for.
struct Environment {
  std::string home;             // HOME, else of the user database
  std::string runtime_dir;      // XDG_RUNTIME_DIR
  std::string config_home;      // XDG_CONFIG_HOME
  std::string cache_home;       // XDG_CACHE_HOME
  std::string docker_config;    // DOCKER_CONFIG: a directory
  std::string auth_file;        // REGISTRY_AUTH_FILE
  std::string registries_conf;  // CONTAINERS_REGISTRIES_CONF, else REGISTRIES_CONFIG_PATH
  uid_t uid = 0;
  std::string etc = "/etc";
  std::string run = "/run";
  std::string var_cache = "/var/cache";
  static Environment current();
};

/// What the command line says; it beats the files.
struct Choices {
  std::optional<bool> tls_verify;        // --tls-verify
  std::string auth_file;                 // --authfile
  std::string cert_dir;                  // --cert-dir
  std::optional<Credential> credential;  // --creds-stdin: for the registry of the image only
};

/// A file's text that is parsed when it is needed.
struct TextFile {
  std::string path, text;
};

struct Files {
  RegistriesConf registries;
  std::string registries_path;  // the main file, or what stands in for it; empty: there is none
  std::vector<AuthFile> auth;   // in the order in which they are asked
  Policy policy;
  std::vector<TextFile> registries_d;  // needed by rules about signatures only
  std::vector<CertsDirectory> certs;
};

/// Reads all of them; a missing one is no error, but for those named by the environment.
/// ConfigError naming the file for what cannot be read or is wrong.
Result<Files> read_files(const Environment& environment, const Choices& choices);

/// The file that login writes to: --authfile, REGISTRY_AUTH_FILE, the user's runtime directory,
/// else /run/containers/UID/auth.json. ConfigError when XDG_RUNTIME_DIR names no directory.
Result<std::string> login_file(const Environment& environment, const Choices& choices);

}  // namespace nexcage::registry
