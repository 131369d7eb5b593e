#include "nexcage/vm/qemu/machine.h"

#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/json/value.h"

namespace nexcage::vm::qemu {
namespace {

using Words = std::vector<std::string>;

/// Without what says that copying byte by byte is fast: emulated it is slow, and kernels believe
/// it.
constexpr const char* kEmulatedProcessor = "max,-erms,-fsrm";

void add(Words& out, std::string option, std::string value) {
  out.push_back(std::move(option));
  out.push_back(std::move(value));
}

void add(Words& out, std::string option, json::Object value) {
  add(out, std::move(option), json::dump(json::Value(std::move(value))));
}

std::string number(std::uint64_t value) { return std::to_string(value); }

/// microvm as it boots a stock kernel without waiting: with these three the kernel finds the timer
/// that it calibrates against.
void add_board(Words& out, const Machine& machine) {
  const bool shared = !machine.shares.empty();
  std::string board(board_name(machine.board));
  if (machine.board == Board::microvm) board += ",pit=on,pic=on,rtc=on,isa-serial=on";
  if (shared) board += ",memory-backend=mem";
  add(out, "-machine", std::move(board));
  std::string accelerator(accelerator_name(machine.accelerator));
  // Else its translated code may grow to 1 GiB: no cgroup of a small machine has that.
  if (machine.accelerator == Accelerator::tcg) accelerator += ",tb-size=64";
  add(out, "-accel", std::move(accelerator));
  if (machine.accelerator == Accelerator::kvm) add(out, "-cpu", "host");
  if (machine.accelerator == Accelerator::tcg) add(out, "-cpu", kEmulatedProcessor);
  add(out, "-m", "size=" + number(machine.memory >> 20) + "M");
  add(out, "-smp", number(machine.processors));
  // virtiofsd maps the guest's memory.
  if (!shared) return;
  json::Object memory;
  memory.set("qom-type", "memory-backend-memfd");
  memory.set("id", "mem");
  memory.set("size", machine.memory);
  memory.set("share", true);
  add(out, "-object", std::move(memory));
}

/// "virtio-blk" -> the device's name on this board's bus.
std::string device(const Machine& machine, std::string_view name) {
  return std::string(name) + (machine.board == Board::microvm ? "-device" : "-pci");
}

void add_channels(Words& out, const Machine& machine) {
  add(out, "-chardev", "socket,id=monitor,fd=" + std::to_string(machine.monitor));
  add(out, "-mon", "chardev=monitor,mode=control");
  add(out, "-chardev", "socket,id=agent,fd=" + std::to_string(machine.agent));
  add(out, "-device", device(machine, "virtio-serial") + ",max_ports=2");
  add(out, "-device", "virtserialport,chardev=agent,name=nexcage.0");
}

json::Object limits_of(const Throttle& throttle) {
  json::Object limits;
  const auto set = [&](const char* name, std::uint64_t value) {
    if (value != 0) limits.set(name, value);
  };
  set("bps-read", throttle.read_bytes);
  set("bps-write", throttle.write_bytes);
  set("iops-read", throttle.read_operations);
  set("iops-write", throttle.write_operations);
  return limits;
}

void add_disk(Words& out, const Machine& machine, const Disk& disk, std::size_t index) {
  const std::string name = "disk" + number(index);
  const std::string set = number(index + 1);
  add(out, "-add-fd", "fd=" + std::to_string(disk.fd) + ",set=" + set);
  json::Object file;
  // A descriptor of a block device is one of a file to QEMU's driver `file` only if it is told.
  file.set("driver", disk.device ? "host_device" : "file");
  file.set("filename", "/dev/fdset/" + set);
  file.set("locking", "off");
  json::Object node;
  node.set("driver", disk.qcow2 ? "qcow2" : "raw");
  node.set("node-name", name);
  node.set("read-only", disk.read_only);
  node.set("file", json::Value(std::move(file)));
  add(out, "-blockdev", std::move(node));
  std::string drive = name;
  if (disk.throttle.any()) {
    json::Object group;
    group.set("qom-type", "throttle-group");
    group.set("id", "limit" + number(index));
    group.set("limits", json::Value(limits_of(disk.throttle)));
    add(out, "-object", std::move(group));
    drive = "slow" + number(index);
    json::Object filter;
    filter.set("driver", "throttle");
    filter.set("node-name", drive);
    filter.set("read-only", disk.read_only);
    filter.set("throttle-group", "limit" + number(index));
    filter.set("file", name);
    add(out, "-blockdev", std::move(filter));
  }
  add(out, "-device", device(machine, "virtio-blk") + ",drive=" + drive + ",serial=" + disk.serial);
}

void add_share(Words& out, const Machine& machine, const Share& share, std::size_t index) {
  const std::string name = "share" + number(index);
  add(out, "-chardev", "socket,id=" + name + ",fd=" + std::to_string(share.fd));
  add(out, "-device", device(machine, "vhost-user-fs") + ",chardev=" + name + ",tag=" + share.tag);
}

/// Restricted: the guest reaches nothing, not even QEMU's own namespace; it is reached.
std::string user_network(const Nic& nic, const std::string& name) {
  std::string out = "user,id=" + name + ",restrict=on,ipv6=off";
  for (const PortForward& one : nic.forwards)
    out += ",hostfwd=tcp:127.0.0.1:" + number(one.outer) + "-" + std::string(kUserAddress) + ":" +
           number(one.inner);
  return out;
}

void add_nic(Words& out, const Machine& machine, const Nic& nic, std::size_t index) {
  const std::string name = "net" + number(index);
  add(out, "-netdev",
      nic.tap >= 0 ? "tap,id=" + name + ",fd=" + std::to_string(nic.tap) : user_network(nic, name));
  // Without a boot ROM: nobody boots from this network.
  std::string text = device(machine, "virtio-net") + ",netdev=" + name + ",mac=" + nic.mac;
  if (machine.board == Board::q35) text += ",romfile=";
  add(out, "-device", std::move(text));
}

}  // namespace

std::string_view accelerator_name(Accelerator accelerator) {
  return accelerator == Accelerator::kvm ? "kvm" : "tcg";
}

std::string_view board_name(Board board) { return board == Board::microvm ? "microvm" : "q35"; }

std::vector<std::string> kernel_parameters(const Machine& machine) {
  // The tests of every cipher at each boot are a quarter of its time.
  Words out = {"console=ttyS0", "panic=-1", "quiet", "cryptomgr.notests"};
  if (machine.accelerator == Accelerator::tcg && machine.tsc_khz != 0) {
    // The kernel would measure its clock against an emulated timer, and sometimes wait forever.
    out.emplace_back("no_timer_check");
    out.push_back("tsc_early_khz=" + number(machine.tsc_khz));
    out.push_back("lpj=" + number(machine.tsc_khz * 2));
  }
  out.insert(out.end(), machine.parameters.begin(), machine.parameters.end());
  return out;
}

std::vector<std::string> plan_argv(const std::string& program, const Machine& machine) {
  Words out = {program,       "-name",           "nexcage-" + machine.name,
               "-nodefaults", "-no-user-config", "-nographic",
               "-no-reboot"};
  add(out, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
  add_board(out, machine);
  if (machine.board == Board::microvm) add(out, "-global", "virtio-mmio.force-legacy=false");
  add(out, "-kernel", machine.kernel);
  if (machine.initrd >= 0) add(out, "-initrd", "/proc/self/fd/" + std::to_string(machine.initrd));
  add(out, "-append", join(kernel_parameters(machine), " "));
  // Its output is QEMU's own: the one who started it keeps the end of it.
  add(out, "-chardev", "stdio,id=console,signal=off");
  add(out, "-serial", "chardev:console");
  add_channels(out, machine);
  std::size_t index = 0;
  for (const Disk& disk : machine.disks) add_disk(out, machine, disk, index++);
  index = 0;
  for (const Share& share : machine.shares) add_share(out, machine, share, index++);
  index = 0;
  for (const Nic& nic : machine.nics) add_nic(out, machine, nic, index++);
  out.insert(out.end(), machine.arguments.begin(), machine.arguments.end());
  return out;
}

}  // namespace nexcage::vm::qemu
