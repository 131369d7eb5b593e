#include "nexcage/vm/host/exec_client.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <span>

#include "nexcage/base/error.h"
#include "nexcage/sys/plan_message.h"
#include "nexcage/vm/host/control.h"
#include "nexcage/vm/host/poller.h"
#include "nexcage/vm/host/terminal.h"

namespace nexcage::vm::host {
namespace {

using sys::plan::MessageKind;

constexpr std::chrono::seconds kStartTime(15);  // longer than the helper waits for its guest

Result<> tell_status(int socket, MessageKind kind, std::string_view content,
                     std::span<const int> fds = {}) {
  return sys::send_message(socket, std::string(1, static_cast<char>(kind)) + std::string(content),
                           fds);
}

Result<> tell_size(const ExecJob& job, int terminal) {
  NX_TRY(const sys::WindowSize size, sys::window_size(terminal));
  if (size.rows == 0 && size.columns == 0) return {};
  json::Object message;
  message.set("rows", std::int64_t{size.rows});
  message.set("columns", std::int64_t{size.columns});
  return tell(job.socket.get(), std::move(message));
}

/// Returns the terminal's slave, with a terminal.
Result<UniqueFd> begin(const ExecJob& job) {
  json::Object request;
  request.set("verb", "exec");
  request.set("terminal", job.terminal);
  UniqueFd slave;
  if (job.terminal) {
    NX_TRY(Terminal terminal, open_terminal({.rows = job.rows, .columns = job.columns}));
    NX_CHECK(control_terminal(terminal.slave.get()));
    NX_CHECK(tell_status(job.status.get(), MessageKind::terminal, {},
                         std::array<int, 1>{terminal.master.get()}));
    slave = std::move(terminal.slave);
    NX_CHECK(tell(job.socket.get(), std::move(request),
                  std::array<int, 2>{job.message.get(), slave.get()}));
  } else {
    NX_CHECK(
        tell(job.socket.get(), std::move(request),
             std::array<int, 4>{job.message.get(), STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}));
  }
  NX_CHECK(hear(job.socket.get(), kStartTime));
  if (slave) NX_CHECK(tell_size(job, slave.get()));
  NX_CHECK(tell_status(job.status.get(), MessageKind::ready, {}));
  return slave;
}

Result<int> attend(const ExecJob& job, int signals, int slave) {
  std::optional<int> code;
  while (!code) {
    Poller poller;
    poller.add(job.socket.get(), POLLIN, [&](short) -> Result<> {
      NX_TRY(const json::Value answer, hear(job.socket.get(), std::chrono::milliseconds(0)));
      const json::Value* exit = answer.find("exit");
      code = exit != nullptr ? static_cast<int>(exit->as_i64().value_or(kLostCode)) : kLostCode;
      return {};
    });
    poller.add(signals, POLLIN, [&](short) -> Result<> {
      signalfd_siginfo info{};
      if (::read(signals, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return {};
      if (info.ssi_signo == SIGPIPE) return {};
      if (info.ssi_signo == SIGWINCH && slave >= 0) return tell_size(job, slave);
      json::Object message;
      message.set("signal", std::int64_t{info.ssi_signo});
      return tell(job.socket.get(), std::move(message));
    });
    NX_CHECK(poller.wait());
  }
  return *code;
}

}  // namespace

int run_exec(ExecJob job) {
  const auto signals = catch_signals();
  auto begun = signals ? begin(job) : Result<UniqueFd>(std::unexpected(signals.error()));
  if (!begun) {
    (void)tell_status(job.status.get(), MessageKind::failed,
                      sys::plan::encode(failure_of(begun.error())));
    return kLostCode;
  }
  job.status.reset();
  const auto code = attend(job, signals->get(), begun->get());
  return code ? *code : kLostCode;
}

}  // namespace nexcage::vm::host
