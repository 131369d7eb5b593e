// nexcage logs: what a detached container wrote, each stream to the same one of ours.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <limits>
#include <thread>

#include "nexcage/backends/guest_details.h"
#include "nexcage/base/text.h"
#include "nexcage/cli/log_lines.h"
#include "nexcage/cli/output.h"
#include "nexcage/cli/verb.h"
#include "nexcage/runtime/guests.h"
#include "nexcage/runtime/monitor.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"

namespace nexcage::cli {
namespace {

constexpr std::chrono::milliseconds kFollowInterval{50};
constexpr std::size_t kAllLines = std::numeric_limits<std::size_t>::max();

/// Reads what is there now; 0 at the end of the file.
Result<std::size_t> read_more(int fd, std::string& buffer) {
  std::array<char, 65536> bytes{};
  ssize_t n = 0;
  do n = ::read(fd, bytes.data(), bytes.size());
  while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno("read the log");
  buffer.assign(bytes.data(), static_cast<std::size_t>(n));
  return buffer.size();
}

class Logs : public Verb {
 public:
  Usage usage() const override {
    return {"[OPTIONS] ID", R"(
Prints what a container wrote that was started with "run --detach", or again with
"start": its standard output to ours, its standard error to ours.
)",
            R"(
  nexcage logs web
  nexcage logs --follow --tail 10 web
)"};
  }

  void declare(Options& options) override {
    options.flag("-f,--follow", follow_, "go on until the container ends")
        .text("-n,--tail", "N", tail_, "only the last N lines")
        .flag("-t,--timestamps", timestamps_, "print the time before each line");
  }

  Result<int> run(Context& context, std::vector<std::string> words) override {
    NX_CHECK(expect_words(words, 1, 1, "one container id"));
    std::size_t lines = kAllLines;
    if (!tail_.empty() && tail_ != "all" && tail_ != "-1") {
      const auto number = parse_u64(tail_);
      if (!number) return fail(Errc::InvalidSpec, "--tail " + quote(tail_) + ": expected a number");
      lines = *number;
    }
    NX_TRY(const runtime::Services services, context.services());
    NX_TRY(const backends::Record record, runtime::find(words[0], services));
    if (runtime::is_guest(words[0], services.settings)) return no_log_of_guest(record);
    auto file = sys::open_at(AT_FDCWD, runtime::log_file(record.state.bundle), O_RDONLY);
    if (!file && file.error().sys_errno() == ENOENT)
      return fail(
          Error(Errc::InvalidState, "container " + words[0] + " has no log")
              .hint("Only containers that conmon holds have one: of run --detach, and those that "
                    "were started again."));
    if (!file) return fail(std::move(file).error());
    if (lines != kAllLines) NX_CHECK(seek_tail(file->get(), lines));
    NX_CHECK(print_new(file->get()));
    if (follow_) NX_CHECK(follow(file->get(), record));
    return 0;
  }

 private:
  static std::unexpected<Error> no_log_of_guest(const backends::Record& record) {
    const auto detail = [&](std::string_view name) {
      const auto found = record.details.find(std::string(name));
      return found == record.details.end() ? std::string("?") : found->second;
    };
    const char* tool = record.backend == "proxmox-vm" ? "qm terminal " : "pct console ";
    return fail(Error(Errc::Unsupported, "backend " + record.backend +
                                             ": logs: Proxmox VE keeps none of a guest's console")
                    .hint("on node " + detail(backends::kNodeDetail) + ": " + tool +
                          detail(backends::kVmidDetail) + " shows what is written from then on"));
  }

  static Result<> seek_tail(int fd, std::size_t lines) {
    TailFinder finder(lines);
    LineSplitter splitter;
    std::string bytes;
    while (true) {
      NX_TRY(const std::size_t count, read_more(fd, bytes));
      if (count == 0) break;
      splitter.add(bytes);
      while (const auto line = splitter.next()) finder.add(*line, line->size() + 1);
    }
    if (::lseek(fd, static_cast<off_t>(finder.offset()), SEEK_SET) < 0)
      return fail_errno("seek in the log");
    return {};
  }

  Result<> print_new(int fd) {
    std::string bytes;
    while (true) {
      NX_TRY(const std::size_t count, read_more(fd, bytes));
      if (count == 0) return {};
      splitter_.add(bytes);
      while (const auto line = splitter_.next()) NX_CHECK(print_line(*line));
    }
  }

  Result<> print_line(std::string_view line) {
    const auto parsed = parse_log_line(line);
    if (!parsed) return {};
    std::string text;
    if (timestamps_ && !continues_) text = std::string(parsed->time) + " ";
    text += parsed->text;
    if (!parsed->partial) text += '\n';
    continues_ = parsed->partial;
    return sys::write_all(parsed->is_error ? STDERR_FILENO : STDOUT_FILENO, text);
  }

  /// Ends when the container has ended and everything it wrote has been printed.
  Result<> follow(int fd, const backends::Record& record) {
    NX_TRY(const auto exit, runtime::ExitRecord::open(record.state.bundle, record.state.id));
    while (true) {
      // conmon writes the exit code after the last line: asked first, printed second.
      NX_TRY(const bool alive, sys::is_alive(record.init));
      bool ended = !alive;
      if (exit) {
        NX_TRY(const std::optional<int> code, exit->read());
        ended = ended && (code || removed(fd));
      }
      NX_CHECK(print_new(fd));
      if (ended) return {};
      std::this_thread::sleep_for(kFollowInterval);
    }
  }

  /// True when the log has been deleted together with its container.
  static bool removed(int fd) {
    const auto info = sys::stat_fd(fd);
    return !info || info->st_nlink == 0;
  }

  bool follow_ = false;
  bool timestamps_ = false;
  bool continues_ = false;
  std::string tail_;
  LineSplitter splitter_;
};

}  // namespace

std::unique_ptr<Verb> make_logs() { return std::make_unique<Logs>(); }

}  // namespace nexcage::cli
