#include "nexcage/backends/vm/backend.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "nexcage/backends/cgroup_lock.h"
#include "nexcage/backends/host_cgroups.h"
#include "nexcage/backends/own.h"
#include "nexcage/backends/seccomp.h"
#include "nexcage/backends/vm/create.h"
#include "nexcage/backends/vm/fields.h"
#include "nexcage/backends/vm/plan.h"
#include "nexcage/base/testpoint.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/caps.h"
#include "nexcage/sys/cgroup_stats.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/tap.h"
#include "nexcage/vm/host/control.h"

namespace nexcage::backends::vm {
namespace {

using std::chrono::milliseconds;

/// Longer than the helper gives its guest.
constexpr milliseconds kRequestTime(15'000);
constexpr milliseconds kStatusTime(5'000);

std::unexpected<Error> not_running() { return fail(Errc::InvalidState, "container not running"); }

json::Object request(const char* verb) {
  json::Object out;
  out.set("verb", verb);
  return out;
}

class VmBackend : public Backend {
 public:
  explicit VmBackend(Setup setup) : setup_(std::move(setup)) {}

  std::string_view name() const override { return "vm"; }
  RootForm root_form() const override { return RootForm::disks; }
  Result<> probe() const override;
  Features features() const override;
  Result<std::unique_ptr<Configured>> configure(const CreateJob& job) const override;
  Result<> start(const Record& record) const override;
  Result<oci::Status> status(const Record& record) const override;
  std::map<std::string, std::string> details(const Record& record) const override;
  Result<> kill(const Record& record, int signal, bool all) const override;
  Result<ExecStarted> exec(const Record& record, const oci::Spec& spec,
                           const ExecRequest& request) const override {
    return execute_in(record, spec, request, setup_);
  }
  Result<> pause(const Record& record) const override;
  Result<> resume(const Record& record) const override;
  Result<std::vector<pid_t>> processes(const Record& record) const override;
  Result<sys::CgroupLayout> cgroup_dirs(const Record& record) const override;
  Result<> announce_removal(UndoLog& undo, const Record& record) const override;
  Result<> remove(const Record& record) const override;

 private:
  Setup setup_;
  HostCgroups cgroups_;
};

Result<> VmBackend::probe() const {
  return probe_own("vm", setup_, {"vm", "init"}, "install nexcage with its libexec directory");
}

Features VmBackend::features() const {
  Features out;
  out.pause = out.exec = out.terminal = true;
  for (HookPoint point : {HookPoint::prestart, HookPoint::create_runtime,
                          HookPoint::start_container, HookPoint::poststart, HookPoint::poststop})
    out.hooks.emplace_back(hook_point_name(point));
  for (auto type : {oci::NamespaceType::cgroup, oci::NamespaceType::ipc, oci::NamespaceType::mount,
                    oci::NamespaceType::network, oci::NamespaceType::pid, oci::NamespaceType::uts})
    out.namespaces.emplace_back(oci::namespace_name(type));
  out.mount_options = {
      "async",      "atime",    "bind",       "defaults", "dev",         "diratime",    "dirsync",
      "exec",       "lazytime", "mand",       "noatime",  "nodev",       "nodiratime",  "noexec",
      "nolazytime", "nomand",   "norelatime", "nosuid",   "nosymfollow", "private",     "rbind",
      "relatime",   "remount",  "ro",         "rprivate", "rw",          "strictatime", "suid",
      "symfollow",  "sync",     "tmpcopyup"};
  for (int number = 0; number < sys::capability_count(); ++number)
    out.capabilities.emplace_back(sys::capability_name(number));
  out.seccomp_actions = seccomp_actions();
  out.seccomp_archs = seccomp_architectures();
  for (const Field& field : fields())
    if (field.applied == Applied::refused)
      out.unsupported_fields.emplace_back(field.pointer);
    else if (field.pointer.starts_with("vm."))
      out.vm_fields.emplace_back(field.pointer);
  return out;
}

Result<std::unique_ptr<Configured>> VmBackend::configure(const CreateJob& job) const {
  if (job.cgroup_manager == CgroupManager::systemd)
    return fail(Errc::Unsupported, "--systemd-cgroup: the vm backend makes its cgroups itself");
  if (job.cgroup_manager == CgroupManager::disabled)
    return fail(Errc::Unsupported, "--cgroup-manager disabled: containers always have a cgroup");
  if (job.restore) return fail(no_checkpoint(name()));
  NX_TRY(sys::CgroupLayout layout, sys::detect_cgroups());
  NX_TRY(MachinePlan plan, plan_machine(job, setup_, layout));
  return make_configured(job, setup_, std::move(layout), std::move(plan));
}

Result<> VmBackend::start(const Record& record) const {
  // Its hooks in the guest may take their time; the helper knows how long.
  NX_CHECK(host::ask(record.state_dir, request("start"), milliseconds(-1)));
  return {};
}

Result<oci::Status> VmBackend::status(const Record& record) const {
  if (record.init.pid == 0) return oci::Status::creating;
  NX_TRY(bool alive, sys::is_alive(record.init));
  if (!alive) return oci::Status::stopped;
  const auto answer = host::ask(record.state_dir, request("status"), kStatusTime);
  if (!answer) {
    // One that lives and does not answer, or is about to end, has a machine until it is gone.
    const Errc code = answer.error().code();
    if (code != Errc::InvalidState && code != Errc::Timeout) return fail(answer.error());
    return oci::Status::running;
  }
  const std::string word = answer->text("status");
  for (const oci::Status status : {oci::Status::created, oci::Status::running, oci::Status::paused,
                                   oci::Status::stopped, oci::Status::creating})
    if (word == oci::status_name(status)) return status;
  return fail(Errc::RuntimeError, "the machine's helper says a status that there is not");
}

/// How it is run, and of one that did not end by itself, why.
std::map<std::string, std::string> VmBackend::details(const Record& record) const {
  constexpr std::size_t kMostReason = 4096;
  std::map<std::string, std::string> out;
  for (const char* name : {"accelerator", "board"})
    if (const std::string word = record.backend_data.text(name); !word.empty())
      out[std::string("org.nexcage.vm.") + name] = word;
  const auto reason =
      sys::read_file(AT_FDCWD, record.state_dir + "/" + host::kReasonFile, kMostReason);
  if (reason) out["org.nexcage.vm.reason"] = trim(*reason);
  return out;
}

/// QEMU dies with it.
Result<> kill_helper(const Record& record) {
  NX_TRY(const auto pidfd, sys::open_process(record.init));
  if (pidfd) NX_CHECK(sys::send_signal(pidfd->get(), SIGKILL));
  return {};
}

Result<> VmBackend::kill(const Record& record, int signal, bool all) const {
  NX_TRY(bool alive, sys::is_alive(record.init));
  if (!alive) {
    if (all) return {};
    return not_running();
  }
  json::Object message = request("kill");
  message.set("signal", signal);
  message.set("all", all);
  const auto answer = host::ask(record.state_dir, std::move(message), kRequestTime);
  if (answer) return {};
  const Errc code = answer.error().code();
  if (signal != SIGKILL || (code != Errc::Timeout && code != Errc::InvalidState))
    return fail(answer.error());
  return kill_helper(record);
}

Result<> VmBackend::pause(const Record& record) const {
  NX_CHECK(host::ask(record.state_dir, request("pause"), kRequestTime));
  return {};
}

Result<> VmBackend::resume(const Record& record) const {
  NX_CHECK(host::ask(record.state_dir, request("resume"), kRequestTime));
  return {};
}

/// Those of the host: numbers of the guest's processes mean something else here.
Result<std::vector<pid_t>> VmBackend::processes(const Record& record) const {
  NX_TRY(const sys::Cgroup cgroup, cgroups_.at(record.backend_data.text("cgroup")));
  return cgroup.processes();
}

Result<sys::CgroupLayout> VmBackend::cgroup_dirs(const Record& record) const {
  NX_TRY(sys::CgroupLayout layout, sys::detect_cgroups());
  return sys::cgroup_dirs(layout, record.backend_data.text("cgroup"));
}

std::vector<sys::Redirection> redirections_of(const Record& record) {
  std::vector<sys::Redirection> out;
  const json::Value* list = record.backend_data.find("redirections");
  if (list == nullptr || list->if_array() == nullptr) return out;
  for (const json::Value& one : *list->if_array())
    if (auto redirection = sys::redirection_from(one.text()))
      out.push_back(*std::move(redirection));
  return out;
}

/// The cgroup after the redirections, to be undone before them: as long as something in it has the
/// tap devices open they stay.
Result<> VmBackend::announce_removal(UndoLog& undo, const Record& record) const {
  for (const sys::Redirection& redirection : redirections_of(record))
    NX_CHECK(undo.will_redirect(redirection));
  const std::string path = record.backend_data.text("cgroup");
  return path.empty() ? Result<>() : undo.will_create_cgroup(path);
}

Result<> VmBackend::remove(const Record& record) const {
  constexpr std::chrono::seconds kPatience(10);
  NX_TRY(auto pidfd, sys::open_process(record.init));
  if (pidfd) {
    NX_CHECK(sys::send_signal(pidfd->get(), SIGKILL));
    NX_CHECK(sys::wait_exit(pidfd->get(), kPatience));
  }
  NX_TRY(sys::CgroupLayout layout, sys::detect_cgroups());
  // Only alone: a container being created next to us may be about to use the common parent.
  auto lock = lock_cgroups(setup_.root, LOCK_EX | LOCK_NB);
  if (const std::string path = record.backend_data.text("cgroup"); !path.empty())
    NX_CHECK(sys::Cgroup(layout, path).destroy(kPatience, lock.has_value()),
             "remove cgroup " + path);
  testpoint("vm-machine-removed");
  for (const sys::Redirection& redirection : redirections_of(record))
    NX_CHECK(sys::end_redirection(redirection));
  NX_CHECK(sys::remove_tree(record.state_dir + "/shares"));
  NX_CHECK(sys::remove_file(AT_FDCWD, record.state_dir + "/" + host::kReasonFile));
  return sys::remove_file(AT_FDCWD, record.state_dir + "/" + host::kControlSocket);
}

}  // namespace

std::unique_ptr<Backend> make_backend(const Setup& setup) {
  return std::make_unique<VmBackend>(setup);
}

}  // namespace nexcage::backends::vm
