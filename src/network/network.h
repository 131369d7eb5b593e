// Connecting a container to a network and taking it off again: what touches the system. What is to
// be done is decided by the pure functions of this folder.
//
// A container's directory:
//   attachment.json   Attachment: there from before the first ADD to the end of the last DEL
//   netns             the container's network namespace, kept by a mount
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/network/options.h"
#include "nexcage/network/plan.h"
#include "nexcage/network/result.h"

namespace nexcage::network {

/// A bridge or CNI network: plugins have work to do.
bool needs_plugins(const Wanted& wanted);
/// There is something that must be taken back later: a network with plugins, or one with published
/// ports that others must not get.
bool is_attached(const Wanted& wanted);
/// The path of the network namespace in a container's directory.
std::string namespace_path(const std::string& directory);

/// Everything that can be refused without touching anything. ConfigError for networks, bridges and
/// configurations that are not there or wrong, RuntimeNotAvailable for plugins that are not
/// installed, InvalidSpec for a path that is no network namespace.
Result<> check(const Wanted& wanted, const Config& config);

struct Job {
  std::string id;         // of the container
  std::string directory;  // of its own; its parent holds those of all containers, 0700
  const Wanted& wanted;
  const Config& config;
};

/// What came of it.
struct Attached {
  std::string network;  // its name
  Outcome outcome;
  std::vector<Port> ports;
};

/// What every machine with a user-mode network has: its own address, and the host's.
inline constexpr std::string_view kUserAddress = "10.0.2.15/24", kUserGateway = "10.0.2.2";

/// Makes the directory, the namespace, and runs ADD of every plugin in order. For the mode `user`
/// the ports are chosen, and the rest is for who runs the machine. Whatever happens,
/// `detach` takes everything back: it is to be recorded before. ConfigError when the network did
/// not give the address that was asked for.
Result<Attached> attach(const Job& job);

/// Runs DEL of every plugin in reverse order, takes the namespace and the directory away. A
/// directory that is not there is success. When a plugin fails, the others are called all the same,
/// and everything stays so that it can be tried again.
Result<> detach(const std::string& directory);

/// The text of /etc/resolv.conf for the container, from the options, the plugins and the host.
std::string container_resolv_conf(const Wanted& wanted, const Attached& attached);
/// The text of /etc/hosts.
Result<std::string> container_hosts(const Wanted& wanted, const Attached& attached,
                                    const std::string& hostname);

}  // namespace nexcage::network
