#include "nexcage/network/files.h"

#include <algorithm>
#include <initializer_list>

#include "nexcage/base/text.h"
#include "nexcage/network/address.h"

namespace nexcage::network {
namespace {

constexpr std::string_view kLocalhost =
    "127.0.0.1\tlocalhost localhost.localdomain\n::1\tlocalhost localhost.localdomain\n";
constexpr std::string_view kHostNames = "host.containers.internal host.docker.internal";

std::string line(const std::string& address, std::string_view names) {
  return address + "\t" + std::string(names) + "\n";
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : std::string(text) + " ") {
    if (c != ' ' && c != '\t' && c != '\r') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  return words;
}

bool on_loopback(const std::string& server) {
  const auto address = parse_address(server);
  return address && address->is_loopback();
}

const std::vector<std::string>& first_given(
    std::initializer_list<const std::vector<std::string>*> lists) {
  for (const auto* list : lists)
    if (!list->empty()) return *list;
  return **(lists.end() - 1);
}

}  // namespace

Result<std::string> hosts_text(const HostsInput& input, const std::vector<HostEntry>& entries) {
  std::string text = input.base.empty() ? std::string(kLocalhost) : input.base;
  if (!text.ends_with('\n')) text += '\n';
  for (const HostEntry& entry : entries) {
    const bool gateway = entry.address == kHostGateway;
    if (gateway && input.gateway.empty())
      return fail(Errc::ConfigError,
                  "--add-host " + entry.name + ":host-gateway: the network has no gateway");
    text += line(gateway ? input.gateway : entry.address, entry.name);
  }
  if (!input.gateway.empty()) text += line(input.gateway, kHostNames);
  if (input.addresses.empty()) return text + line("127.0.0.1", input.hostname);
  for (const std::string& address : input.addresses) text += line(address, input.hostname);
  return text;
}

Resolver parse_resolv_conf(std::string_view text) {
  Resolver resolver;
  for (const std::string& entry : split(text, '\n')) {
    const std::vector<std::string> words = words_of(entry);
    if (words.size() < 2) continue;
    if (words[0] == "nameserver")
      resolver.servers.push_back(words[1]);
    else if (words[0] == "search" || words[0] == "domain")  // the last one counts
      resolver.search.assign(words.begin() + 1, words.end());
    else if (words[0] == "options")
      resolver.options.insert(resolver.options.end(), words.begin() + 1, words.end());
  }
  return resolver;
}

std::string resolv_text(const Resolver& resolver) {
  std::string text;
  if (!resolver.search.empty()) text += "search " + join(resolver.search, " ") + "\n";
  for (const std::string& server : resolver.servers) text += "nameserver " + server + "\n";
  if (!resolver.options.empty()) text += "options " + join(resolver.options, " ") + "\n";
  return text;
}

bool names_only_resolved_stub(std::string_view text) {
  const std::vector<std::string> servers = parse_resolv_conf(text).servers;
  // 127.0.0.54 is the stub that only forwards (systemd-resolved.service(8)).
  return !servers.empty() && std::ranges::all_of(servers, [](const std::string& server) {
    return server == "127.0.0.53" || server == "127.0.0.54";
  });
}

Resolver choose_resolver(const Resolver& asked, const Resolver& network, const Resolver& host,
                         Mode mode) {
  Resolver reachable = host;
  if (mode != Mode::host) std::erase_if(reachable.servers, on_loopback);
  return {first_given({&asked.servers, &network.servers, &reachable.servers}),
          first_given({&asked.search, &network.search, &reachable.search}),
          first_given({&asked.options, &network.options, &reachable.options})};
}

}  // namespace nexcage::network
