// The machine itself, and the limits of the cgroup around it.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "nexcage/backends/vm/fields.h"
#include "nexcage/backends/vm/plan.h"
#include "nexcage/backends/vm/standalone.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"
#include "nexcage/vm/boot/kernel.h"
#include "nexcage/vm/qemu/clock.h"

namespace nexcage::backends::vm {
namespace {

constexpr unsigned kMostProcessors = 64;

/// "0-3,7": how many that is.
unsigned count_of(const std::string& list) {
  unsigned count = 0;
  for (const std::string& part : split(list, ',')) {
    const std::size_t dash = part.find('-');
    const auto first = parse_u64(trim(part.substr(0, dash)));
    const auto last = dash == std::string::npos ? first : parse_u64(trim(part.substr(dash + 1)));
    if (first && last && *last >= *first)
      count += static_cast<unsigned>(std::min<std::uint64_t>(*last - *first, kMostProcessors) + 1);
  }
  return count;
}

Result<unsigned> processors(const oci::Spec& spec) {
  const auto bounded = [](std::uint64_t count) {
    return static_cast<unsigned>(std::clamp<std::uint64_t>(count, 1, kMostProcessors));
  };
  if (spec.vm && spec.vm->hw_config && spec.vm->hw_config->vcpus) {
    const std::uint32_t wanted = *spec.vm->hw_config->vcpus;
    if (wanted == 0 || wanted > kMostProcessors)
      return fail(Errc::InvalidConfig,
                  "vm.hwConfig.vcpus: not 1 to " + std::to_string(kMostProcessors));
    return wanted;
  }
  const oci::Resources* resources = resources_of(spec);
  if (resources == nullptr || !resources->cpu) return 1;
  const oci::CpuLimits& cpu = *resources->cpu;
  if (!cpu.cpus.empty()) return bounded(count_of(cpu.cpus));
  if (cpu.quota.value_or(0) <= 0) return 1;
  constexpr std::uint64_t kDefaultPeriod = 100'000;
  const std::uint64_t period = std::max<std::uint64_t>(cpu.period.value_or(kDefaultPeriod), 1);
  return bounded((static_cast<std::uint64_t>(*cpu.quota) + period - 1) / period);
}

Result<std::uint64_t> memory(const oci::Spec& spec, const VmSetup& setup) {
  constexpr std::uint64_t kMebibyte = std::uint64_t{1} << 20;
  NX_TRY(std::uint64_t wanted, parse_bytes(setup.memory), "vm.memory");
  std::string field = "vm.memory";
  const oci::Resources* resources = resources_of(spec);
  const std::int64_t limit =
      resources != nullptr && resources->memory ? resources->memory->limit.value_or(0) : 0;
  if (spec.vm && spec.vm->hw_config && spec.vm->hw_config->memory) {
    wanted = *spec.vm->hw_config->memory;
    field = "vm.hwConfig.memory";
    // QEMU would be killed when the guest uses what it was promised.
    if (limit > 0 && wanted > static_cast<std::uint64_t>(limit))
      return fail(Errc::InvalidConfig, field + ": more than linux.resources.memory.limit");
  } else if (limit > 0) {
    wanted = static_cast<std::uint64_t>(limit);
    field = "linux.resources.memory.limit";
  }
  if (wanted < kLeastMemory)
    return fail(Errc::InvalidConfig,
                field + ": a virtual machine needs " + format_bytes(kLeastMemory) + " at least");
  return wanted / kMebibyte * kMebibyte;
}

}  // namespace

Result<MachineSize> machine_size(const oci::Spec& spec, const VmSetup& setup) {
  MachineSize size;
  NX_TRY(size.processors, processors(spec));
  NX_TRY(size.memory, memory(spec, setup));
  return size;
}

namespace {

Result<> plan_kernel(const oci::Spec& spec, const VmSetup& setup, MachinePlan& out) {
  qemu::Machine& machine = out.launch.machine;
  if (spec.vm) {
    machine.kernel = spec.vm->kernel.path;
    out.initrd = spec.vm->kernel.initrd;
    machine.parameters = spec.vm->kernel.parameters;
  } else if (!setup.kernel.empty()) {
    machine.kernel = setup.kernel;
    out.initrd = setup.initrd;
  } else {
    NX_TRY(nexcage::vm::boot::Kernel kernel, nexcage::vm::boot::find_kernel());
    machine.kernel = std::move(kernel.kernel);
    out.initrd = std::move(kernel.initrd);
  }
  for (const std::string& path : {machine.kernel, out.initrd}) {
    if (path.empty()) continue;
    NX_TRY(const bool there, sys::exists(AT_FDCWD, path));
    if (!there)
      return fail(Error(Errc::RuntimeNotAvailable, "kernel of the machine: " + path + " is missing")
                      .hint("`nexcage vm setup` prepares one."));
  }
  return {};
}

Result<std::string> find_qemu(const oci::Spec& spec, const VmSetup& setup) {
  if (spec.vm && spec.vm->hypervisor) return spec.vm->hypervisor->path;
  auto found = sys::find_program(setup.qemu);
  if (!found) return fail(std::move(found).error().hint("install the package qemu-system-x86"));
  return found;
}

/// What the spec says of the device that the disk is, or that its file lies on.
qemu::Throttle throttle_of(const oci::BlockIo& limits, int fd) {
  struct stat info{};
  qemu::Throttle out;
  if (::fstat(fd, &info) != 0) return out;
  const dev_t device = S_ISBLK(info.st_mode) ? info.st_rdev : info.st_dev;
  const auto rate = [&](const std::vector<oci::BlockThrottle>& list) -> std::uint64_t {
    for (const oci::BlockThrottle& one : list)
      if (makedev(static_cast<unsigned>(one.major), static_cast<unsigned>(one.minor)) == device)
        return one.rate;
    return 0;
  };
  out.read_bytes = rate(limits.read_bps);
  out.write_bytes = rate(limits.write_bps);
  out.read_operations = rate(limits.read_iops);
  out.write_operations = rate(limits.write_iops);
  return out;
}

}  // namespace

Result<> plan_hardware(const CreateJob& job, const Setup& setup, MachinePlan& out) {
  qemu::Machine& machine = out.launch.machine;
  const VmSetup& wanted = setup.vm;
  machine.name = job.id;
  if (wanted.board != "microvm" && wanted.board != "q35")
    return fail(Error(Errc::ConfigError, "vm.board: unknown value " + quote(wanted.board))
                    .hint("One of: microvm, q35"));
  machine.board = wanted.board == "q35" ? qemu::Board::q35 : qemu::Board::microvm;
  NX_TRY(const MachineSize size, machine_size(job.spec, wanted));
  machine.processors = size.processors;
  machine.memory = size.memory;
  NX_CHECK(plan_kernel(job.spec, wanted, out));
  NX_TRY(out.launch.qemu, find_qemu(job.spec, wanted));
  if (job.spec.vm && job.spec.vm->hypervisor)
    machine.arguments = job.spec.vm->hypervisor->parameters;
  out.launch.boot_seconds = wanted.boot_timeout;
  return {};
}

Result<> plan_limits(const CreateJob& job, const sys::CgroupLayout& layout, MachinePlan& out) {
  const oci::Resources* given = resources_of(job.spec);
  if (given == nullptr) return {};
  oci::Resources resources = *given;
  // Counted where the processes are.
  resources.pids_limit.reset();
  resources.devices.clear();
  if (resources.memory) {
    const auto widen = [](std::optional<std::int64_t>& limit) {
      if (limit.value_or(0) > 0) *limit += static_cast<std::int64_t>(kOverhead);
    };
    widen(resources.memory->limit);
    widen(resources.memory->swap);
  }
  NX_TRY(out.cgroup_limits, plan_cgroup_limits(resources, layout));
  return {};
}

void plan_throttles(const oci::Spec& spec, MachinePlan& out) {
  const oci::Resources* resources = resources_of(spec);
  if (resources == nullptr || !resources->block_io) return;
  for (std::size_t i = 0; i < out.disks.size(); ++i) {
    const DiskFile& file = out.disks[i];
    out.launch.machine.disks[i].throttle =
        throttle_of(*resources->block_io, file.owned ? file.owned.get() : file.fd);
  }
}

}  // namespace nexcage::backends::vm
