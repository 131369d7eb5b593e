// The life of one machine, from its boot to the exit of the container's process: what the helper
// does between its start and its end. One thread, one loop; nothing in it waits for anything but
// all of it.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <list>
#include <optional>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/pty.h"
#include "nexcage/vm/host/forward.h"
#include "nexcage/vm/host/guest.h"
#include "nexcage/vm/host/launch.h"
#include "nexcage/vm/host/machine.h"
#include "nexcage/vm/host/poller.h"

namespace nexcage::vm::host {

/// What the creator is told over its socket, as sys/plan_message.h has it: `terminal` with the
/// master, then `ready`, or `failed` with a Failure.
class Host : private GuestEvents {
 public:
  /// `prepare`: protocol::Prepare as bytes. `creator`: the socket to it.
  Host(Launch launch, std::string prepare, UniqueFd creator);

  /// Runs the machine. The code of the container's process as a shell has it; 255 when the machine
  /// was lost before that had ended. Why it was lost is in kReasonFile.
  int run();

 private:
  using Clock = Poller::Clock;
  using Deadline = std::optional<Clock::time_point>;

  enum class Stage : std::uint8_t { booting, preparing, prepared, starting, running, ended };
  enum class Waits : std::uint8_t { no, start, exec };
  /// A client of the control socket.
  struct Client {
    UniqueFd socket;
    Waits waits = Waits::no;
    std::optional<std::uint32_t> session{};  // of its exec
    std::optional<int> code{};               // of that, to be told when all output is through
    Deadline until{};
  };

  Result<> set_up();
  Result<> serve();
  Result<> step();
  void watch(Poller& poller);
  void watch_daemons(Poller& poller);
  Result<> check_deadlines();
  Result<Streams> streams();

  Result<> hello() override;
  Result<> prepared() override;
  Result<> started(std::uint32_t session, const protocol::Started& started) override;
  Result<> failed(std::uint32_t session, const sys::plan::Failure& failure) override;
  Result<> exited(std::uint32_t session, const protocol::Exit& exit) override;

  Result<> take_signal();
  Result<> copy_size();
  Result<> accept_client();
  Result<> hear_client(Client& client);
  Result<json::Object> answer(Client& client, const json::Value& request,
                              std::vector<UniqueFd>& fds);
  Result<json::Object> answer_exec(Client& client, const json::Value& request,
                                   std::vector<UniqueFd>& fds);
  Result<> watched(Result<> done);
  Result<json::Object> answer_kill(const json::Value& request);
  Result<> pass_on(const Client& client, const json::Value& message);
  void reply(Client& client, json::Object message);
  void watch_clients(Poller& poller);
  void settle_clients();
  void check_clients(Clock::time_point now);
  void forget_session(Client& client);
  void fail_waiting(const Error& error);
  bool has_execs() const;
  bool awaits_guest() const;
  void tell_exit(Client& client);
  void fail_running(const Error& error);
  void fail_execs(const Error& error);

  Clock::time_point drained_until() const;
  bool finished() const;
  bool shut_down();
  int finish();
  int lose(const Error& error);
  void drain();
  void end_container(int code);
  void keep_reason(const std::string& text) const;
  void tell_creator_failed(const Error& error);
  std::string_view status() const;

  Launch launch_;
  std::string prepare_;
  UniqueFd creator_;
  UniqueFd signals_, listener_;
  UniqueFd terminal_;  // the slave, with a terminal
  std::optional<Machine> machine_;
  std::optional<Guest> guest_;
  std::optional<Forwarder> forwarder_;  // with a user-mode network
  std::list<Client> clients_;
  Stage stage_ = Stage::booting;
  bool paused_ = false;
  bool killed_ = false;  // SIGKILL was asked for
  std::optional<int> code_;
  std::optional<Error> lost_;  // what the loop ends with
  Clock::time_point ended_at_{};
  Deadline boot_until_, start_until_, kill_until_;
  Deadline accept_after_;  // no descriptor was free
};

}  // namespace nexcage::vm::host
