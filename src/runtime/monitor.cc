#include "nexcage/runtime/monitor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/undo.h"
#include "nexcage/sys/process.h"

namespace nexcage::runtime {
namespace {

constexpr std::string_view kExitDirectory = "/exit";
constexpr std::string_view kCreateLog = "/create.log";
constexpr std::string_view kMonitorPid = "/conmon.pid";
constexpr std::string_view kLockName = ".lock";
constexpr std::size_t kMaxLog = 1u << 20;
constexpr std::chrono::milliseconds kPollInterval{2};

/// The pipe on which conmon reports: conmon(8) takes the descriptor from _OCI_SYNCPIPE.
struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe to conmon");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Error error_from_record(const json::Value& record) {
  const Errc code = errc_from_name(record.text("code"), Errc::RuntimeNotAvailable);
  std::vector<std::string> texts;
  if (const json::Value* frames = record.find("frames"); frames && frames->if_array())
    for (const json::Value& frame : *frames->if_array()) texts.push_back(frame.text("text"));
  if (texts.empty()) texts.push_back(record.text("msg"));

  const json::Value* number = record.find("errno");
  const auto sys_errno = number != nullptr ? number->as_i64() : std::nullopt;
  Error error = Error::from_errno(code, static_cast<int>(sys_errno.value_or(0)), texts[0]);
  for (std::size_t i = 1; i < texts.size(); ++i) error = Error(std::move(error).wrap(texts[i]));
  if (std::string hint = record.text("hint"); !hint.empty())
    error = Error(std::move(error).hint(std::move(hint)));
  return error;
}

/// conmon's report: {"data": PID} (or "pid" in older protocols), or a negative number and a
/// message.
struct Report {
  std::int64_t pid = -1;
  std::string message;
};

std::optional<Report> parse_report(std::string_view text) {
  const auto value = json::parse(trim(text));
  if (!value) return std::nullopt;
  const json::Value* number = value->find("data");
  if (number == nullptr) number = value->find("pid");
  if (number == nullptr || !number->as_i64()) return std::nullopt;
  return Report{*number->as_i64(), value->text("message")};
}

/// Error of the inner create: its own log knows best, then conmon's message.
Error create_error(const MonitorJob& job, const std::string& message) {
  if (const auto log = sys::read_file(AT_FDCWD, job.bundle + std::string(kCreateLog), kMaxLog))
    if (auto error = error_from_log(*log)) return *std::move(error);
  Error error(Errc::RuntimeNotAvailable,
              message.empty() ? "conmon ended without a report" : std::string(trim(message)));
  return std::move(error).wrap("create under conmon");
}

/// Not the bundle: it may have been removed meanwhile.
Result<> make_exit_directory(const std::string& bundle) {
  const std::string path = bundle + std::string(kExitDirectory);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("create " + path);
  return {};
}

/// The process of conmon.pid, if it is this container's conmon and not a newer process of that pid;
/// else a descriptor of nothing.
Result<UniqueFd> open_monitor(const std::string& bundle) {
  const std::string file = bundle + std::string(kMonitorPid);
  const auto text = sys::read_file(AT_FDCWD, file, 64);
  const auto pid = text ? parse_u64(trim(*text)) : std::nullopt;
  if (!pid) return UniqueFd();  // never had one
  NX_TRY(const auto stat, sys::read_stat(static_cast<pid_t>(*pid)));
  if (!stat) return UniqueFd();
  auto pidfd = sys::open_process({static_cast<pid_t>(*pid), stat->start_time});
  if (!pidfd) return fail(std::move(pidfd).error());
  const auto words = sys::read_file(AT_FDCWD, "/proc/" + std::to_string(*pid) + "/cmdline");
  const bool is_its = words && words->find(file) != std::string::npos;
  if (!*pidfd || !is_its) return UniqueFd();
  return *std::move(*pidfd);
}

/// conmon 2.1 that has lost its creation reads the creation's standard error to the end before it
/// reports, and the init that waits to be started has that open. Finishing the dead creation's undo
/// log is what ends this init.
Result<std::string> read_report(int fd, const Settings& settings) {
  constexpr int kUntilAskingMs = 500;
  std::string text;
  std::array<char, 4096> buffer{};
  while (text.find('\n') == std::string::npos && text.size() < kMaxLog) {
    pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    const int found = ::poll(&ready, 1, kUntilAskingMs);
    if (found < 0 && errno != EINTR) return fail_errno("wait for conmon's report");
    if (found == 0) recover(Paths(settings).undo_dir());
    if (found <= 0) continue;
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read conmon's report");
    if (n == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return text;
}

}  // namespace

std::string log_file(const std::string& bundle) { return bundle + "/ctr.log"; }

std::optional<Error> error_from_log(std::string_view text) {
  std::optional<Error> last;
  for (const std::string& line : split(text, '\n')) {
    if (line.empty()) continue;
    const auto record = json::parse(line);
    if (record && record->text("level") == "error") last = error_from_record(*record);
  }
  return last;
}

std::vector<std::string> conmon_command(const MonitorJob& job, const std::string& conmon) {
  std::vector<std::string> argv = {conmon,
                                   "--api-version",
                                   "1",
                                   "--cid",
                                   job.id,
                                   "--cuuid",
                                   job.id,
                                   "--name",
                                   job.id,
                                   "--runtime",
                                   job.program,
                                   "--bundle",
                                   job.bundle,
                                   "--container-pidfile",
                                   job.pid_file,
                                   "--conmon-pidfile",
                                   job.bundle + std::string(kMonitorPid),
                                   "--exit-dir",
                                   job.bundle + std::string(kExitDirectory),
                                   "--log-path",
                                   "k8s-file:" + log_file(job.bundle),
                                   "--log-level",
                                   "error",
                                   "--full-attach"};
  const auto add_each = [&argv](const char* option, const std::vector<std::string>& words) {
    // One word "--option=value", so that a value that begins with '-' is no option of conmon.
    for (const std::string& word : words) argv.push_back(std::string(option) + "=" + word);
  };
  if (job.terminal) argv.emplace_back("--terminal");
  if (job.keep_stdin) argv.emplace_back("--stdin");
  add_each("--runtime-arg",
           {"--log", job.bundle + std::string(kCreateLog), "--log-format", "json"});
  add_each("--runtime-arg", job.program_args);
  add_each("--runtime-opt", job.create_args);
  if (!job.exit_args.empty()) {
    argv.push_back("--exit-command=" + job.program);
    add_each("--exit-command-arg", job.exit_args);
  }
  return argv;
}

Result<std::string> find_conmon(const std::string& configured) {
  auto found = sys::find_program(configured);
  // A path is taken as it is.
  if (found && ::access(found->c_str(), X_OK) != 0) found = fail_errno("find program " + *found);
  if (found) return found;
  return fail(Error(Errc::RuntimeNotAvailable, found.error().message())
                  .hint("Install the package conmon, or set monitor.conmon in the configuration."));
}

Result<> await_monitor(const std::string& bundle, std::chrono::milliseconds timeout) {
  NX_TRY(const UniqueFd pidfd, open_monitor(bundle));
  if (!pidfd) return {};
  NX_TRY(const bool ended, sys::wait_exit(pidfd.get(), timeout));
  if (ended) return {};
  return fail(Errc::Timeout, "wait for the end of conmon, which held the container");
}

Result<pid_t> start_monitor(const MonitorJob& job, const Settings& settings) {
  NX_TRY(const std::string conmon, find_conmon(settings.conmon));
  NX_CHECK(make_exit_directory(job.bundle));
  // It is to tell of this creation alone.
  NX_CHECK(sys::remove_file(AT_FDCWD, job.bundle + std::string(kCreateLog)));
  NX_TRY(Pipe pipe, make_pipe());
  NX_TRY(UniqueFd null, sys::open_at(AT_FDCWD, "/dev/null", O_RDWR));

  constexpr int kSyncFd = 3;
  sys::Command command;
  command.argv = conmon_command(job, conmon);
  command.inherit_env = true;
  command.env = {"_OCI_SYNCPIPE=" + std::to_string(kSyncFd)};
  command.fds = {{null.get(), 0}, {null.get(), 1}, {null.get(), 2}, {pipe.write.get(), kSyncFd}};
  NX_TRY(sys::Child child, sys::Child::spawn(command), "start " + conmon);
  pipe.write.reset();

  NX_TRY(const std::string text, read_report(pipe.read.get(), settings));
  // The process we started is not the monitor: that one is its child and has left our session.
  NX_TRY([[maybe_unused]] const int status, child.wait());
  const auto report = parse_report(text);
  if (!report || report->pid <= 0) {
    // What a killed creation has left lies in what the caller removes now.
    recover(Paths(settings).undo_dir());
    return fail(create_error(job, report ? report->message : ""));
  }
  return static_cast<pid_t>(report->pid);
}

Result<std::optional<ExitRecord>> ExitRecord::open(const std::string& bundle,
                                                   const std::string& id) {
  auto directory =
      sys::open_at(AT_FDCWD, bundle + std::string(kExitDirectory), O_RDONLY | O_DIRECTORY);
  if (directory) return ExitRecord(*std::move(directory), id);
  if (directory.error().sys_errno() == ENOENT) return std::nullopt;
  return fail(std::move(directory).error());
}

Result<ExitRecord> ExitRecord::create(const std::string& bundle, const std::string& id) {
  NX_CHECK(make_exit_directory(bundle));
  NX_TRY(std::optional<ExitRecord> record, open(bundle, id));
  if (!record) return fail(Errc::FileError, "open " + bundle + std::string(kExitDirectory));
  return *std::move(record);
}

Result<std::optional<int>> ExitRecord::read() const {
  auto text = sys::read_file(directory_.get(), id_, 64);
  if (!text && text.error().sys_errno() == ENOENT) return std::nullopt;
  if (!text) return fail(std::move(text).error());
  const auto code = parse_u64(trim(*text));
  // conmon writes the file before its content: an empty one is not there yet.
  if (!code) return std::nullopt;
  return static_cast<int>(*code);
}

Result<int> ExitRecord::read_soon(std::chrono::milliseconds timeout) const {
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (true) {
    NX_TRY(const std::optional<int> code, read());
    if (code) return *code;
    if (std::chrono::steady_clock::now() >= end)
      return fail(Errc::Timeout, "wait for the exit code of " + id_);
    std::this_thread::sleep_for(kPollInterval);
  }
}

Result<> ExitRecord::forget() const { return sys::remove_file(directory_.get(), id_); }

Result<> ExitRecord::write(int code) const {
  return sys::write_file_atomic(directory_.get(), id_, std::to_string(code), 0600,
                                sys::Durable::no);
}

Result<sys::FileLock> ExitRecord::hold() const {
  constexpr int kTimeoutMs = 1000;
  return sys::FileLock::acquire(directory_.get(), std::string(kLockName),
                                sys::FileLock::Kind::shared, kTimeoutMs);
}

void ExitRecord::wait_for_readers(std::chrono::milliseconds timeout) const {
  // Nobody to tell when it does not come: the removal goes on.
  const auto lock =
      sys::FileLock::acquire(directory_.get(), std::string(kLockName),
                             sys::FileLock::Kind::exclusive, static_cast<int>(timeout.count()));
  (void)lock;
}

}  // namespace nexcage::runtime
