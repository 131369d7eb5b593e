// The texts of a container's /etc/hosts and /etc/resolv.conf. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nexcage/network/options.h"

namespace nexcage::network {

/// What the lines of /etc/hosts depend on.
struct HostsInput {
  std::string hostname;
  std::vector<std::string> addresses;  // the container's own, without prefix length; may be none
  std::string gateway;                 // the host as the container sees it; empty: unknown
  std::string base;                    // text to begin with instead of the usual lines of localhost
};
/// Lines of localhost (or `base`), the user's entries, the host as host.containers.internal, the
/// container's name at each of its addresses, without any at 127.0.0.1. ConfigError for
/// "host-gateway" where no gateway is known.
Result<std::string> hosts_text(const HostsInput& input, const std::vector<HostEntry>& entries);

/// A resolver's configuration, in the words of resolv.conf(5).
struct Resolver {
  std::vector<std::string> servers, search, options;
};
/// Comments and unknown words are left out.
Resolver parse_resolv_conf(std::string_view text);
std::string resolv_text(const Resolver& resolver);

/// True when the only server is the stub of systemd-resolved, which containers cannot reach.
bool names_only_resolved_stub(std::string_view text);

/// The container's resolver: `asked` (--dns, --dns-search) beats `network` (what the plugins said)
/// beats `host`, each list by itself. Servers on loopback addresses of the host are left out,
/// except where the container shares its network.
Resolver choose_resolver(const Resolver& asked, const Resolver& network, const Resolver& host,
                         Mode mode);

}  // namespace nexcage::network
