#include "nexcage/cli/create_args.h"

#include <fcntl.h>

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/cli/mount_args.h"
#include "nexcage/cli/verb.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/pull.h"
#include "nexcage/sys/fs.h"

namespace nexcage::cli {
namespace {

using runtime::BundleSource;
using runtime::ImageSource;
using runtime::Request;

constexpr std::size_t kIdBytes = 6;
constexpr std::uint64_t kMostPreservedFds = 1024;

Result<double> parse_cpus(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  // 0.01 is the least that the kernel's period and quota can say.
  if (error != std::errc{} || stop != end || !std::isfinite(value) || value < 0.01)
    return fail(Errc::InvalidSpec, "--cpus " + quote(text) + ": expected a number such as 1.5");
  return value;
}

}  // namespace

void CreateArgs::declare(Options& options) {
  options.text("-b,--bundle", "DIR", bundle, "OCI form: the bundle directory")
      .text("-f,--config", "FILE", config_file, "OCI form: a config.json outside the bundle")
      .text("--pid-file", "FILE", pid_file, "write the pid of the container's init to this file")
      .text("--console-socket", "PATH", console_socket,
            "send the terminal's master to this unix socket")
      .text("--runtime", "NAME", backend, "backend of this container: lxc, crun, runc, vm")
      .flag("-d,--detach", detach, "leave the container running in the background")
      .flag("--no-pivot", no_pivot, "do not use pivot_root (root file system on a ramdisk)")
      .flag("--no-new-keyring", no_new_keyring, "keep the caller's session keyring")
      .text("--preserve-fds", "N", preserve_fds, "pass descriptors 3 to 3+N-1 to the container")
      .text("--name", "ID", name, "the container's id (default: 12 random hexadecimal digits)")
      .flag("-t,--tty", terminal, "give the container a terminal")
      .flag("-i,--interactive", interactive, "connect standard input")
      .list("-e,--env", "NAME[=VALUE]", env, "set a variable; NAME alone takes ours")
      .list("--env-file", "FILE", env_files, "read variables from a file, one a line")
      .text("-u,--user", "USER[:GROUP]", user, "user and group, by name or number")
      .text("-w,--workdir", "DIR", workdir, "working directory in the container")
      .text("--hostname", "NAME", hostname, "host name (default: the id's first 12 characters)")
      .text("--entrypoint", "COMMAND", entrypoint,
            "replace the image's entrypoint (JSON array or word)")
      .list("-v,--volume", "HOST:DIR[:OPTS]", volumes, "bind a directory or file of the host")
      .list("--mount", "SPEC", mounts, "type=bind|tmpfs,src=PATH,dst=DIR[,ro,...]")
      .text("-m,--memory", "SIZE", memory, "limit memory: 64m, 1g")
      .text("--cpus", "NUMBER", cpus, "limit processor time: 1.5")
      .text("--pids-limit", "N", pids_limit, "limit the number of processes; -1: none")
      .list("--annotation", "KEY=VALUE", annotations, "add an annotation")
      .flag("--read-only", read_only, "mount the root file system read-only")
      .flag("--read-only-tmpfs", read_only_tmpfs,
            "with --read-only: /run, /tmp and /var/tmp are writable, in memory")
      .text("--tmpfs-upper", "SIZE", tmpfs_upper,
            "keep what a run writes in memory, at most so much (0: half of it)")
      .text("--layerfs", "DRIVER", layerfs, "auto, erofs, overlay, copy or zfs")
      .text("--storage", "STORAGE", storage,
            "local, dir:PATH, zfs or zvol [:DATASET], raw (default: the configured one)")
      .text("--storage-size", "SIZE", storage_size,
            "limit of the root file system; zfs: a quota; zvol, raw: its size (default: 10g)")
      .text("--raw", "FILESYSTEM", raw, "put the root file system into an image: ext4 or xfs")
      .list("--uidmap", "CONTAINER:HOST:COUNT", uid_map,
            "user namespace with these users; the image is not changed")
      .list("--gidmap", "CONTAINER:HOST:COUNT", gid_map, "the same for groups (default: --uidmap)")
      .text("--network", "NETWORK", network.network,
            "none, host, user, bridge[:NAME][,ip=,mac=,vlan=], ns:PATH or cni:NAME")
      .list("-p,--publish", "[IP:][HOST:]PORT", network.publish,
            "lead a port of the host to one of the container; /udp")
      .list("--dns", "ADDRESS", network.dns, "name server, instead of the host's")
      .list("--dns-search", "DOMAIN", network.search, "search domain, instead of the host's")
      .list("--add-host", "NAME:ADDRESS", network.add_host, "add a line to /etc/hosts")
      .text("--pull", "POLICY", pull, "missing (default), always, newer or never");
  registry.declare(options);
  progress.declare(options);
}

Result<Request> CreateArgs::request(const Context& context, std::vector<std::string> words) const {
  Request request;
  if (oci_form(context)) {
    NX_TRY(request, oci_request(context, words));
  } else {
    NX_TRY(request, image_request(std::move(words)));
  }
  NX_TRY(request.backend, context.backend(backend));
  request.cgroup_manager = context.cgroup_manager();
  NX_CHECK(common(request));
  return request;
}

Result<> CreateArgs::common(Request& request) const {
  NX_TRY(request.pid_file, absolute_path(pid_file));
  if (console_socket) {
    NX_TRY(request.console_socket, absolute_path(*console_socket));
  }
  if (no_pivot) request.pivot = backends::Pivot::move_mount;
  if (no_new_keyring) request.keyring = backends::Keyring::inherited;
  if (preserve_fds.empty()) return {};
  const auto count = parse_u64(preserve_fds);
  if (!count || *count > kMostPreservedFds)
    return fail(Errc::InvalidSpec, "--preserve-fds " + quote(preserve_fds) + ": expected a number");
  request.preserve_fds = static_cast<int>(*count);
  return {};
}

Result<Request> CreateArgs::oci_request(const Context& context,
                                        const std::vector<std::string>& words) const {
  const std::array<std::pair<std::string_view, bool>, 36> image_only = {{
      {"--name", !name.empty()},
      {"--tty", terminal},
      {"--interactive", interactive},
      {"--env", !env.empty()},
      {"--env-file", !env_files.empty()},
      {"--user", !user.empty()},
      {"--workdir", !workdir.empty()},
      {"--hostname", !hostname.empty()},
      {"--entrypoint", entrypoint.has_value()},
      {"--volume", !volumes.empty()},
      {"--mount", !mounts.empty()},
      {"--memory", !memory.empty()},
      {"--cpus", !cpus.empty()},
      {"--pids-limit", !pids_limit.empty()},
      {"--annotation", !annotations.empty()},
      {"--read-only", read_only},
      {"--read-only-tmpfs", read_only_tmpfs},
      {"--tmpfs-upper", !tmpfs_upper.empty()},
      {"--layerfs", !layerfs.empty()},
      {"--storage", !storage.empty()},
      {"--storage-size", !storage_size.empty()},
      {"--raw", !raw.empty()},
      {"--uidmap", !uid_map.empty()},
      {"--gidmap", !gid_map.empty()},
      {"--network", !network.network.empty()},
      {"--publish", !network.publish.empty()},
      {"--dns", !network.dns.empty()},
      {"--dns-search", !network.search.empty()},
      {"--add-host", !network.add_host.empty()},
      {"--pull", !pull.empty()},
      {"--tls-verify", registry.tls_verify.has_value()},
      {"--creds-stdin", registry.creds_stdin},
      {"--authfile", !registry.auth_file.empty()},
      {"--cert-dir", !registry.cert_dir.empty()},
      {"--progress", !progress.style.empty()},
      {"--quiet", progress.quiet},
  }};
  for (const auto& [option, given] : image_only)
    if (given)
      return fail(Errc::InvalidSpec, std::string(option) +
                                         " is for images; a bundle's config.json "
                                         "says it all");
  NX_CHECK(expect_words(words, 1, 1, "one container id"));
  Request request;
  request.id = words[0];
  BundleSource source;
  NX_TRY(source.bundle, absolute_path(bundle.value_or(context.program().always_oci() ? "." : "")));
  NX_TRY(source.config_file, absolute_path(config_file));
  request.source = std::move(source);
  return request;
}

Result<Request> CreateArgs::image_request(std::vector<std::string> words) const {
  if (!config_file.empty())
    return fail(Errc::InvalidSpec, "--config after the command needs --bundle");
  if (words.empty())
    return fail(Error(Errc::InvalidSpec, "missing argument, expected an image")
                    .hint("Give an image, or --bundle DIR and an id."));
  Request request;
  NX_TRY(ImageSource source, image_source());
  source.image = words[0];
  source.command.assign(std::make_move_iterator(words.begin() + 1),
                        std::make_move_iterator(words.end()));
  request.source = std::move(source);
  request.keep_stdin = interactive;
  request.id = name;
  if (name.empty()) {
    NX_TRY(request.id, sys::random_hex(kIdBytes));
  }
  return request;
}

Result<ImageSource> CreateArgs::image_source() const {
  ImageSource source;
  for (const std::string& file : env_files) {
    NX_TRY(const std::string text, sys::read_file(AT_FDCWD, file), "--env-file " + file);
    for (std::string& line : parse_env_file(text)) source.env.push_back(std::move(line));
  }
  source.env.insert(source.env.end(), env.begin(), env.end());
  source.user = user;
  source.workdir = workdir;
  source.hostname = hostname;
  source.terminal = terminal;
  source.read_only = read_only;
  if (entrypoint) {
    NX_TRY(source.entrypoint, parse_entrypoint(*entrypoint));
  }
  NX_TRY(const std::string here, working_directory());
  for (const std::string& text : volumes) {
    NX_TRY(oci::Mount mount, parse_volume(text, here));
    source.mounts.push_back(std::move(mount));
  }
  for (const std::string& text : mounts) {
    NX_TRY(oci::Mount mount, parse_mount(text, here));
    source.mounts.push_back(std::move(mount));
  }
  if (!memory.empty()) {
    NX_TRY(source.memory, parse_bytes(memory), "--memory");
  }
  if (!cpus.empty()) {
    NX_TRY(source.cpus, parse_cpus(cpus));
  }
  if (!pids_limit.empty()) {
    source.pids_limit = parse_i64(pids_limit);
    if (!source.pids_limit)
      return fail(Errc::InvalidSpec, "--pids-limit " + quote(pids_limit) + ": expected a number");
  }
  NX_CHECK(add_annotations(source.annotations, annotations));
  NX_CHECK(root_file_system(source));
  source.network = network;
  if (!pull.empty()) {
    NX_TRY(source.pull, runtime::parse_pull_policy(pull), "--pull");
  }
  return source;
}

Result<> CreateArgs::watch_pull(runtime::Services& services) const {
  NX_TRY(std::shared_ptr<ProgressOutput> output, progress.open());
  registry::PullOptions options;
  NX_TRY(options.choices, registry.choices());
  services.pull_for_guest = [output, options, settings = services.settings](
                                const std::string& image) -> Result<registry::Pulled> {
    NX_TRY(registry::Pulled pulled,
           registry::pull_image(image, options, runtime::transfer_place(settings), watch(*output)));
    output->finish(pulled);
    return pulled;
  };
  services.pull = [output, options, with = services](
                      const std::string& image,
                      const storage::Choice& choice) -> Result<registry::Pulled> {
    NX_TRY(registry::Pulled pulled,
           runtime::pull_ready(image, options, watch(*output), with, choice));
    output->finish(pulled);
    return pulled;
  };
  return {};
}

Result<> add_annotations(oci::StringMap& to, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == 0 || equals == std::string::npos)
      return fail(Errc::InvalidSpec, "--annotation " + quote(word) + ": expected KEY=VALUE");
    to[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return {};
}

Result<std::vector<std::string>> parse_entrypoint(const std::string& text) {
  if (text.empty()) return std::vector<std::string>{};
  if (!text.starts_with('[')) return std::vector<std::string>{text};
  NX_TRY(const json::Value value, json::parse(text), "--entrypoint");
  std::vector<std::string> words;
  for (const json::Value& word : *value.if_array()) {
    if (word.if_string() == nullptr)
      return fail(Errc::InvalidSpec, "--entrypoint " + quote(text) + ": expected strings");
    words.push_back(*word.if_string());
  }
  return words;
}

std::vector<std::string> parse_env_file(std::string_view text) {
  std::vector<std::string> entries;
  for (const std::string& line : split(text, '\n')) {
    const std::string_view entry = line.ends_with('\r')
                                       ? std::string_view(line).substr(0, line.size() - 1)
                                       : std::string_view(line);
    if (!trim(entry).empty() && !trim(entry).starts_with('#')) entries.emplace_back(entry);
  }
  return entries;
}

}  // namespace nexcage::cli
