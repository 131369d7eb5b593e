// OCI hooks that run in the container's namespaces.
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "nexcage/init/context.h"
#include "nexcage/sys/fs.h"

namespace nexcage::init {
namespace {

/// As much of a failing hook's output as goes into the message.
constexpr std::size_t kMaxOutput = 1024;

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

/// A memory file: neither a slow nor a silent hook can block us on it, as a pipe could.
Result<UniqueFd> memory_file(const char* name, std::string_view content) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd) return fail_errno("memfd");
  NX_CHECK(sys::write_all(fd.get(), content));
  if (::lseek(fd.get(), 0, SEEK_SET) < 0) return fail_errno("rewind");
  return fd;
}

[[noreturn]] void become(const sys::plan::Hook& hook, int in, int out) {
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  (void)::setpgid(0, 0);
  ::umask(022);
  if (::dup2(in, 0) >= 0 && ::dup2(out, 1) >= 0 && ::dup2(out, 2) >= 0) {
    (void)::close_range(3, ~0u, 0);
    ::execve(hook.path.c_str(), pointers(hook.args).data(), pointers(hook.env).data());
    ::dprintf(2, "execute %s: %s", hook.path.c_str(), std::strerror(errno));
  }
  ::_exit(127);
}

/// The wait status, or Timeout after killing the hook and what it started.
Result<int> wait_for(pid_t pid, std::uint32_t timeout_seconds) {
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return fail_errno("pidfd_open");
  pollfd poller{.fd = pidfd.get(), .events = POLLIN, .revents = 0};
  const int timeout =
      timeout_seconds == 0 ? -1 : static_cast<int>(std::min(timeout_seconds, 2'000'000u)) * 1000;
  int ready = 0;
  do ready = ::poll(&poller, 1, timeout);
  while (ready < 0 && errno == EINTR);
  if (ready == 0) (void)::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return fail_errno("wait for the hook");
  if (ready == 0)
    return fail(Errc::HookError, "timed out after " + std::to_string(timeout_seconds) + " s");
  return status;
}

Result<> run_hook(const sys::plan::Hook& hook, std::string_view state) {
  NX_TRY(UniqueFd in, memory_file("state", state));
  NX_TRY(UniqueFd out, memory_file("output", ""));
  pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork");
  if (pid == 0) become(hook, in.get(), out.get());
  (void)::setpgid(pid, pid);  // on both sides: whoever is first
  NX_TRY(int status, wait_for(pid, hook.timeout));
  if (status == 0) return {};
  std::string why = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                        : "exit status " + std::to_string(WEXITSTATUS(status));
  std::string output(kMaxOutput, '\0');
  ssize_t size = ::pread(out.get(), output.data(), output.size(), 0);
  output.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!output.empty() && output.back() == '\n') output.pop_back();
  return fail(Errc::HookError, why + (output.empty() ? "" : ": " + output));
}

}  // namespace

Result<> apply(const sys::plan::RunHooks& operation, Context&) {
  const std::string state =
      operation.state_before_pid + std::to_string(::getpid()) + operation.state_after_pid;
  int index = 0;
  for (const sys::plan::Hook& hook : operation.hooks) {
    auto done = run_hook(hook, state);
    if (!done)
      return fail(
          std::move(done)
              .error()
              .as(Errc::HookError)
              .wrap(operation.point + " hook #" + std::to_string(index) + " (" + hook.path + ")"));
    ++index;
  }
  return {};
}

}  // namespace nexcage::init
