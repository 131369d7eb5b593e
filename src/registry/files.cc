#include "nexcage/registry/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::registry {
namespace {

constexpr std::size_t kMaxFile = 4u << 20;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string home_directory() {
  if (std::string home = variable("HOME"); !home.empty()) return home;
  // The name service of libc would have to be loaded: the front binary is static.
  const auto users = sys::read_file(AT_FDCWD, "/etc/passwd");
  if (!users) return "/";
  for (const std::string& line : split(*users, '\n')) {
    const std::vector<std::string> fields = split(line, ':');
    constexpr std::size_t kUid = 2, kHome = 5;  // passwd(5)
    if (fields.size() > kHome && parse_u64(fields[kUid]) == ::geteuid()) return fields[kHome];
  }
  return "/";
}

/// nullopt when there is no such file.
Result<std::optional<std::string>> read_text(const std::string& path) {
  auto text = sys::read_file(AT_FDCWD, path, kMaxFile);
  if (text) return *std::move(text);
  const int why = text.error().sys_errno();
  if (why == ENOENT || why == ENOTDIR) return std::nullopt;
  return fail(std::move(text).error().as(Errc::ConfigError));
}

bool is_there(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

/// Names in a directory in their order; none when it is missing or not ours to see, as for Podman.
Result<std::vector<std::string>> list(const std::string& path) {
  std::vector<std::string> names;
  auto directory = sys::open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  if (!directory) {
    const int why = directory.error().sys_errno();
    if (why == ENOENT || why == ENOTDIR || why == EACCES) return names;
    return fail(std::move(directory).error().as(Errc::ConfigError));
  }
  NX_TRY(names, sys::list_dir(directory->get()));
  std::ranges::sort(names);
  return names;
}

/// The files of a drop-in directory that end like this.
Result<std::vector<TextFile>> drop_ins(const std::string& directory, std::string_view suffix) {
  std::vector<TextFile> out;
  NX_TRY(const std::vector<std::string> names, list(directory));
  for (const std::string& name : names) {
    if (!name.ends_with(suffix)) continue;
    std::string path = directory + "/" + name;
    struct stat info{};
    if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) continue;
    NX_TRY(auto text, read_text(path));
    if (text) out.push_back({std::move(path), *std::move(text)});
  }
  return out;
}

/// The main file and the directories of drop-in files.
struct RegistriesPaths {
  std::string main;
  bool must_exist = false;
  std::vector<std::string> directories;
};
RegistriesPaths registries_paths(const Environment& environment) {
  const std::string system = environment.etc + "/containers/registries.conf";
  const std::string user = environment.home + "/.config/containers/registries.conf";
  if (!environment.registries_conf.empty())
    return {environment.registries_conf, true, {system + ".d", user + ".d"}};
  // A user's file takes the place of the machine's, drop-in files included.
  if (is_there(user)) return {user, false, {user + ".d"}};
  return {system, false, {system + ".d", user + ".d"}};
}

std::string aliases_path(const Environment& environment) {
  constexpr std::string_view kName = "/containers/short-name-aliases.conf";
  if (environment.uid == 0) return environment.var_cache + std::string(kName);
  const std::string cache =
      environment.cache_home.empty() ? environment.home + "/.cache" : environment.cache_home;
  return cache + std::string(kName);
}

Result<> read_registries(const Environment& environment, Files& out) {
  const RegistriesPaths paths = registries_paths(environment);
  NX_TRY(const auto main, read_text(paths.main));
  if (!main && paths.must_exist)
    return fail(Errc::ConfigError, "read " + paths.main + ": there is no such file");
  if (main) {
    NX_TRY(out.registries, parse_registries_conf(*main, paths.main));
    out.registries_path = paths.main;
  }
  for (const std::string& directory : paths.directories) {
    NX_TRY(const auto files, drop_ins(directory, ".conf"));
    for (const TextFile& file : files) {
      NX_TRY(RegistriesConf conf, parse_registries_conf(file.text, file.path, Version::only_2));
      out.registries.merge(std::move(conf));
      if (out.registries_path.empty()) out.registries_path = directory;
    }
  }
  // Aliases that Podman recorded when it asked a person.
  NX_TRY(const auto aliases, read_text(aliases_path(environment)));
  if (aliases) {
    NX_TRY(RegistriesConf conf, parse_registries_conf(*aliases, aliases_path(environment)));
    RegistriesConf only_aliases;
    only_aliases.aliases = std::move(conf.aliases);
    out.registries.merge(std::move(only_aliases));
  }
  for (const std::string& unknown : out.registries.unknown)
    log::debug("unknown key in registries.conf: " + unknown);
  return {};
}

Result<> read_auth_file(const std::string& path, AuthFormat format, Files& out) {
  NX_TRY(const auto text, read_text(path));
  if (!text) return {};
  NX_TRY(AuthFile file, parse_auth_file(*text, path, format));
  out.auth.push_back(std::move(file));
  return {};
}

Result<> read_auth(const Environment& environment, const Choices& choices, Files& out) {
  auto primary = login_file(environment, choices);
  if (!primary)
    log::warning(primary.error().message());  // as Podman: the image may be public
  else
    NX_CHECK(read_auth_file(*primary, AuthFormat::current, out));
  if (!choices.auth_file.empty() || !environment.auth_file.empty()) return {};
  const std::string config =
      environment.config_home.empty() ? environment.home + "/.config" : environment.config_home;
  const std::string docker =
      environment.docker_config.empty() ? environment.home + "/.docker" : environment.docker_config;
  NX_CHECK(read_auth_file(config + "/containers/auth.json", AuthFormat::current, out));
  NX_CHECK(read_auth_file(docker + "/config.json", AuthFormat::current, out));
  return read_auth_file(environment.home + "/.dockercfg", AuthFormat::legacy, out);
}

Result<> read_policy(const Environment& environment, Files& out) {
  for (const std::string& path : {environment.home + "/.config/containers/policy.json",
                                  environment.etc + "/containers/policy.json"}) {
    NX_TRY(const auto text, read_text(path));
    if (!text) continue;
    NX_TRY(out.policy, parse_policy(*text, path));
    return {};
  }
  return {};
}

Result<> read_registries_d(const Environment& environment, Files& out) {
  const std::string user = environment.home + "/.config/containers/registries.d";
  const std::string path = is_there(user) ? user : environment.etc + "/containers/registries.d";
  NX_TRY(out.registries_d, drop_ins(path, ".yaml"));
  return {};
}

Result<> list_certs(const Environment& environment, const Choices& choices, Files& out) {
  if (!choices.cert_dir.empty()) {
    if (!is_there(choices.cert_dir)) return fail_errno("certificate directory " + choices.cert_dir);
    NX_TRY(auto names, list(choices.cert_dir));
    out.certs.push_back({"", choices.cert_dir, std::move(names)});
    return {};
  }
  for (const std::string& base :
       {environment.home + "/.config/containers/certs.d", environment.etc + "/containers/certs.d",
        environment.etc + "/docker/certs.d"}) {
    NX_TRY(const std::vector<std::string> hosts, list(base));
    for (const std::string& host : hosts) {
      const std::string path = base + "/" + host;
      NX_TRY(auto names, list(path));
      out.certs.push_back({host, path, std::move(names)});
    }
  }
  return {};
}

}  // namespace

Environment Environment::current() {
  Environment out;
  out.home = home_directory();
  out.runtime_dir = variable("XDG_RUNTIME_DIR");
  out.config_home = variable("XDG_CONFIG_HOME");
  out.cache_home = variable("XDG_CACHE_HOME");
  out.docker_config = variable("DOCKER_CONFIG");
  out.auth_file = variable("REGISTRY_AUTH_FILE");
  out.registries_conf = variable("CONTAINERS_REGISTRIES_CONF");
  if (out.registries_conf.empty()) out.registries_conf = variable("REGISTRIES_CONFIG_PATH");
  out.uid = ::geteuid();
  return out;
}

Result<Files> read_files(const Environment& environment, const Choices& choices) {
  Files out;
  NX_CHECK(read_registries(environment, out));
  NX_CHECK(read_auth(environment, choices, out));
  NX_CHECK(read_policy(environment, out));
  NX_CHECK(read_registries_d(environment, out));
  NX_CHECK(list_certs(environment, choices, out));
  return out;
}

Result<std::string> login_file(const Environment& environment, const Choices& choices) {
  if (!choices.auth_file.empty()) return choices.auth_file;
  if (!environment.auth_file.empty()) return environment.auth_file;
  if (environment.runtime_dir.empty())
    return environment.run + "/containers/" + std::to_string(environment.uid) + "/auth.json";
  if (!is_there(environment.runtime_dir))
    return fail(Error(Errc::ConfigError, "the directory " + environment.runtime_dir +
                                             " of XDG_RUNTIME_DIR does not exist")
                    .hint("Create it or unset the variable."));
  return environment.runtime_dir + "/containers/auth.json";
}

}  // namespace nexcage::registry
