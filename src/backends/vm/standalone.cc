#include "nexcage/backends/vm/standalone.h"

#include <fcntl.h>

#include <ctime>
#include <utility>

#include "nexcage/backends/own.h"
#include "nexcage/backends/vm/fields.h"
#include "nexcage/backends/vm/plan.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::vm {
namespace {

namespace boot = nexcage::vm::boot;

constexpr std::uint32_t kStopSeconds = 24 * 3600;

/// The root file system: source 0 of the plan.
void plan_disk_root(MachinePlan& out) {
  protocol::Volume disk;
  disk.fstype = "ext4";
  disk.source = kRootSerial;
  disk.grow = true;
  protocol::Root root;
  root.upper.push_back(std::move(disk));
  out.prepare.sources.emplace_back(std::move(root));
  out.plan.operations.emplace_back(sys::plan::EnterRootfs{.fd = 0, .path = "/"});
}

std::unexpected<Error> refuse(const std::string& field, const std::string& why) {
  return fail(Errc::Unsupported, field + ": " + why);
}

/// What a machine of this host could have, and one elsewhere cannot.
Result<> check_elsewhere(const oci::Spec& spec, const MachinePlan& plan) {
  if (!plan.launch.shares.empty())
    return refuse("mounts", plan.launch.shares.front().source +
                                " is a directory of this host, and the machine runs elsewhere");
  if (spec.vm && spec.vm->image) return refuse("vm.image", "the root is made of the image");
  if (spec.vm && spec.vm->hypervisor)
    return refuse("vm.hypervisor", "the machine's host has its own");
  const oci::Resources* resources = resources_of(spec);
  if (resources != nullptr && resources->block_io)
    return refuse("linux.resources.blockIO", "it names devices of this host");
  return {};
}

}  // namespace

Result<boot::Kernel> machine_kernel(const oci::Spec& spec, const VmSetup& setup) {
  boot::Kernel kernel;
  if (!spec.vm && setup.kernel.empty()) return boot::find_kernel();
  // Boot loaders take what is given as it is: a bzImage.
  kernel.image = spec.vm ? spec.vm->kernel.path : setup.kernel;
  kernel.initrd = spec.vm ? spec.vm->kernel.initrd : setup.initrd;
  for (const std::string& path : {kernel.image, kernel.initrd}) {
    if (path.empty()) continue;
    NX_TRY(const bool there, sys::exists(AT_FDCWD, path));
    if (!there)
      return fail(Error(Errc::RuntimeNotAvailable, "kernel of the machine: " + path + " is missing")
                      .hint("`nexcage vm setup` prepares one."));
  }
  return kernel;
}

Result<protocol::Standalone> plan_standalone(const CreateJob& job,
                                             std::vector<protocol::Interface> interfaces,
                                             int stop_signal) {
  NX_CHECK(check_complete(job));
  NX_CHECK(check_fields(job.spec));
  MachinePlan out;
  plan_disk_root(out);
  NX_CHECK(plan_inside(job, out));
  NX_CHECK(check_elsewhere(job.spec, out));
  NX_CHECK(read_copies(out), "mounts");
  out.prepare.interfaces = std::move(interfaces);
  out.prepare.plan = sys::plan::encode(out.plan);
  protocol::Standalone record;
  record.prepare = std::move(out.prepare);
  oci::Process further = *job.spec.process;
  further.terminal = false;
  NX_TRY(record.exec.plan, plan_standalone_exec(job.spec, further));
  record.stop_signal = static_cast<std::uint32_t>(stop_signal);
  // Who asked for the end waits as long as he likes, and ends the machine then.
  record.stop_seconds = kStopSeconds;
  return record;
}

Result<std::string> plan_standalone_exec(const oci::Spec& spec, const oci::Process& process) {
  NX_CHECK(check_process(process));
  NX_TRY(const sys::plan::Plan plan, plan_exec(spec, process));
  return sys::plan::encode(plan);
}

}  // namespace nexcage::backends::vm
