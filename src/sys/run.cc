// Running a program to its end and collecting what it says.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/poll_until.h"
#include "nexcage/sys/process.h"

namespace nexcage::sys {
namespace {

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// One stream of the child: bytes up to the limit, the rest counted as lost.
struct Collector {
  UniqueFd fd;
  std::string* text;
  std::size_t limit;
  bool truncated = false;

  /// One read(2) of at most `most` bytes of what is there; closes the stream at its end.
  Result<std::size_t> take(std::size_t most) {
    std::array<char, 16384> buffer;
    const ssize_t n = ::read(fd.get(), buffer.data(), std::min(most, buffer.size()));
    if (n < 0 && errno == EINTR) return 0;
    if (n < 0) return fail_errno("read the output of a program");
    if (n == 0) fd.reset();
    const auto got = static_cast<std::size_t>(n);
    const std::size_t kept = std::min(got, limit - text->size());
    text->append(buffer.data(), kept);
    truncated = truncated || kept < got;
    return got;
  }

  /// What is in the pipe now. Not until its end: a background child may hold it open.
  Result<> drain() {
    int waiting = 0;
    if (!fd || ::ioctl(fd.get(), FIONREAD, &waiting) != 0) return {};
    for (auto left = static_cast<std::size_t>(waiting); left > 0 && fd;) {
      NX_TRY(const std::size_t n, take(left));
      left -= n;
    }
    return {};
  }
};

bool gives(const Command& command, int theirs) {
  return std::ranges::any_of(command.fds,
                             [theirs](const auto& pair) { return pair.second == theirs; });
}

Result<UniqueFd> input_for(std::string_view text) {
  if (text.empty()) return open_at(AT_FDCWD, "/dev/null", O_RDONLY);
  // A file instead of a pipe: nobody has to feed it, and a program that does not read its input
  // costs no SIGPIPE.
  return sealed_data(text, "stdin");
}

/// Reads both streams until the child has ended: true, or false after the deadline.
Result<bool> collect(const Child& child, std::array<Collector, 2>& streams,
                     std::optional<SteadyTime> deadline) {
  for (;;) {
    std::array<pollfd, 3> ready = {{{child.pidfd(), POLLIN, 0},
                                    {streams[0].fd.get(), POLLIN, 0},
                                    {streams[1].fd.get(), POLLIN, 0}}};
    NX_TRY(const bool any, poll_until(ready, deadline));
    if (!any) return false;
    for (std::size_t i = 0; i < streams.size(); ++i)
      if (ready[i + 1].revents != 0) NX_CHECK(streams[i].take(SIZE_MAX));
    if (ready[0].revents != 0) break;
    // A child that writes without end is ready for ever and never idle.
    if (deadline && std::chrono::steady_clock::now() >= *deadline) return false;
  }
  for (Collector& stream : streams) NX_CHECK(stream.drain());
  return true;
}

}  // namespace

Result<Output> run(const Command& command, std::string_view stdin_text,
                   std::chrono::milliseconds timeout, std::size_t max_output) {
  const std::string name = command.argv.empty() ? "program" : command.argv.front();
  NX_TRY(UniqueFd input, input_for(stdin_text), "run " + name);
  NX_TRY(Pipe out, make_pipe(), "run " + name);
  NX_TRY(Pipe err, make_pipe(), "run " + name);

  Command grouped = command;
  grouped.new_process_group = !command.new_session;
  const std::array<std::pair<int, int>, 3> streams = {
      {{input.get(), 0}, {out.write.get(), 1}, {err.write.get(), 2}}};
  for (const auto& [ours, theirs] : streams)
    if (!gives(command, theirs)) grouped.fds.emplace_back(ours, theirs);

  const std::optional<SteadyTime> deadline = deadline_after(timeout);
  NX_TRY(Child child, Child::spawn(grouped));
  out.write.reset();
  err.write.reset();

  Output output;
  std::array<Collector, 2> collectors = {{{std::move(out.read), &output.out, max_output},
                                          {std::move(err.read), &output.err, max_output}}};
  NX_TRY(const bool ended, collect(child, collectors, deadline), "run " + name);
  if (!ended) {
    child.kill_and_wait();
    return fail(Errc::Timeout,
                "run " + name + ": not done after " + std::to_string(timeout.count()) + " ms");
  }
  NX_TRY(output.status, child.wait(), "run " + name);
  output.truncated = collectors[0].truncated || collectors[1].truncated;
  return output;
}

}  // namespace nexcage::sys
