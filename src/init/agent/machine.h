// The machine that the agent is the first process of: kernel file systems, modules, devices, power.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"

namespace nexcage::init::agent {

/// Kernel modules that the initramfs holds. /modules/list has a line for each that may be asked
/// for: its name, then the files of /modules to load, in this order.
class Modules {
 public:
  /// Reads the list; without one there are no modules.
  static Modules read();
  /// Loads a module with what it needs, once. A name that is not in the list is built into the
  /// kernel, or what needs it says so.
  Result<> need(std::string_view name);

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> files_;
  std::vector<std::string> loaded_;
};

/// Waits for the kernel to tell of devices, without polling.
class Uevents {
 public:
  static Result<Uevents> open();
  /// For poll(2) beside others: readable once something has happened, until it is cleared.
  int fd() const { return socket_.get(); }
  void clear();
  /// Until `ready()` is true, asked again at every event. Timeout naming `what`.
  template <class Ready>
  Result<> until(Ready ready, std::string_view what) {
    while (!ready()) NX_CHECK(wait(), std::string(what));
    return {};
  }

 private:
  explicit Uevents(UniqueFd socket) : socket_(std::move(socket)) {}
  Result<> wait();
  UniqueFd socket_;
};

struct Machine {
  Modules modules;
  Uevents uevents;
};

/// Mounts proc, sysfs and devtmpfs, and makes the initramfs a root that can be pivoted from.
Result<Machine> set_up_machine();
/// Mounts the control groups and makes the container's, below kCgroup.
Result<> make_container_group();
/// How often the kernel has killed a process of the container for want of memory; 0 where that
/// cannot be read.
std::uint64_t out_of_memory_kills();

/// Loads what virtio-serial ports need.
Result<> prepare_ports(Machine& machine);
/// Path of the device of the port with this name; empty: there is none yet.
std::string find_port(std::string_view name);
/// The virtio-serial port of this name, once the host listens at its other end.
Result<UniqueFd> open_port(Machine& machine, std::string_view name);

/// "/dev/vda": the disk whose virtio serial number is this.
Result<std::string> find_disk(Machine& machine, const std::string& serial);

/// Everything is written back and unmounted as far as it goes, then the power is cut.
[[noreturn]] void power_off();

/// Directory of the container's control group.
inline constexpr const char* kCgroup = "/sys/fs/cgroup/container";

}  // namespace nexcage::init::agent
