// What the backends that make containers themselves, lxc and vm, have in common. Those over another
// program (oci_runtime/, proxmox/) leave these things to it.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "nexcage/backends/backend.h"
#include "nexcage/oci/spec.h"
#include "nexcage/sys/mount.h"
#include "nexcage/sys/plan.h"

namespace nexcage::backends {

/// Root, the programs of ours in `setup.libexec`, and a mounted cgroup hierarchy are there.
/// PermissionDenied or RuntimeNotAvailable with what is missing; `hint` says what to install.
Result<> probe_own(std::string_view backend, const Setup& setup,
                   std::initializer_list<std::string_view> programs, const std::string& hint);

/// The spec has the parts that a container needs, and its terminal somebody who takes it.
Result<> check_complete(const CreateJob& job);

/// Runs the hooks prestart and createRuntime for a container whose init is there (runtime-spec,
/// Lifecycle, steps 3 and 4).
Result<> run_runtime_hooks(const CreateJob& job, pid_t init, const RunHooks& hooks);

/// A mount with the option remount: the one that is there gets other attributes.
sys::plan::ChangeMount remount_of(const oci::Mount& mount, const sys::MountOptions& options);

/// Unsupported for the first field of the table that the spec uses and that is refused as a whole.
/// Field: pointer, note, used (lxc/fields.h, vm/fields.h).
template <class Field>
Result<> refuse_used(std::span<const Field> fields, const oci::Spec& spec,
                     std::string_view backend) {
  for (const Field& field : fields)
    if (field.used != nullptr && field.used(spec))
      return fail(Errc::Unsupported, std::string(field.pointer) + ": not supported by the " +
                                         std::string(backend) + " backend (" +
                                         std::string(field.note) + ")");
  return {};
}

}  // namespace nexcage::backends
