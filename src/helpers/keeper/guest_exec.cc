#include "nexcage/helpers/keeper/guest_exec.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "nexcage/base/base64.h"
#include "nexcage/sys/plan.h"
#include "nexcage/sys/process.h"

namespace nexcage::keeper {
namespace {

using vm::qga::Capture;
using vm::qga::ExecCommand;
using vm::qga::ProcessStatus;

/// Of processes whose end nobody has asked for.
constexpr std::size_t kMaxProcesses = 64;
/// Of all output together: the memory is the container's.
constexpr std::size_t kMaxKept = 64u << 20;

struct Pipe {
  UniqueFd read_end, write_end;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) < 0) return fail_errno("make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// "NAME=value" in the place of the one with this name, or at the end.
void set_variable(std::vector<std::string>& env, const std::string& word) {
  const std::string_view name = std::string_view(word).substr(0, word.find('=') + 1);
  for (std::string& one : env)
    if (one.starts_with(name)) {
      one = word;
      return;
    }
  env.push_back(word);
}

bool has_terminal(const sys::plan::Plan& plan) {
  return plan.process.terminal ||
         std::ranges::any_of(plan.operations, [](const sys::plan::Operation& operation) {
           return std::holds_alternative<sys::plan::OpenTerminal>(operation);
         });
}

/// A plan that somebody else has made for exactly this process.
Result<std::string> given_plan(const ExecCommand& command) {
  const auto bytes = base64_decode(command.args.at(1));
  if (!bytes) return fail(Errc::InvalidConfig, "the plan is no Base64");
  NX_TRY(vm::protocol::Exec exec, vm::protocol::decode<vm::protocol::Exec>(*bytes));
  NX_TRY(const sys::plan::Plan plan, sys::plan::decode(exec.plan));
  if (has_terminal(plan)) return fail(Errc::InvalidConfig, "a terminal has nobody to look at it");
  return std::move(exec.plan);
}

}  // namespace

Result<std::string> GuestExec::plan_of(const ExecCommand& command) const {
  if (command.args.front() == vm::protocol::kExecPlanPath && command.args.size() == 2)
    return given_plan(command);
  NX_TRY(sys::plan::Plan plan, sys::plan::decode(plan_.plan));
  plan.process.args = command.args;
  for (const std::string& word : command.env) set_variable(plan.process.env, word);
  return sys::plan::encode(plan);
}

Result<std::uint32_t> GuestExec::start(const ExecCommand& command) {
  if (processes_.size() >= kMaxProcesses) {
    // Whoever has started the oldest that has ended did not wait for it.
    const auto oldest =
        std::ranges::find_if(processes_, [](const auto& entry) { return entry.second.ended(); });
    if (oldest != processes_.end()) forget(oldest);
  }
  if (processes_.size() >= kMaxProcesses)
    return fail(Errc::InvalidState, "too many processes whose status nobody has asked for");
  vm::protocol::Exec exec;
  NX_TRY(exec.plan, plan_of(command));
  Process process;
  vm::host::Streams streams;
  NX_TRY(streams.in, sys::sealed_data(command.input, "input"));
  if (command.capture != Capture::none && command.capture != Capture::err) {
    NX_TRY(Pipe pipe, make_pipe());
    process.out.fd = std::move(pipe.read_end);
    streams.out = std::move(pipe.write_end);
  }
  if (command.capture == Capture::err || command.capture == Capture::separated) {
    NX_TRY(Pipe pipe, make_pipe());
    process.err.fd = std::move(pipe.read_end);
    streams.err = std::move(pipe.write_end);
  }
  if (command.capture == Capture::merged) {
    streams.err.reset(::fcntl(streams.out.get(), F_DUPFD_CLOEXEC, 0));
    if (!streams.err) return fail_errno("share a pipe");
  }
  const std::uint32_t session = guest_.exec(vm::protocol::encode(exec), std::move(streams));
  processes_.emplace(session, std::move(process));
  return session;
}

void GuestExec::started(std::uint32_t session, std::uint32_t pid) {
  // An earlier process of the same number has ended, and nobody can tell the two apart.
  for (auto entry = processes_.begin(); entry != processes_.end(); ++entry)
    if (entry->second.pid == pid && entry->first != session) {
      forget(entry);
      break;
    }
  if (const auto found = processes_.find(session); found != processes_.end())
    found->second.pid = pid;
}

void GuestExec::exited(std::uint32_t session, const vm::protocol::Exit& exit) {
  const auto found = processes_.find(session);
  if (found == processes_.end()) return;
  if (found->second.pid == 0)
    forget(found);
  else
    found->second.exit = exit;
}

void GuestExec::failed(std::uint32_t session) {
  if (const auto found = processes_.find(session); found != processes_.end()) forget(found);
}

void GuestExec::forget(Processes::iterator entry) {
  kept_ -= entry->second.out.bytes.size() + entry->second.err.bytes.size();
  guest_.forget(entry->first);
  processes_.erase(entry);
}

Result<ProcessStatus> GuestExec::status(std::uint32_t pid) {
  const auto found =
      std::ranges::find_if(processes_, [&](const auto& entry) { return entry.second.pid == pid; });
  if (found == processes_.end())
    return fail(Errc::InvalidConfig, "PID " + std::to_string(pid) + " does not exist");
  Process& process = found->second;
  if (!process.ended()) return ProcessStatus{};
  ProcessStatus status{.exited = true,
                       .code = process.exit->code,
                       .signal = process.exit->signal,
                       .out = process.out.bytes,
                       .err = process.err.bytes,
                       .out_truncated = process.out.truncated,
                       .err_truncated = process.err.truncated};
  forget(found);
  return status;
}

void GuestExec::read(Output& output) {
  std::array<char, 65536> buffer;
  const ssize_t n = ::read(output.fd.get(), buffer.data(), buffer.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return output.fd.reset();
  const auto came = static_cast<std::size_t>(n);
  const std::size_t room =
      std::min(vm::qga::kMaxOutput - output.bytes.size(), kMaxKept - std::min(kMaxKept, kept_));
  const std::size_t taken = std::min(came, room);
  output.bytes.append(buffer.data(), taken);
  kept_ += taken;
  output.truncated = output.truncated || taken < came;
}

void GuestExec::add_to(vm::host::Poller& poller) {
  for (const auto& [session, process] : processes_)
    for (Output Process::* const output : {&Process::out, &Process::err})
      poller.add((process.*output).fd.get(), POLLIN, [this, session, output](short) -> Result<> {
        // It may have gone since this round of waiting began.
        if (const auto found = processes_.find(session); found != processes_.end())
          read(found->second.*output);
        return {};
      });
}

}  // namespace nexcage::keeper
