// A running QEMU with what it needs beside it. Killed when it goes.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/process.h"
#include "nexcage/vm/host/launch.h"
#include "nexcage/vm/qemu/qmp.h"

namespace nexcage::vm::host {

class Machine {
 public:
  /// Starts the daemons of the shares and QEMU; does not wait for any. The shares are mounts of
  /// this process's own mount namespace, made here, that nobody else sees.
  static Result<Machine> start(const Launch& launch);

  /// A virtiofsd, and what it serves.
  struct Daemon {
    std::string source;
    sys::Child process;
  };
  const std::vector<Daemon>& daemons() const { return daemons_; }

  /// The port of the guest's agent, once.
  UniqueFd take_port() { return std::move(port_); }

  int pidfd() const { return qemu_.pidfd(); }
  /// What QEMU and the guest's console say: to be read when there is something.
  int output() const { return output_.get(); }
  void read_output();
  /// The end of it, in one line without control characters: a stranger's words.
  std::string last_words() const;

  Result<> pause();
  Result<> resume();
  /// Ends QEMU: asked first if `politely`, killed if that does not do it within the time.
  void end(bool politely);
  /// How QEMU ended ("ended with status 1"), when it has.
  Result<std::string> how_it_ended();

 private:
  Machine(sys::Child qemu, UniqueFd port, UniqueFd monitor, UniqueFd output)
      : qemu_(std::move(qemu)),
        port_(std::move(port)),
        monitor_socket_(std::move(monitor)),
        output_(std::move(output)) {}
  Result<qemu::Qmp*> monitor();
  qemu::Meanwhile meanwhile();

  sys::Child qemu_;
  std::vector<Daemon> daemons_;
  UniqueFd port_;
  UniqueFd monitor_socket_;
  UniqueFd output_;
  std::optional<qemu::Qmp> monitor_;  // opened when it is first needed
  std::string words_;
};

}  // namespace nexcage::vm::host
