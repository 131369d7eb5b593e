// Phases 7 and 9: metadata before the container exists, pid file when it does.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "nexcage/base/clock.h"
#include "nexcage/base/testpoint.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/runtime/restart.h"
#include "nexcage/runtime/state_file.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

constexpr std::string_view kOciVersion = "1.0.2";  // of the state documents we write

/// A new one, or that of a container that has ended.
Result<> make_state_dir(Ready& ready) {
  if (ready.former) {
    NX_TRY(const std::string ended, sys::read_file(AT_FDCWD, ready.state_dir + "/state.json"));
    NX_CHECK(ready.undo.will_reuse_state(ready.state_dir, ended));
  } else {
    NX_CHECK(ready.undo.will_create_dir(ready.state_dir));
    if (mkdir(ready.state_dir.c_str(), 0700) != 0)
      return fail_errno("create state directory " + ready.state_dir);
  }
  return sys::write_file_atomic(ready.state_dir + "/config.json", ready.config_text, 0600,
                                sys::Durable::no);
}

json::Value info_json(const Registered& made) {
  json::Object info;
  info.set("container_id", made.record.state.id);
  info.set("image", made.image_name);
  info.set("created", made.record.created);
  info.set("backend", made.backend);
  info.set("bundle", made.bundle);
  info.set("rootfs", made.rootfs);
  if (made.verified) info.set("image_digest", made.verified->manifest_descriptor.digest.str());
  if (made.layers) {
    info.set("layerfs", layerfs::to_json(*made.layers));
  }
  if (made.volume.kind != storage::Kind::bundle) info.set("storage", storage::to_json(made.volume));
  if (!made.network_info.is_null()) info.set("network", made.network_info);
  return info;
}

/// {images}/containers/{id}/info.json. The directory of an OCI-form container is made too: the file
/// is part of the contract whatever the form.
Result<> write_info(Registered& made, const Settings& settings) {
  const std::string dir = Paths(settings).info_dir(made.record.state.id);
  if (!made.former) NX_CHECK(made.undo.will_create_dir(dir));
  NX_CHECK(sys::mkdirs(dir, 0755));
  return save_info(made, settings);
}

backends::Record first_record(const Ready& ready) {
  backends::Record record;
  record.state.oci_version =
      ready.spec.oci_version.empty() ? std::string(kOciVersion) : ready.spec.oci_version;
  record.state.id = ready.request->id;
  record.state.status = oci::Status::creating;
  record.state.bundle = ready.bundle;
  record.state.annotations = ready.spec.annotations;
  record.backend = ready.backend;
  record.rootfs = ready.rootfs;
  record.state_dir = ready.state_dir;
  record.created = ready.former ? ready.former->created : format_rfc3339(now());
  record.terminal = ready.spec.process && ready.spec.process->terminal;
  return record;
}

}  // namespace

Result<> save_info(const Registered& made, const Settings& settings) {
  const std::string file = Paths(settings).info_dir(made.record.state.id) + "/info.json";
  return sys::write_file_atomic(file, json::dump(info_json(made), json::Style::pretty) + "\n", 0644,
                                sys::Durable::no);
}

Result<Registered> write_metadata(Ready ready, Services& with) {
  NX_CHECK(make_state_dir(ready));
  backends::Record record = first_record(ready);
  Registered made{std::move(ready), std::move(record), {}};
  NX_CHECK(write_info(made, with.settings));
  NX_CHECK(save_record(made.record));
  return made;
}

Result<Container> publish(Made made) {
  const std::string& pid_file = made.request->pid_file;
  if (!pid_file.empty() && !made.handler->complete()) {
    NX_CHECK(made.undo.will_create_file(sys::clean_path(pid_file)));
    NX_CHECK(sys::write_file_atomic(pid_file, std::to_string(made.record.init.pid), 0644,
                                    sys::Durable::no),
             "pid file");
  }
  testpoint("phase-9");
  // From here on it is for the command that starts it to end it, should that one be killed.
  if (made.former) NX_CHECK(made.undo.hand_over(start_log(made.request->id), made.record.init));
  NX_CHECK(made.undo.commit());
  return Container{std::move(made.record), std::move(made.pty_master)};
}

}  // namespace nexcage::runtime
