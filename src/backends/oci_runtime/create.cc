#include "nexcage/backends/oci_runtime/create.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "nexcage/backends/cgroup_lock.h"
#include "nexcage/base/testpoint.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/pty.h"

namespace nexcage::backends::oci_runtime {
namespace {

constexpr const char* kPidFile = "/pid";
constexpr const char* kConsole = "console.sock";
constexpr std::size_t kMaxSocketPath = 107;  // sun_path without its end

/// Takes the terminal's master that the runtime sends to a console socket.
class Console {
 public:
  static Result<Console> listen(const std::string& state_dir) {
    Console console;
    NX_TRY(console.dir_, sys::open_at(AT_FDCWD, state_dir, O_RDONLY | O_DIRECTORY));
    NX_TRY(console.listener_, sys::listen_unix(console.dir_.get(), kConsole, SOCK_STREAM, 0600));
    console.path_ = state_dir + "/" + kConsole;
    if (console.path_.size() <= kMaxSocketPath) return console;
    NX_TRY(const std::string dir, path_for_others(console.dir_.get()));
    console.path_ = dir + "/" + kConsole;
    return console;
  }
  const std::string& path() const { return path_; }

  /// After the runtime has ended: what it sent waits in the socket.
  Result<UniqueFd> take() {
    UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer) return fail_errno("take the terminal");
    NX_TRY(sys::Message message, sys::receive_message(peer.get()), "take the terminal");
    NX_CHECK(sys::remove_file(dir_.get(), kConsole));
    if (message.fds.size() != 1) return fail(Errc::RuntimeError, "the runtime sent no terminal");
    return std::move(message.fds.front());
  }

 private:
  UniqueFd dir_, listener_;
  std::string path_;
};

/// The paths of a process's cgroups, without doubles.
Result<Words> own_cgroups() {
  NX_TRY(const auto all, sys::read_process_cgroups(::getpid()));
  Words paths;
  for (const auto& [hierarchy, path] : all)
    if (std::ranges::find(paths, path) == paths.end()) paths.push_back(path);
  return paths;
}

/// The process's path in a hierarchy, without leading slash; empty for the root.
Result<std::string> path_in(const sys::CgroupHierarchy& hierarchy, pid_t pid) {
  NX_TRY(const auto all, sys::read_process_cgroups(pid));
  for (const auto& [id, path] : all) {
    if (id != hierarchy.id) continue;
    const std::size_t start = path.find_first_not_of('/');
    return start == std::string::npos ? std::string() : path.substr(start);
  }
  return std::string();
}

/// The container's path in the hierarchy whose freezer tells whether it is paused. Empty when it is
/// where we are: then the runtime made none (--cgroup-manager disabled, or a user who may not), and
/// what is done to it would be done to the caller.
Result<std::string> freezer_cgroup(const sys::CgroupLayout& layout, pid_t init) {
  const sys::CgroupHierarchy* hierarchy = layout.with("freezer");
  if (hierarchy == nullptr) hierarchy = layout.with("");
  if (hierarchy == nullptr) return std::string();
  NX_TRY(std::string path, path_in(*hierarchy, init));
  NX_TRY(const std::string ours, path_in(*hierarchy, ::getpid()));
  return path == ours ? std::string() : path;
}

class OciConfigured : public Configured {
 public:
  OciConfigured(CreateJob job, Runtime runtime, Words words)
      : job_(std::move(job)), runtime_(std::move(runtime)), words_(std::move(words)) {}

  std::string describe() const override {
    auto words = create_words(job_.console_socket.value_or(""));
    return words ? join(command_of(runtime_.program, *words).argv, " ") : words.error().message();
  }
  Result<Created> create(UndoLog& undo, const RunHooks& hooks) override;

 private:
  std::string pid_file() const {
    return job_.pid_file.empty() ? job_.state_dir + kPidFile : job_.pid_file;
  }
  Result<Words> create_words(const std::string& console_socket) const {
    const auto plan = job_.restore ? plan_restore : plan_create;
    NX_TRY(const Words create, plan(*runtime_.dialect, job_, pid_file(), console_socket));
    Words words = words_;
    words.insert(words.end(), create.begin(), create.end());
    return words;
  }
  bool below_our_parent() const {
    return job_.spec.linux_ &&
           job_.spec.linux_->cgroups_path.starts_with("/" + runtime_.cgroup_parent + "/");
  }
  Result<> announce(UndoLog& undo, const sys::CgroupLayout& layout) const;
  Result<sys::ProcessId> read_init() const;

  CreateJob job_;
  Runtime runtime_;
  Words words_;
};

/// What a runtime that is killed half-way leaves. Its cgroup counts only when it is a new one:
/// somebody else's may have the name.
Result<> OciConfigured::announce(UndoLog& undo, const sys::CgroupLayout& layout) const {
  Words own;
  if (runtime_.dialect->cgroup_below_callers) {
    NX_TRY(own, own_cgroups());
  }
  for (const std::string& path : plan_cgroups(*runtime_.dialect, job_, own))
    if (sys::Cgroup(layout, path).existing_dirs().empty()) NX_CHECK(undo.will_create_cgroup(path));
  return undo.will_create_foreign(foreign_of(runtime_, job_.id));
}

Result<sys::ProcessId> OciConfigured::read_init() const {
  NX_TRY(const std::string text, sys::read_file(AT_FDCWD, pid_file()));
  const auto pid = parse_u64(trim(text));
  if (!pid || *pid == 0) return fail(Errc::RuntimeError, "pid file " + pid_file() + " has no pid");
  NX_TRY(const auto stat, sys::read_stat(static_cast<pid_t>(*pid)));
  if (!stat) return fail(Errc::RuntimeError, "the container's first process ended");
  return sys::ProcessId{.pid = static_cast<pid_t>(*pid), .start_time = stat->start_time};
}

Result<Created> OciConfigured::create(UndoLog& undo, const RunHooks& /*hooks*/) {
  NX_TRY(const sys::CgroupLayout layout, sys::detect_cgroups());
  NX_CHECK(announce(undo, layout));
  std::optional<Console> console;
  if (job_.keep_master && !job_.console_socket && job_.spec.process &&
      job_.spec.process->terminal) {
    NX_TRY(console, Console::listen(job_.state_dir));
  }
  NX_TRY(const Words words,
         create_words(console ? console->path() : job_.console_socket.value_or("")));
  const auto note = [&undo](const sys::Child& child) -> Result<> {
    testpoint("oci-started");
    NX_TRY(const auto stat, sys::read_stat(child.pid()));
    if (!stat) return {};
    return undo.will_run_process({.pid = child.pid(), .start_time = stat->start_time});
  };
  UniqueFd creating;
  if (below_our_parent()) {
    NX_TRY(creating, lock_cgroups(runtime_.our_root, LOCK_SH));
  }
  NX_CHECK(run_verb(runtime_, words, note));
  creating.reset();
  testpoint("oci-created");
  Created created;
  NX_TRY(created.init, read_init());
  if (console) {
    NX_TRY(created.pty_master, console->take());
  }
  NX_TRY(std::string cgroup, freezer_cgroup(layout, created.init.pid));
  created.backend_data =
      to_json(Kept{.program = runtime_.program.path, .cgroup = std::move(cgroup)});
  return created;
}

}  // namespace

std::unique_ptr<Configured> make_configured(const CreateJob& job, Runtime runtime, Words words) {
  return std::make_unique<OciConfigured>(job, std::move(runtime), std::move(words));
}

Result<Words> plan_before_create(const Dialect& dialect, const CreateJob& job) {
  NX_CHECK((job.restore ? plan_restore : plan_create)(dialect, job, job.pid_file, ""));
  return plan_cgroup_manager(dialect, job.cgroup_manager);
}

json::Value to_json(const Kept& kept) {
  json::Object data;
  data.set("program", kept.program);
  data.set("cgroup", kept.cgroup);
  return json::Value(std::move(data));
}

Kept parse_kept(const json::Value& data) {
  return {.program = data.text("program"), .cgroup = data.text("cgroup")};
}

}  // namespace nexcage::backends::oci_runtime
