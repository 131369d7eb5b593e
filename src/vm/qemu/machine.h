// A virtual machine as a value, and as QEMU's command line. Pure: nothing is opened or started.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nexcage::vm::qemu {

enum class Accelerator : std::uint8_t { tcg, kvm };
std::string_view accelerator_name(Accelerator accelerator);  // "tcg", "kvm"

/// `microvm` has virtio-mmio devices and no firmware to speak of; `q35` has PCI.
enum class Board : std::uint8_t { microvm, q35 };
std::string_view board_name(Board board);  // "microvm", "q35"

/// Limits of one disk; 0: none.
struct Throttle {
  std::uint64_t read_bytes = 0, write_bytes = 0;            // a second
  std::uint64_t read_operations = 0, write_operations = 0;  // a second
  bool operator==(const Throttle&) const = default;
  bool any() const { return *this != Throttle{}; }
};

/// The guest finds a disk by its serial number.
struct Disk {
  int fd = -1;  // its number in QEMU; open for reading, or for both unless `read_only`
  std::string serial;
  bool qcow2 = false;  // else raw; never guessed from the content
  bool read_only = true;
  bool device = false;  // a block device, not a file
  Throttle throttle{};
};

/// A directory of the host behind a virtiofsd.
struct Share {
  int fd = -1;      // connection to virtiofsd, its number in QEMU
  std::string tag;  // that the guest mounts
};

/// A TCP port of QEMU's user-mode network: what connects to `outer` on the loopback interface of
/// QEMU's network namespace reaches `inner` in the guest.
struct PortForward {
  std::uint16_t outer = 0, inner = 0;
};

struct Nic {
  int tap = -1;  // a tap device's descriptor, its number in QEMU; -1: a user-mode network
  std::string mac;
  std::vector<PortForward> forwards{};  // of a user-mode network
};

/// The guest's address in a user-mode network.
inline constexpr std::string_view kUserAddress = "10.0.2.15";

struct Machine {
  std::string name;  // shown in the list of processes
  Accelerator accelerator = Accelerator::tcg;
  Board board = Board::microvm;
  std::uint64_t memory = 512u << 20;  // bytes
  unsigned processors = 1;
  std::string kernel;                   // path
  int initrd = -1;                      // a file in memory, its number in QEMU; -1: none
  std::vector<std::string> arguments;   // further words of the command line
  std::vector<std::string> parameters;  // of the kernel, after our own
  std::uint64_t tsc_khz = 0;  // emulated only: of the host's time stamp counter, 0: not known
  int monitor = -1;           // a connected stream socket for QMP, its number in QEMU
  int agent = -1;             // the same for the guest's agent
  std::vector<Disk> disks;
  std::vector<Share> shares;
  std::vector<Nic> nics;
};

/// Virtio devices that a board has places for: of the transports of a microvm (QEMU:
/// hw/i386/microvm.c) some are left free, and of q35's bus the board's own.
inline constexpr std::size_t kMaxDevices = 20, kMaxPciDevices = 28;

/// Words of the kernel's command line that every guest gets.
std::vector<std::string> kernel_parameters(const Machine& machine);

/// The command line, `program` first. Descriptors are named by the numbers given.
std::vector<std::string> plan_argv(const std::string& program, const Machine& machine);

}  // namespace nexcage::vm::qemu
