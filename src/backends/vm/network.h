// The network that a container's namespace has, for its machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/tap.h"
#include "nexcage/vm/protocol/message.h"

namespace nexcage::backends::vm {

struct GuestNetwork {
  struct Tap {
    UniqueFd fd;  // the device goes with it
    std::string mac;
  };
  struct Forward {
    UniqueFd listener;                   // on the host
    std::uint16_t outer = 0, inner = 0;  // of QEMU, in the guest
  };
  UniqueFd network_namespace;  // that the machine's helper belongs in; none: one of its own
  std::vector<Tap> taps;
  std::optional<std::string> user_mac;  // with a user-mode network
  std::vector<Forward> forwards;        // its ports
  std::vector<nexcage::vm::protocol::Interface> interfaces;
  std::vector<sys::Redirection> redirections;  // to be ended with the container
};

/// For each interface of the network namespace at `path` (CNI's veth) a tap device beside it, with
/// all packets passed from one to the other; the guest gets its address, its MAC and its routes. An
/// empty path: nothing. Unsupported for the caller's own namespace, and for one that has a machine
/// already.
Result<GuestNetwork> connect_guest(const std::string& path, UndoLog& undo);

/// QEMU's user-mode network: an interface eth0 in the guest, to which the ports of the host lead
/// and from which nothing goes out. Listens on them.
Result<GuestNetwork> publish_guest(const UserNetwork& wanted);

}  // namespace nexcage::backends::vm
