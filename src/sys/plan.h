// What the first process of a container has to do, as data: an ordered list of operations and the
// process to execute at the end. Computed and tested without root (backends/lxc), sent in one
// message, applied by src/init. Everything that needs a decision was decided before; descriptors
// travel beside the plan and are named by their index.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nexcage/base/error.h"

namespace nexcage::sys::plan {

// Each operation names its fields once, in each(); encoding, decoding and the description follow.
// Paths called `target` are absolute inside the container and resolved in-root on descriptors.

/// Joins a new, anonymous session keyring with this description (keyctl(2)).
struct NewKeyring {
  static constexpr std::string_view kName = "new_keyring";
  std::string description;
  static void each(auto& self, auto&& field) { field("description", self.description); }
};

/// A new time namespace with these offsets of its clocks, entered by the process itself
/// (time_namespaces(7)).
struct EnterTimeNamespace {
  static constexpr std::string_view kName = "time_namespace";
  std::int64_t monotonic_seconds = 0, boottime_seconds = 0;
  std::uint32_t monotonic_nanoseconds = 0, boottime_nanoseconds = 0;
  static void each(auto& self, auto&& field) {
    field("monotonic", self.monotonic_seconds);
    field("monotonic_ns", self.monotonic_nanoseconds);
    field("boottime", self.boottime_seconds);
    field("boottime_ns", self.boottime_nanoseconds);
  }
};

/// An address of a network device, as in sys/link.h.
struct Address {
  std::uint8_t family = 0, prefix = 0;
  std::string local, broadcast;
  static void each(auto& self, auto&& field) {
    field("family", self.family);
    field("prefix", self.prefix);
    field("local", self.local);
    field("broadcast", self.broadcast);
  }
};

/// Gives a network device that was moved here its addresses back and sets it up.
struct SetUpLink {
  static constexpr std::string_view kName = "set_up_link";
  std::string name;
  std::vector<Address> addresses;
  static void each(auto& self, auto&& field) {
    field("name", self.name);
    field("addresses", self.addresses);
  }
};

/// sethostname(2) in a UTS namespace joined by path; in a new one it is liblxc's work.
struct SetHostname {
  static constexpr std::string_view kName = "set_hostname";
  std::string name;
  static void each(auto& self, auto&& field) { field("name", self.name); }
};

/// setdomainname(2).
struct SetDomainname {
  static constexpr std::string_view kName = "set_domainname";
  std::string name;
  static void each(auto& self, auto&& field) { field("name", self.name); }
};

/// Attaches the root file system (descriptor `fd`, a detached mount) at `path` of the runtime's
/// tree as this mount namespace sees it. All later targets are resolved below it.
struct EnterRootfs {
  static constexpr std::string_view kName = "enter_rootfs";
  std::uint32_t fd = 0;
  std::string path;
  static void each(auto& self, auto&& field) {
    field("fd", self.fd);
    field("path", self.path);
  }
};

/// The target must not be a symbolic link put there by an image (missing is fine).
struct RefuseSymlink {
  static constexpr std::string_view kName = "refuse_symlink";
  std::string target;
  static void each(auto& self, auto&& field) { field("target", self.target); }
};

/// A new file system (fsopen) at a directory, which is made when missing.
struct MountFilesystem {
  static constexpr std::string_view kName = "mount";
  std::string target;
  std::string fstype;
  std::string source;
  std::vector<std::string> options;  // "key=value" or "flag", for the file system
  std::uint64_t attributes = 0;      // MOUNT_ATTR_*
  std::uint64_t propagation = 0;     // MS_*, 0: as it is
  bool copy_up = false;              // tmpcopyup: what the image has there is copied into it
  bool plain_target = false;         // no symbolic link on the way (proc and sysfs, CVE-2019-19921)
  static void each(auto& self, auto&& field) {
    field("target", self.target);
    field("type", self.fstype);
    field("source", self.source);
    field("options", self.options);
    field("attributes", self.attributes);
    field("propagation", self.propagation);
    field("copy_up", self.copy_up);
    field("plain_target", self.plain_target);
  }
};

/// Attaches descriptor `fd` (a detached mount: a bind prepared by the runtime) at the target, which
/// is made as a directory or an empty file, as the mount's root is one, when missing.
struct AttachMount {
  static constexpr std::string_view kName = "attach";
  std::uint32_t fd = 0;
  std::string target;
  static void each(auto& self, auto&& field) {
    field("fd", self.fd);
    field("target", self.target);
  }
};

/// mount_setattr on what is mounted at the target (OCI option "remount").
struct ChangeMount {
  static constexpr std::string_view kName = "change_mount";
  std::string target;
  std::uint64_t set = 0, clear = 0, propagation = 0;
  bool recursive = false;
  static void each(auto& self, auto&& field) {
    field("target", self.target);
    field("set", self.set);
    field("clear", self.clear);
    field("propagation", self.propagation);
    field("recursive", self.recursive);
  }
};

struct MakeDirectory {
  static constexpr std::string_view kName = "make_directory";
  std::string target;
  std::uint32_t mode = 0755;
  static void each(auto& self, auto&& field) {
    field("target", self.target);
    field("mode", self.mode);
  }
};

/// A symbolic link; one that exists under this name stays.
struct MakeSymlink {
  static constexpr std::string_view kName = "symlink";
  std::string target;
  std::string content;
  static void each(auto& self, auto&& field) {
    field("target", self.target);
    field("content", self.content);
  }
};

/// mknod(2) with exactly this mode and owner. The same device already there stays; any other file
/// of that name is replaced.
struct MakeDevice {
  static constexpr std::string_view kName = "device";
  std::string target;
  std::uint32_t mode = 0;  // with the type bits
  std::uint32_t major = 0, minor = 0, uid = 0, gid = 0;
  static void each(auto& self, auto&& field) {
    field("target", self.target);
    field("mode", self.mode);
    field("major", self.major);
    field("minor", self.minor);
    field("uid", self.uid);
    field("gid", self.gid);
  }
};

/// Opens a pseudo terminal in the container's own devpts, binds its slave to /dev/console (unless
/// `bind_console` is false) and sends the master to the runtime.
struct OpenTerminal {
  static constexpr std::string_view kName = "terminal";
  bool bind_console = false;
  std::uint32_t rows = 0, columns = 0;
  static void each(auto& self, auto&& field) {
    field("bind_console", self.bind_console);
    field("rows", self.rows);
    field("columns", self.columns);
  }
};

/// Tells the runtime that the mounts are there, and waits for its word: prestart and createRuntime
/// hooks run meanwhile.
struct WaitForRuntime {
  static constexpr std::string_view kName = "wait_for_runtime";
  static void each(auto&, auto&&) {}
};

struct Hook {
  std::string path;
  std::vector<std::string> args, env;
  std::uint32_t timeout = 0;  // seconds, 0: none
  static void each(auto& self, auto&& field) {
    field("path", self.path);
    field("args", self.args);
    field("env", self.env);
    field("timeout", self.timeout);
  }
};

/// Runs hooks here, one after the other, each with the OCI state on stdin. The state's pid is the
/// caller's own, put between the two texts.
struct RunHooks {
  static constexpr std::string_view kName = "hooks";
  std::string point;
  std::string state_before_pid, state_after_pid;
  std::vector<Hook> hooks;
  static void each(auto& self, auto&& field) {
    field("point", self.point);
    field("state", self.state_before_pid);
    field("state_end", self.state_after_pid);
    field("hooks", self.hooks);
  }
};

/// Makes the root file system "/" and drops the runtime's tree.
struct Pivot {
  static constexpr std::string_view kName = "pivot";
  bool move_mount = false;  // MS_MOVE and chroot, for a root on an initramfs
  static void each(auto& self, auto&& field) { field("move_mount", self.move_mount); }
};

/// A value below /proc/sys, through a procfs of our own.
struct SetSysctl {
  static constexpr std::string_view kName = "sysctl";
  std::string file;  // "net/ipv4/ip_forward"
  std::string value;
  static void each(auto& self, auto&& field) {
    field("file", self.file);
    field("value", self.value);
  }
};

/// Hides a path, if it is there: /dev/null over a file, an empty read-only tmpfs over a directory.
struct MaskPath {
  static constexpr std::string_view kName = "mask";
  std::string target;
  static void each(auto& self, auto&& field) { field("target", self.target); }
};

/// Makes what lies at a path read-only, mounts below included. Missing: nothing.
struct ReadonlyPath {
  static constexpr std::string_view kName = "readonly";
  std::string target;
  static void each(auto& self, auto&& field) { field("target", self.target); }
};

/// Attributes and propagation of the root mount, when all is there.
struct FinishRoot {
  static constexpr std::string_view kName = "finish_root";
  bool readonly = false;
  std::uint64_t propagation = 0;
  bool recursive = false;
  static void each(auto& self, auto&& field) {
    field("readonly", self.readonly);
    field("propagation", self.propagation);
    field("recursive", self.recursive);
  }
};

/// Enters the namespaces that `flags` (CLONE_NEW*) name, of the process behind descriptor `fd` (a
/// pidfd), and its root directory, descriptor `root_fd`: the root of a mount namespace is not that
/// of the container when its maker lived in a chroot or could not pivot. Then goes on in a new
/// child whose parent is ours: only so a pid namespace is entered.
struct JoinNamespaces {
  static constexpr std::string_view kName = "join";
  std::uint32_t fd = 0;
  std::uint32_t root_fd = 0;
  std::uint32_t flags = 0;
  static void each(auto& self, auto&& field) {
    field("fd", self.fd);
    field("root_fd", self.root_fd);
    field("flags", self.flags);
  }
};

/// chdir to the process's cwd, which must lie in the root; finds the program on its PATH.
struct CheckProgram {
  static constexpr std::string_view kName = "check_program";
  static void each(auto&, auto&&) {}
};

/// Says "ready" and waits: for a connection to the listening socket behind descriptor `fd`, made by
/// a process of user `peer_uid`; or, with fd == kNoFd, for the runtime's word.
inline constexpr std::uint32_t kNoFd = UINT32_MAX;
struct WaitForStart {
  static constexpr std::string_view kName = "wait_for_start";
  std::uint32_t fd = kNoFd;
  std::uint32_t peer_uid = 0;
  static void each(auto& self, auto&& field) {
    field("fd", self.fd);
    field("peer_uid", self.peer_uid);
  }
};

/// setrlimit(2) of this process; `resource` is RLIMIT_*.
struct SetRlimit {
  static constexpr std::string_view kName = "rlimit";
  std::uint32_t resource = 0;
  std::uint64_t soft = 0, hard = 0;
  static void each(auto& self, auto&& field) {
    field("resource", self.resource);
    field("soft", self.soft);
    field("hard", self.hard);
  }
};

using Operation =
    std::variant<NewKeyring, SetHostname, SetDomainname, EnterRootfs, RefuseSymlink,
                 MountFilesystem, AttachMount, ChangeMount, MakeDirectory, MakeSymlink, MakeDevice,
                 OpenTerminal, WaitForRuntime, RunHooks, Pivot, SetSysctl, MaskPath, ReadonlyPath,
                 FinishRoot, JoinNamespaces, CheckProgram, WaitForStart, EnterTimeNamespace,
                 SetUpLink, SetRlimit>;

/// sched_setattr(2); `policy` is SCHED_*.
struct Scheduler {
  bool set = false;
  std::uint32_t policy = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t flags = 0, runtime = 0, deadline = 0, period = 0;
  static void each(auto& self, auto&& field) {
    field("set", self.set);
    field("policy", self.policy);
    field("nice", self.nice);
    field("priority", self.priority);
    field("flags", self.flags);
    field("runtime", self.runtime);
    field("deadline", self.deadline);
    field("period", self.period);
  }
};

/// What is executed when the operations are done, and as whom.
struct Process {
  std::vector<std::string> args, env;
  std::string cwd;
  std::uint32_t uid = 0, gid = 0;
  std::vector<std::uint32_t> groups;
  bool set_groups = true;  // false where the user namespace denies setgroups
  std::uint32_t umask = 022;
  bool set_capabilities = true;  // false: whatever the user change leaves
  std::uint64_t bounding = 0, effective = 0, inheritable = 0, permitted = 0, ambient = 0;
  bool no_new_privileges = false;
  std::string seccomp;  // array of struct sock_filter; empty: none
  std::uint32_t seccomp_flags = 0;
  bool terminal = false;
  std::uint32_t preserve_fds = 0;          // 3 .. 3+N-1 stay open
  std::uint64_t personality = UINT64_MAX;  // UINT64_MAX: unchanged
  std::int32_t io_priority = -1;           // ioprio_set(2) value; -1: unchanged
  Scheduler scheduler;
  std::string label_file, label;  // "attr/exec", what is written there
  std::string memory_nodes;       // set_mempolicy(2): bit mask as bytes; empty: none
  std::uint32_t memory_policy = 0;
  static void each(auto& self, auto&& field) {
    field("args", self.args);
    field("env", self.env);
    field("cwd", self.cwd);
    field("uid", self.uid);
    field("gid", self.gid);
    field("groups", self.groups);
    field("set_groups", self.set_groups);
    field("umask", self.umask);
    field("set_capabilities", self.set_capabilities);
    field("bounding", self.bounding);
    field("effective", self.effective);
    field("inheritable", self.inheritable);
    field("permitted", self.permitted);
    field("ambient", self.ambient);
    field("no_new_privileges", self.no_new_privileges);
    field("seccomp", self.seccomp);
    field("seccomp_flags", self.seccomp_flags);
    field("terminal", self.terminal);
    field("preserve_fds", self.preserve_fds);
    field("personality", self.personality);
    field("io_priority", self.io_priority);
    field("scheduler", self.scheduler);
    field("label_file", self.label_file);
    field("label", self.label);
    field("memory_nodes", self.memory_nodes);
    field("memory_policy", self.memory_policy);
  }
};

struct Plan {
  std::vector<Operation> operations;
  Process process;
};

/// The plan as bytes; decode() gives the same value back.
std::string encode(const Plan& plan);
/// InvalidConfig for bytes that encode() cannot have made: cut off, too long, unknown operation.
Result<Plan> decode(std::string_view bytes);
/// One line per operation and per field of the process that is not at its default. For people.
std::string describe(const Plan& plan);

}  // namespace nexcage::sys::plan
