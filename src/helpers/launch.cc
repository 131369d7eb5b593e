// /.nexcage/launch: the first process of a Proxmox VE guest. Proxmox VE gives it one line; what
// really is to run, as whom, where and with which signal to end, stands in the record of
// src/pve/launch.h: in the variable NEXCAGE_RUN, or in the file /.nexcage/run. Executed in a
// guest that runs (pct exec), it becomes what the variable says. Static: it lives in root file
// systems that have nothing else.
#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/base64.h"
#include "nexcage/base/text.h"

namespace {

constexpr int kCannotRun = 126, kNotFound = 127;
constexpr const char* kVariable = "NEXCAGE_RUN";
constexpr const char* kFile = "/.nexcage/run";

struct Record {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::optional<mode_t> umask;
  bool no_new_privileges = false;
  int stop_signal = SIGTERM;
  std::string cwd;
  std::vector<std::string> args, env;
};

[[noreturn]] void give_up(const char* what, int error, int status = kCannotRun) {
  (void)std::fprintf(stderr, "nexcage: %s%s%s\n", what, error != 0 ? ": " : "",
                     error != 0 ? std::strerror(error) : "");
  std::exit(status);
}

/// Fields off the front of a record; what is missing ends the program.
class Fields {
 public:
  explicit Fields(std::string_view text) : left_(text) {}
  std::string next() {
    const std::size_t end = left_.find('\0');
    if (end == std::string_view::npos) give_up("the record of what to run is damaged", 0);
    std::string field(left_.substr(0, end));
    left_.remove_prefix(end + 1);
    return field;
  }
  unsigned number() {
    const auto value = nexcage::parse_u64(next());
    if (!value || *value > ~0U) give_up("the record of what to run is damaged", 0);
    return static_cast<unsigned>(*value);
  }

 private:
  std::string_view left_;
};

Record parse(std::string_view text) {
  Fields fields(text);
  Record record;
  if (fields.next() != "1") give_up("the record of what to run has another format", 0);
  record.uid = fields.number();
  record.gid = fields.number();
  for (unsigned count = fields.number(); count > 0; --count)
    record.groups.push_back(fields.number());
  if (const auto mask = nexcage::parse_u64(fields.next())) record.umask = *mask;
  record.no_new_privileges = fields.number() == 1;
  record.stop_signal = static_cast<int>(fields.number());
  record.cwd = fields.next();
  for (unsigned count = fields.number(); count > 0; --count) record.args.push_back(fields.next());
  for (unsigned count = fields.number(); count > 0; --count) {
    (void)fields.number();  // its place among the others
    record.env.push_back(fields.next());
  }
  if (record.args.empty()) give_up("the record names nothing to run", 0);
  return record;
}

std::string read_file(const char* path) {
  std::string text;
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) give_up(path, errno);
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(fd, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  (void)::close(fd);
  return text;
}

Record decode(const char* text) {
  const auto bytes = nexcage::base64_decode(text);
  if (!bytes) give_up("the record of what to run is damaged", 0);
  return parse(*bytes);
}

Record find_record() {
  const char* text = std::getenv(kVariable);
  return text != nullptr ? decode(text) : parse(read_file(kFile));
}

void set_environment(const Record& record) {
  (void)::unsetenv(kVariable);
  for (const std::string& entry : record.env) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos) continue;
    (void)::setenv(entry.substr(0, equals).c_str(), entry.c_str() + equals + 1, 1);
  }
}

/// An image may name a directory that it does not have: made, as other engines do.
void enter(const std::string& cwd) {
  if (::chdir(cwd.c_str()) == 0) return;
  for (std::size_t at = 1; at != std::string::npos && at < cwd.size();) {
    at = cwd.find('/', at);
    (void)::mkdir(cwd.substr(0, at).c_str(), 0755);
    if (at != std::string::npos) ++at;
  }
  if (::chdir(cwd.c_str()) != 0) give_up(cwd.c_str(), errno);
}

[[noreturn]] void run(const Record& record) {
  enter(record.cwd);
  if (record.umask) (void)::umask(*record.umask);
  if (::setgroups(record.groups.size(), record.groups.data()) != 0) give_up("setgroups", errno);
  if (::setresgid(record.gid, record.gid, record.gid) != 0) give_up("setresgid", errno);
  if (::setresuid(record.uid, record.uid, record.uid) != 0) give_up("setresuid", errno);
  if (record.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    give_up("no_new_privs", errno);
  std::vector<char*> argv;
  for (const std::string& word : record.args) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  (void)::execvp(argv[0], argv.data());
  give_up(argv[0], errno, errno == ENOENT ? kNotFound : kCannotRun);
}

/// Hands signals on, reaps whatever is left to the first process, and ends with its child.
[[noreturn]] void supervise(pid_t child, const Record& record, const sigset_t& all) {
  while (true) {
    siginfo_t info{};
    const int signal = ::sigwaitinfo(&all, &info);
    if (signal < 0) continue;
    if (signal != SIGCHLD) {
      // LXC asks for a halt with SIGPWR, for a reboot with SIGINT.
      (void)::kill(child, signal == SIGPWR ? record.stop_signal : signal);
      continue;
    }
    int status = 0;
    for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended != child) continue;
      std::exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
  }
}

}  // namespace

int main() {
  const Record record = find_record();
  // Not the first process: executed in a guest that runs, with its own variables and no others.
  if (::getpid() != 1) {
    (void)::clearenv();
    set_environment(record);
    run(record);
  }
  set_environment(record);
  sigset_t all, before;
  (void)::sigfillset(&all);
  (void)::sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t child = ::fork();
  if (child < 0) give_up("fork", errno);
  if (child == 0) {
    (void)::sigprocmask(SIG_SETMASK, &before, nullptr);
    run(record);
  }
  supervise(child, record, all);
}
