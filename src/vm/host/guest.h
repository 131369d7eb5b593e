// The helper's side of the conversation with the guest's agent: the port, the sessions and their
// streams. Every byte from the port is a stranger's; the Mux checks it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/sys/plan_message.h"
#include "nexcage/vm/host/poller.h"
#include "nexcage/vm/host/stream.h"
#include "nexcage/vm/protocol/message.h"
#include "nexcage/vm/protocol/mux.h"

namespace nexcage::vm::host {

/// What the guest has said, for the one who decides.
class GuestEvents {
 public:
  virtual ~GuestEvents() = default;
  virtual Result<> hello() = 0;
  virtual Result<> prepared() = 0;
  virtual Result<> started(std::uint32_t session, const protocol::Started& started) = 0;
  virtual Result<> failed(std::uint32_t session, const sys::plan::Failure& failure) = 0;
  virtual Result<> exited(std::uint32_t session, const protocol::Exit& exit) = 0;
};

/// Standard input, output and error of a process; a terminal has no third.
struct Streams {
  UniqueFd in, out, err;
};

class Guest {
 public:
  Guest(UniqueFd port, GuestEvents& events) : port_(std::move(port)), events_(events) {}

  /// What is waited for now. An error of a handler means that the guest is of no use any more.
  void add_to(Poller& poller);
  /// Of that, only those who read what the guest has written: for what is left when it has gone.
  void add_readers_to(Poller& poller);

  /// Opens the session of the container, or of a further process.
  void prepare(std::string_view message, Streams streams);
  std::uint32_t exec(std::string_view message, Streams streams);

  void start();
  void signal(std::uint32_t session, int number, bool all);
  void set_size(std::uint32_t session, std::uint16_t rows, std::uint16_t columns);
  void shut_down();
  /// Not everything that was asked for has gone out yet.
  bool sending() const { return !mux_.pending().empty(); }

  /// The session's process has not ended.
  bool is_open(std::uint32_t session) const { return mux_.is_open(session); }
  /// What the session's process wrote has all been passed on.
  bool drained(std::uint32_t session) const;
  /// Forgets a session with what nobody has read of it, and closes its descriptors. What its
  /// process, if it has one, still writes is thrown away.
  void forget(std::uint32_t session);
  /// A word of ours into the session's errors (with a terminal: its output), as far as it goes.
  void say(std::uint32_t session, std::string_view text);
  /// When somebody last took something of what the guest writes; the beginning, if nobody has.
  Poller::Clock::time_point last_progress() const { return last_progress_; }

 private:
  struct Session {
    Inlet in;
    Outlet out, err;
    bool started = false;
    bool told_end = false;  // of its input
    Outlet& outlet(protocol::Stream stream) { return stream == protocol::Stream::err ? err : out; }
  };

  Result<> receive();
  Result<> dispatch(const protocol::Frame& frame);
  Result<> dispatch_session(const protocol::Frame& frame);
  Result<> send();
  void write(std::uint32_t number, Session& session, protocol::Stream stream);
  void read_input(std::uint32_t number, Session& session);

  UniqueFd port_;
  GuestEvents& events_;
  protocol::Mux mux_{protocol::Role::host};
  std::map<std::uint32_t, Session> sessions_;
  std::uint32_t last_session_ = protocol::kContainerSession;
  Poller::Clock::time_point last_progress_{};
};

}  // namespace nexcage::vm::host
