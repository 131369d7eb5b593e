// The payloads of frames as values. Encoded as the plan of sys/plan.h is; a payload that encode()
// cannot have made is refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/sys/plan.h"

namespace nexcage::vm::protocol {

inline constexpr std::uint32_t kMagic = 0x4d56584e;  // "NXVM"
/// Changes with every change of a message: an initramfs of another build is refused, not misread.
inline constexpr std::uint32_t kVersion = 4;

/// First word of both sides.
struct Hello {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersion;
  static void each(auto& self, auto&& field) {
    field("magic", self.magic);
    field("version", self.version);
  }
};

/// A file system that the guest mounts. Disks are named by the serial number that QEMU was told
/// (at most 20 bytes of [A-Za-z0-9_-]), not by an order that machines differ in.
struct Volume {
  std::string fstype;                // "erofs", "ext4", "virtiofs", "tmpfs"
  std::string source;                // serial of the disk, tag of a virtiofs device; tmpfs: empty
  std::uint32_t partition = 0;       // of the disk; 0: the whole disk
  std::vector<std::string> devices;  // serials of further disks (EROFS "device="), in their order
  std::vector<std::string> options;  // "key=value" or "flag", for the file system
  std::uint64_t attributes = 0;      // MOUNT_ATTR_*
  std::string path;                  // what of it is meant, in-root; empty: its root
  bool grow = false;                 // ext4, to the size of its disk when that is larger
  static void each(auto& self, auto&& field) {
    field("fstype", self.fstype);
    field("source", self.source);
    field("partition", self.partition);
    field("devices", self.devices);
    field("options", self.options);
    field("attributes", self.attributes);
    field("path", self.path);
    field("grow", self.grow);
  }
};

/// The container's root file system: the upper alone (a bundle's directory, a disk image); or an
/// overlay of the lowers, the topmost first, below the upper, in which the directories "upper" and
/// "work" are used (made when missing); or, without any upper, the lowers read-only.
struct Root {
  std::vector<Volume> lowers;
  std::vector<Volume> upper;  // none or one
  static void each(auto& self, auto&& field) {
    field("lowers", self.lowers);
    field("upper", self.upper);
  }
};

/// A file with this content that is only in the guest's memory: host files that are copied in.
inline constexpr std::size_t kMaxFile = 1u << 20;
struct File {
  std::string content;
  std::uint32_t mode = 0644, uid = 0, gid = 0;
  std::uint64_t attributes = 0;  // MOUNT_ATTR_*
  static void each(auto& self, auto&& field) {
    field("content", self.content);
    field("mode", self.mode);
    field("uid", self.uid);
    field("gid", self.gid);
    field("attributes", self.attributes);
  }
};

/// What a descriptor of the plan (EnterRootfs::fd, AttachMount::fd) stands for in the guest: number
/// N of the plan is number N of Prepare::sources.
using Source = std::variant<Root, Volume, File>;

/// A route; `destination` and `gateway` are 4 or 16 bytes in network order, an empty gateway: on
/// the link.
struct Route {
  std::uint8_t family = 0, prefix = 0;
  std::string destination, gateway;
  std::string source{}, metrics{};  // as in sys::LinkRoute
  std::uint32_t priority = 0;       // 0: the kernel's default
  bool on_link = false;             // RTNH_F_ONLINK
  static void each(auto& self, auto&& field) {
    field("family", self.family);
    field("prefix", self.prefix);
    field("destination", self.destination);
    field("gateway", self.gateway);
    field("source", self.source);
    field("metrics", self.metrics);
    field("priority", self.priority);
    field("on_link", self.on_link);
  }
};

/// A network device of the guest: found by its address, named, given addresses, set up. `lo` is set
/// up always.
struct Interface {
  std::string mac;        // 6 bytes
  std::string name;       // "eth0"
  std::uint32_t mtu = 0;  // 0: as it is
  std::vector<sys::plan::Address> addresses;
  std::vector<Route> routes;  // after the addresses of all interfaces
  bool dhcp = false;          // another address is asked for
  static void each(auto& self, auto&& field) {
    field("mac", self.mac);
    field("name", self.name);
    field("mtu", self.mtu);
    field("addresses", self.addresses);
    field("routes", self.routes);
    field("dhcp", self.dhcp);
  }
};

/// The container. Its plan: EnterRootfs first, Pivot with move_mount = false, at its end
/// CheckProgram and WaitForStart with kNoFd. It is applied in new mount, pid and control group
/// namespaces; the machine has the others to itself. RunHooks runs in the guest.
struct Prepare {
  std::vector<Source> sources;
  std::vector<Interface> interfaces;
  std::uint64_t pids_max = 0;  // 0: no limit
  std::int64_t seconds = 0;    // the host's clock (seconds since 1970); 0: the guest's own is kept
  std::string plan;            // sys::plan::encode
  static void each(auto& self, auto&& field) {
    field("sources", self.sources);
    field("interfaces", self.interfaces);
    field("pids_max", self.pids_max);
    field("seconds", self.seconds);
    field("plan", self.plan);
  }
};

/// A further process. Its plan begins with JoinNamespaces{fd = 0, root_fd = 1, flags = those to be
/// joined: CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWCGROUP}, both descriptors are the agent's, and
/// ends with CheckProgram. It starts at once.
struct Exec {
  std::string plan;
  static void each(auto& self, auto&& field) { field("plan", self.plan); }
};

struct Started {
  std::uint32_t pid = 0;  // in the container's pid namespace
  static void each(auto& self, auto&& field) { field("pid", self.pid); }
};

enum class Stream : std::uint8_t { in = 0, out = 1, err = 2 };
inline constexpr std::uint8_t kStreams = 3;

struct Credit {
  std::uint8_t stream = 0;
  std::uint32_t bytes = 0;
  static void each(auto& self, auto&& field) {
    field("stream", self.stream);
    field("bytes", self.bytes);
  }
};

struct Signal {
  std::uint32_t number = 0;
  bool all = false;  // every process of the container, not only the session's own
  static void each(auto& self, auto&& field) {
    field("number", self.number);
    field("all", self.all);
  }
};

struct WindowSize {
  std::uint16_t rows = 0, columns = 0;
  static void each(auto& self, auto&& field) {
    field("rows", self.rows);
    field("columns", self.columns);
  }
};

struct Exit {
  std::uint32_t code = 0;      // exit status, when signal is 0
  std::uint32_t signal = 0;    // that ended it
  bool out_of_memory = false;  // the guest's kernel has killed for want of memory meanwhile
  static void each(auto& self, auto&& field) {
    field("code", self.code);
    field("signal", self.signal);
    field("out_of_memory", self.out_of_memory);
  }
};

/// The record as a payload.
std::string encode(const Hello& message);
std::string encode(const Prepare& message);
std::string encode(const Exec& message);
std::string encode(const Started& message);
std::string encode(const Credit& message);
std::string encode(const Signal& message);
std::string encode(const WindowSize& message);
std::string encode(const Exit& message);

/// The payload as a record of type T (one of those above): RuntimeError for bytes that encode()
/// cannot have made, for values out of their range (signal numbers, streams, codes above 255), and
/// for a Hello of another version (RuntimeNotAvailable, naming both).
template <class T>
Result<T> decode(std::string_view payload);
template <>
Result<Hello> decode<Hello>(std::string_view payload);
template <>
Result<Prepare> decode<Prepare>(std::string_view payload);
template <>
Result<Exec> decode<Exec>(std::string_view payload);
template <>
Result<Started> decode<Started>(std::string_view payload);
template <>
Result<Credit> decode<Credit>(std::string_view payload);
template <>
Result<Signal> decode<Signal>(std::string_view payload);
template <>
Result<WindowSize> decode<WindowSize>(std::string_view payload);
template <>
Result<Exit> decode<Exit>(std::string_view payload);

}  // namespace nexcage::vm::protocol
