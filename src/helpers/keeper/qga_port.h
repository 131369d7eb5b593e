// The port of the QEMU guest agent, at whose other end a client may be or not, and come and go.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/init/agent/machine.h"
#include "nexcage/vm/host/poller.h"
#include "nexcage/vm/qga/line.h"

namespace nexcage::keeper {

class QgaPort {
 public:
  /// `uevents` tells of the port, should the machine have one.
  static Result<QgaPort> create(init::agent::Uevents uevents);

  /// What is waited for now; what came is then read, as long as no line waits.
  void add_to(vm::host::Poller& poller);
  /// The next line of a client's, once the one before is answered.
  std::optional<vm::qga::Line> next();
  /// Sends an answer. It goes out when the client takes it, and is forgotten when another one
  /// comes.
  void send(std::string_view answer);

 private:
  using Clock = std::chrono::steady_clock;
  QgaPort(init::agent::Uevents uevents, UniqueFd events)
      : uevents_(std::move(uevents)), events_(std::move(events)) {}
  void open();
  void read();
  void write();
  bool connected() const;
  void miss_client();
  void meet_client();

  init::agent::Uevents uevents_;
  UniqueFd events_;  // epoll
  UniqueFd port_;
  bool readable_ = false;
  vm::qga::LineReader lines_;
  std::string pending_;
  std::size_t sent_ = 0;  // of pending_
  std::optional<Clock::time_point> gone_since_;
};

}  // namespace nexcage::keeper
