// One process that the host has asked for, from its making to its end: the container's first one
// (session 0) or one executed in it. It is a copy of the agent that applies its plan as the first
// process of an LXC container does, with the agent in the place of the runtime.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/plan.h"
#include "nexcage/vm/protocol/mux.h"

namespace nexcage::init::agent {

/// What a session's process is made from.
struct Launch {
  std::uint32_t session = 0;
  std::string plan;           // sys::plan::encode
  std::vector<UniqueFd> fds;  // those of the plan
  bool terminal = false;
};

class Session {
 public:
  /// Clones the process into the container's control group; session 0 into new mount, pid and
  /// control group namespaces.
  static Result<Session> launch(Launch launch);

  // What the agent waits for; -1: nothing.
  int channel() const { return channel_.get(); }
  /// Where input can be passed on: watched while there is some.
  int input() const { return input_.empty() && !input_ended_ ? -1 : in_.get(); }
  /// Where output comes from, if any of it may be sent now.
  int output(const vm::protocol::Mux& mux, vm::protocol::Stream stream) const;

  /// A message of the process: terminal, ready, failure, or the end of the channel (executed).
  void on_channel(vm::protocol::Mux& mux);
  /// All messages that are there.
  void catch_up(vm::protocol::Mux& mux);
  /// Passes on what fits.
  void on_input(vm::protocol::Mux& mux);
  /// Sends what is there and may be sent.
  void on_output(vm::protocol::Mux& mux, vm::protocol::Stream stream);
  /// The process has ended with this wait status.
  void on_exit(int status) { status_ = status; }

  /// From the host.
  void add_input(std::string_view bytes) { input_ += bytes; }
  void end_input() { input_ended_ = true; }
  Result<> start();
  void send_signal(int number);
  void resize(vm::protocol::WindowSize size);

  /// Tells the host of the end, once the process has ended and all of its output is sent. True
  /// then: the session is over.
  bool finish(vm::protocol::Mux& mux);

  std::uint32_t id() const { return launch_.session; }
  pid_t pid() const { return pid_; }
  bool ended() const { return status_.has_value(); }

 private:
  explicit Session(Launch launch) : launch_(std::move(launch)) {}
  void on_hello(pid_t sender);
  void send_plan();
  void on_end_of_channel(vm::protocol::Mux& mux);
  void drain(vm::protocol::Mux& mux, vm::protocol::Stream stream);
  UniqueFd& output_fd(vm::protocol::Stream stream);

  Launch launch_;
  pid_t pid_ = 0;
  std::uint32_t own_pid_ = 0;  // of the process in its own pid namespace
  UniqueFd channel_;
  UniqueFd in_, out_, err_;
  std::string input_;
  bool input_ended_ = false;
  bool entered_ = false;  // the process is where its program will run
  bool waits_ = false;    // for start
  bool started_ = false;  // the program runs, or its execution failed
  bool failed_ = false;   // the host was told an error: no exit follows
  int ended_by_ = 0;      // signal that ended it before the start
  std::optional<int> status_;
};

}  // namespace nexcage::init::agent
