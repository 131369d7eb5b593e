// What a backend answers that has no other answer of its own.
#include "nexcage/backends/backend.h"

#include "nexcage/sys/cgroup_stats.h"

namespace nexcage::backends {

Error no_checkpoint(std::string_view backend) {
  return Error(Errc::Unsupported,
               "checkpoint and restore: CRIU has to know how a container was made, and what the " +
                   std::string(backend) + " backend makes it does not know")
      .hint("run the container on runc");
}

std::map<std::string, std::string> Backend::details(const Record& /*record*/) const { return {}; }

Result<std::string> Backend::accounts(const Record& record) const { return record.rootfs; }

Result<> Backend::announce_removal(UndoLog& /*undo*/, const Record& /*record*/) const { return {}; }

Result<> Backend::update(const Record& /*record*/, const oci::Resources& /*resources*/) const {
  return fail(Errc::Unsupported,
              "backend " + std::string(name()) + " cannot change the limits of a container");
}

Result<json::Value> Backend::replace_image(const Record& /*record*/,
                                           const CreateJob& /*job*/) const {
  return fail(Errc::Unsupported,
              "backend " + std::string(name()) + " cannot give a container another image");
}

Result<json::Value> Backend::roll_back(const Record& /*record*/,
                                       const Remember& /*remember*/) const {
  return fail(Errc::Unsupported,
              "backend " + std::string(name()) + " keeps no earlier root file system");
}

Result<std::optional<json::Value>> Backend::recover(const Record& /*record*/) const {
  return std::nullopt;
}

Result<> Backend::stop(const Record& /*record*/, std::chrono::seconds /*time*/) const {
  return fail(Errc::Unsupported, "backend " + std::string(name()) + " keeps no guests");
}

Result<> Backend::purge(const Record& record) const { return remove(record); }

Result<> Backend::check_checkpoint() const { return fail(no_checkpoint(name())); }

Result<> Backend::checkpoint(const Record& /*record*/,
                             const std::vector<std::string>& /*options*/) const {
  return fail(no_checkpoint(name()));
}

Result<sys::CgroupLayout> Backend::cgroup_dirs(const Record& record) const {
  NX_TRY(const sys::CgroupLayout layout, sys::detect_cgroups());
  return sys::cgroup_dirs_of_process(layout, record.init.pid);
}

Result<sys::Command> Backend::command(const Record& /*record*/,
                                      std::vector<std::string> words) const {
  return fail(Errc::Unsupported,
              words.front() + " is not supported by the " + std::string(name()) + " backend");
}

Result<Foreign> Backend::foreign(const Record& /*record*/) const {
  return fail(Errc::Unsupported,
              "the " + std::string(name()) + " backend has no runtime beside itself");
}

Result<ExecCommand> Backend::exec_command(const Record& record,
                                          const ExecRequest& /*request*/) const {
  NX_TRY(sys::Command command, this->command(record, {"exec"}));
  return ExecCommand{std::move(command), {}, {}};
}

}  // namespace nexcage::backends
