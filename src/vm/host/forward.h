// Ports of the host that lead into the guest. QEMU's user-mode network, from which no packet goes
// out, has ports of its own in the helper's network namespace; what connects to the host's port is
// passed on to such a one. So QEMU itself is never in the host's network.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/vm/host/launch.h"
#include "nexcage/vm/host/poller.h"

namespace nexcage::vm::host {

/// A socket that listens for TCP in the caller's network namespace. `address`: empty for all of
/// IPv4. InvalidState when somebody has the port, ConfigError for an address that the host does not
/// have.
Result<UniqueFd> listen_tcp(const std::string& address, std::uint16_t port);

class Forwarder {
 public:
  /// Takes the descriptors of the listening sockets over.
  explicit Forwarder(const std::vector<Forward>& forwards);
  void add_to(Poller& poller);

 private:
  struct Listener {
    UniqueFd socket;
    std::uint16_t outer = 0;
  };
  /// Bytes of one direction: read from `from`, written to `to`.
  struct Pipe {
    int from = -1, to = -1;
    std::string buffer{};
    bool ended = false, closed = false;  // nothing comes any more; and that was told
  };
  struct Connection {
    UniqueFd outside, inside;
    Pipe inward, outward;
    bool broken = false;
    bool done() const { return broken || (inward.closed && outward.closed); }
  };
  void accept(const Listener& listener);
  static void watch(Poller& poller, const std::shared_ptr<Connection>& connection);
  static void read(Pipe& pipe, Connection& connection);
  static void write(Pipe& pipe, Connection& connection);

  std::vector<Listener> listeners_;
  std::list<std::shared_ptr<Connection>> connections_;
  Poller::Clock::time_point rest_until_{};  // no descriptor was free
};

}  // namespace nexcage::vm::host
