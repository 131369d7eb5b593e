#include "nexcage/network/network.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "nexcage/base/log.h"
#include "nexcage/base/testpoint.h"
#include "nexcage/base/text.h"
#include "nexcage/network/attachment.h"
#include "nexcage/network/plugin.h"
#include "nexcage/network/ports.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/netns.h"

namespace nexcage::network {
namespace {

constexpr std::string_view kAttachmentFile = "/attachment.json";
constexpr std::size_t kMaxAttachment = 4U << 20;
constexpr int kLockTimeoutMs = 60'000;
constexpr const char* kHostDir = "/run/cni";  // what all state roots of this host share

std::string attachment_file(const std::string& directory) {
  return directory + std::string(kAttachmentFile);
}

/// One user of a directory's lock file at a time.
Result<sys::FileLock> lock_in(const std::string& directory, const std::string& name, mode_t mode) {
  NX_CHECK(sys::mkdirs(directory, mode));
  NX_TRY(const UniqueFd dir, sys::open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
  return sys::FileLock::acquire(dir.get(), name, sys::FileLock::Kind::exclusive, kLockTimeoutMs);
}

Result<> check_bridge(const std::string& name) {
  NX_TRY(const Link link, find_link(name));
  if (link == Link::bridge) return {};
  if (link == Link::other) return fail(Errc::ConfigError, name + " is no bridge");
  return fail(Error(Errc::ConfigError, "this host has no bridge " + name)
                  .hint("Only " + std::string(kOwnBridge) + " is made when it is missing."));
}

Result<NetworkList> plan_list(const Wanted& wanted, const Config& config, const HostFacts& host) {
  if (wanted.mode == Mode::cni) return find_network(config.config_dir, wanted.name);
  if (is_own_bridge(wanted)) return plan_own_bridge(wanted, host, config);
  NX_CHECK(check_bridge(wanted.name));
  return plan_other_bridge(wanted, host);
}

/// "ip=" of our own network as its plugins want it: without a length. A bridge of others has it in
/// its list already.
std::string wanted_ip(const Wanted& wanted) {
  if (wanted.mode == Mode::bridge && !is_own_bridge(wanted)) return {};
  if (!is_own_bridge(wanted)) return wanted.ip;
  return wanted.ip.substr(0, wanted.ip.find('/'));
}

Result<std::optional<Attachment>> load(const std::string& directory) {
  auto text = sys::read_file(AT_FDCWD, attachment_file(directory), kMaxAttachment);
  if (!text && text.error().sys_errno() == ENOENT) return std::nullopt;
  if (!text) return fail(std::move(text).error());
  NX_TRY(const json::Value value, json::parse(*text), attachment_file(directory));
  NX_TRY(Attachment attachment, parse_attachment(value), attachment_file(directory));
  return attachment;
}

Result<> save(const Attachment& attachment, const std::string& directory) {
  return sys::write_file_atomic(attachment_file(directory), json::dump(to_json(attachment)) + "\n",
                                0600, sys::Durable::no);
}

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

/// The ports of all other containers below the same root.
Result<std::vector<Taken>> taken_ports(const std::string& parent, const std::string& own_id) {
  std::vector<Taken> taken;
  NX_TRY(const UniqueFd dir, sys::open_at(AT_FDCWD, parent, O_RDONLY | O_DIRECTORY));
  NX_TRY(const auto names, sys::list_dir(dir.get()));
  for (const std::string& name : names) {
    if (name == own_id || name.starts_with('@')) continue;
    const auto attachment = load(parent + "/" + name);
    if (!attachment) {
      log::warning(attachment.error().message());
      continue;
    }
    if (!*attachment) continue;
    for (const Port& port : (*attachment)->ports) taken.push_back({port, name});
  }
  return taken;
}

/// Chooses the ports and writes them down before anybody else can choose the same.
Result<> register_attachment(Attachment& attachment, const Job& job) {
  const std::string parent = parent_of(job.directory);
  NX_TRY(const sys::FileLock lock, lock_in(parent, "@lock", 0700));
  if (!job.wanted.ports.empty()) {
    NX_TRY(const std::vector<Taken> taken, taken_ports(parent, job.id));
    NX_TRY(attachment.ports, claim_ports(job.wanted.ports, taken));
  }
  if (needs_plugins(job.wanted))
    NX_CHECK(set_arguments(attachment, wanted_ip(job.wanted), job.wanted.mac));
  NX_CHECK(sys::mkdirs(job.directory, 0700));
  return save(attachment, job.directory);
}

Result<> run_add(Attachment& attachment, const std::string& directory) {
  json::Value previous;
  for (const std::size_t index : plugin_order(attachment, Operation::add)) {
    NX_TRY(previous, add_with(attachment, index, previous));
    testpoint("network-plugin");
  }
  attachment.result = std::move(previous);
  return save(attachment, directory);
}

/// A plugin may take no notice of what it was asked for.
Result<> check_outcome(const Outcome& outcome, const Wanted& wanted, const std::string& network) {
  const auto prefix = parse_prefix(wanted.ip);
  const auto asked = prefix ? prefix->address : parse_address(wanted.ip);
  if (asked && std::ranges::none_of(outcome.addresses,
                                    [&](const Prefix& have) { return have.address == *asked; }))
    return fail(Errc::ConfigError, "network " + network + " did not give address " + wanted.ip);
  if (!wanted.mac.empty() && outcome.mac != wanted.mac)
    return fail(Errc::ConfigError,
                "network " + network + " did not give hardware address " + wanted.mac);
  return {};
}

Result<Attached> attach_user(const Job& job) {
  Attachment attachment;
  NX_CHECK(register_attachment(attachment, job));
  Outcome outcome;
  if (const auto address = parse_prefix(kUserAddress)) outcome.addresses.push_back(*address);
  outcome.gateway = kUserGateway;
  return Attached{"user", std::move(outcome), std::move(attachment.ports)};
}

std::string hint_to_give_up(const std::string& directory) {
  return "The next command tries again; to give up, delete " + directory + " once " +
         namespace_path(directory) + " is unmounted.";
}

}  // namespace

bool needs_plugins(const Wanted& wanted) {
  return wanted.mode == Mode::bridge || wanted.mode == Mode::cni;
}

bool is_attached(const Wanted& wanted) {
  return needs_plugins(wanted) || wanted.mode == Mode::user;
}

std::string namespace_path(const std::string& directory) { return directory + "/netns"; }

Result<> check(const Wanted& wanted, const Config& config) {
  if (wanted.mode == Mode::path) {
    NX_TRY(const bool good, sys::is_network_namespace(wanted.name), "--network ns:" + wanted.name);
    if (!good)
      return fail(Errc::InvalidSpec, "--network ns:" + wanted.name + ": no network namespace");
    return {};
  }
  if (!needs_plugins(wanted)) return {};
  NX_TRY(const HostFacts host, read_host());
  NX_TRY(const NetworkList list, plan_list(wanted, config, host));
  Attachment attachment;
  attachment.list = list;
  attachment.ports = wanted.ports;
  NX_CHECK(set_arguments(attachment, wanted_ip(wanted), wanted.mac));
  return check_programs(list, config.plugin_dirs);
}

Result<Attached> attach(const Job& job) {
  if (job.wanted.mode == Mode::user) return attach_user(job);
  NX_TRY(HostFacts host, read_host());
  // The first container decides which network our bridge gets; nobody may decide beside it.
  std::optional<sys::FileLock> deciding;
  if (is_own_bridge(job.wanted) && !is_settled(host)) {
    NX_TRY(deciding, lock_in(kHostDir, "nexcage.lock", 0755));
    NX_TRY(host, read_host());
  }
  Attachment attachment;
  NX_TRY(attachment.list, plan_list(job.wanted, job.config, host));
  NX_TRY(const std::string unique, sys::random_hex(4));
  attachment.container_id = plugin_container_id(job.id, unique);
  attachment.netns = namespace_path(job.directory);
  attachment.plugin_dirs = job.config.plugin_dirs;
  NX_CHECK(register_attachment(attachment, job));
  NX_CHECK(sys::make_network_namespace(attachment.netns));
  NX_CHECK(run_add(attachment, job.directory));
  NX_TRY(Outcome outcome, parse_result(attachment.result), "network " + attachment.list.name);
  NX_CHECK(check_outcome(outcome, job.wanted, attachment.list.name));
  return Attached{std::move(attachment.list.name), std::move(outcome), std::move(attachment.ports)};
}

Result<> detach(const std::string& directory) {
  NX_TRY(std::optional<Attachment> attachment, load(directory));
  if (attachment) {
    const auto alive = sys::is_network_namespace(attachment->netns);
    // Plugins take an empty path for a namespace that is gone, but not a path to something else.
    if (!alive || !*alive) attachment->netns.clear();
    Result<> first;
    for (const std::size_t index : plugin_order(*attachment, Operation::del)) {
      auto done = delete_with(*attachment, index);
      if (done) continue;
      if (first)
        first = fail(std::move(done).error().hint(hint_to_give_up(directory)));
      else
        first = fail(std::move(first).error().also(std::move(done).error()));
    }
    NX_CHECK(std::move(first));
  }
  NX_CHECK(sys::remove_network_namespace(namespace_path(directory)));
  return sys::remove_tree(directory);
}

std::string container_resolv_conf(const Wanted& wanted, const Attached& attached) {
  const Resolver asked{wanted.dns, wanted.search, {}};
  const Resolver host = parse_resolv_conf(read_host_resolv_conf());
  const Resolver chosen = choose_resolver(asked, attached.outcome.dns, host, wanted.mode);
  if (chosen.servers.empty() && !host.servers.empty())
    log::warning("the host's name servers are on loopback only: the container has none");
  return resolv_text(chosen);
}

Result<std::string> container_hosts(const Wanted& wanted, const Attached& attached,
                                    const std::string& hostname) {
  HostsInput input;
  input.hostname = hostname;
  input.gateway = attached.outcome.gateway;
  for (const Prefix& prefix : attached.outcome.addresses)
    input.addresses.push_back(prefix.address.str());
  if (wanted.mode == Mode::host) {
    input.base = read_host_hosts();
    input.gateway = "127.0.0.1";
  }
  return hosts_text(input, wanted.hosts);
}

}  // namespace nexcage::network
