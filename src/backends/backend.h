// The one interface between the creation flow and what runs a container. A backend is added by one
// folder and one line in registry.cc. What a backend cannot do answers Unsupported, naming itself
// and the field or verb.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/json/value.h"
#include "nexcage/oci/spec.h"
#include "nexcage/oci/state.h"
#include "nexcage/sys/cgroup.h"
#include "nexcage/sys/process.h"
#include "nexcage/sys/pty.h"
#include "nexcage/sys/tap.h"

namespace nexcage::backends {

/// The six hook points, named as in config.json.
enum class HookPoint : std::uint8_t {
  prestart,
  create_runtime,
  create_container,
  start_container,
  poststart,
  poststop,
};
std::string_view hook_point_name(HookPoint point);  // "createRuntime"

/// How runtime-namespace hooks are run: given by the runtime to the backend, which calls it when
/// the container's environment is in the right state. create_container and start_container are run
/// by the backend itself, inside the container's namespaces.
using RunHooks = std::function<Result<>(HookPoint point, const oci::State& state)>;

/// What a backend remembers of a container between commands. Kept by the runtime in state.json, as
/// one object under "backend_data"; only the backend that wrote it reads it.
struct Record {
  oci::State state;       // status is the last one written; status() below tells the truth
  sys::ProcessId init;    // pid 0: none
  std::string backend;    // "lxc"
  std::string rootfs;     // absolute path
  std::string state_dir;  // {root}/{id}, 0700
  std::string created;    // RFC 3339
  bool terminal = false;
  json::Value backend_data;
  /// What Backend::details() said last; not kept.
  std::map<std::string, std::string> details{};
};

/// A container in the state of another runtime. Undone by running `remove`, where `state_dir`, that
/// runtime's directory of the container, exists; what is left of the directory then goes too.
struct Foreign {
  std::string state_dir;            // absolute
  std::vector<std::string> remove;  // argv: "/usr/bin/crun", "--root", ..., "delete", "--force", ID
  bool operator==(const Foreign&) const = default;
};

/// A transient unit of systemd. Undone by running `stop`; then its cgroup goes where systemd left
/// it.
struct Unit {
  std::vector<std::string> stop;  // argv
  std::string cgroup;             // relative path
  bool operator==(const Unit&) const = default;
};

/// Undo of side effects, on disk before each act (runtime/undo.h implements it). A backend records
/// what it is about to make; everything recorded is undone, last first, if creation fails or is
/// killed.
class UndoLog {
 public:
  virtual ~UndoLog() = default;
  virtual Result<> will_mount(const std::string& path) = 0;
  virtual Result<> will_create_dir(const std::string& path) = 0;  // removed with its content
  virtual Result<> will_create_file(const std::string& path) = 0;
  virtual Result<> will_create_cgroup(const std::string& relative_path) = 0;
  virtual Result<> will_run_process(const sys::ProcessId& id) = 0;  // killed
  virtual Result<> will_create_foreign(const Foreign& container) = 0;
  virtual Result<> will_create_unit(const Unit& unit) = 0;
  /// Undone by sys::end_redirection().
  virtual Result<> will_redirect(const sys::Redirection& redirection) = 0;
};

/// How a backend takes the root file system of an image.
enum class RootForm : std::uint8_t {
  directory,  // mounted on the host
  disks,      // as file system images, for a kernel of its own
};

/// A root file system that is mounted nowhere. Descriptors are borrowed and live as long as the
/// flow.
struct RootDisks {
  /// A read-only EROFS image and the files its data is in, in the order of its device table.
  struct Image {
    int image = -1;
    std::vector<int> devices;
  };
  std::vector<Image> lowers;  // lowest first
  /// What the container writes: a file system of this type in a file or device, open for both; -1:
  /// nothing that outlives the container.
  int upper = -1;
  std::string upper_type;
  std::optional<std::uint64_t> tmpfs_size;  // without an upper: bytes, 0 for the kernel's default
  std::vector<std::string> directories;     // to be made when missing
};

enum class Pivot : std::uint8_t { pivot_root, move_mount };  // --no-pivot
enum class Keyring : std::uint8_t { fresh, inherited };      // --no-new-keyring
enum class CgroupManager : std::uint8_t { cgroupfs, systemd, disabled };

/// Writes this as a guest's backend_data, durably.
using Remember = std::function<Result<>(const json::Value& data)>;

/// The image of a guest: a container whose files the backend's own storage holds, not this machine.
struct GuestImage {
  std::string reference;               // as shown to people
  std::string digest;                  // of its manifest: "sha256:..."
  std::vector<std::string> volumes;    // directories that it declares
  std::vector<std::string> args, env;  // what it runs when nobody says otherwise
  std::string cwd, stop_signal;
  oci::User user;
  std::string os;  // ID of its os-release; empty: none
  /// A file that is put into the archive, over what the image has there.
  struct Extra {
    std::string path;              // clean, relative
    std::string file, text, link;  // the content of a file, or a text, or a symlink
    std::uint32_t mode = 0644;
  };
  struct Archive {
    std::string file;            // a tar, compressed with gzip; the caller's to remove
    std::string sha256;          // in hexadecimal digits
    std::uint64_t unpacked = 0;  // bytes of its files
  };
  /// The whole root file system as one archive.
  std::function<Result<Archive>(const std::vector<Extra>& extras)> make_archive;
  struct Disk {
    std::string file;         // a raw ext4 image; the caller's to remove
    std::uint64_t bytes = 0;  // of the file
  };
  /// The same as a disk.
  std::function<Result<Disk>()> make_disk;
  std::string work;  // directory for files on their way to the cluster; goes with the command
  bool no_network = false;  // asked for: the configuration's network is not its
  Remember remember;        // called before anything is made that this names
};

/// Everything phase 6 needs: all decided, all paths absolute. References live as long as the flow.
/// A network of the virtual machine's own, into which nothing but these ports of the host leads.
struct UserNetwork {
  struct Port {
    std::string address;  // of the host; empty: all
    std::uint16_t port = 0, inner = 0;
  };
  std::vector<Port> ports;
};

struct CreateJob {
  std::string id;
  const oci::Spec& spec;
  std::string bundle;
  std::string rootfs;     // mounted, a directory
  std::string state_dir;  // exists, 0700
  Pivot pivot = Pivot::pivot_root;
  Keyring keyring = Keyring::fresh;
  int preserve_fds = 0;                       // 3 .. 3+N-1 go to the container
  std::optional<std::string> console_socket;  // path, required with a terminal unless `keep_master`
  bool keep_master = false;                   // the caller relays the terminal itself (run -t)
  CgroupManager cgroup_manager = CgroupManager::cgroupfs;
  const GuestImage* image = nullptr;  // of a guest
  /// Not a new container but one from a checkpoint: the options of the runtime's verb `restore`.
  std::optional<std::vector<std::string>> restore;
  const RootDisks* disks = nullptr;  // with RootForm::disks, for an image: in place of `rootfs`
  /// With RootForm::disks; its ports are there when the environment is created.
  const UserNetwork* user_network = nullptr;
  // For complete runtimes only.
  std::string config_file;  // what the spec was read from; empty: {bundle}/config.json
  std::string pid_file;     // to be written by the backend; may be empty
};

struct Created {
  sys::ProcessId init;       // the container's own init, host pid
  json::Value backend_data;  // into the Record
  UniqueFd pty_master;       // with keep_master and a terminal
};

/// Phase 6's product: a configuration that was checked and can be shown, nothing touched yet.
class Configured {
 public:
  virtual ~Configured() = default;
  /// The configuration as text, for --debug and tests: LXC config lines, a command line ...
  virtual std::string describe() const = 0;
  /// Makes the environment, has prestart and createRuntime run, runs createContainer inside, and
  /// stops before the user process. On failure nothing the undo log does not know is left.
  virtual Result<Created> create(UndoLog& undo, const RunHooks& hooks) = 0;
};

struct ExecRequest {
  oci::Process process;
  std::string process_file;  // what `process` was read from; empty: from the command line
  std::optional<std::string> console_socket;
  bool keep_master = false;
  int preserve_fds = 0;
  bool detach = false;
  bool ignore_paused = false;
  std::vector<std::string> cgroups;  // --cgroup
  std::string pid_file;              // to be written by complete runtimes; may be empty
};

/// A process started in a running container: a child of the caller.
struct ExecStarted {
  sys::Child child;
  UniqueFd pty_master;
};

/// `exec` as a command line, with what has to be open until then: the file it reads the process
/// from and, if it is executed by descriptor, the program.
struct ExecCommand {
  sys::Command command;
  UniqueFd process, program;
};

struct Features {
  bool pause = false, exec = false, terminal = false, update = false, checkpoint = false;
  bool systemd_cgroup = false, systemd_user_cgroup = false;  // cgroups made by systemd's managers
  std::vector<std::string> hooks;
  std::vector<std::string> namespaces, mount_options, capabilities, seccomp_actions, seccomp_archs;
  std::vector<std::string> unsupported_fields;  // JSON pointers it refuses
  std::vector<std::string> vm_fields;           // of the spec's section `vm`, that it honours
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string_view name() const = 0;
  /// RuntimeNotAvailable with the package to install, when it cannot work here. Changes nothing.
  virtual Result<> probe() const = 0;
  virtual Features features() const = 0;
  virtual RootForm root_form() const { return RootForm::directory; }
  /// Phase 6. Unsupported or InvalidConfig naming the field.
  virtual Result<std::unique_ptr<Configured>> configure(const CreateJob& job) const = 0;
  /// Lets the created init go on to the user process. Returns when it has been executed, or with
  /// the reason why it was not (hook failed, exec failed).
  virtual Result<> start(const Record& record) const = 0;
  virtual Result<oci::Status> status(const Record& record) const = 0;
  /// What else is to be shown of the container, as annotations are. Nothing unless overridden.
  virtual std::map<std::string, std::string> details(const Record& record) const;
  virtual Result<> kill(const Record& record, int signal, bool all) const = 0;
  virtual Result<ExecStarted> exec(const Record& record, const oci::Spec& spec,
                                   const ExecRequest& request) const = 0;
  /// A directory with the container's account files (etc/passwd, etc/group), for names of users:
  /// its root file system, unless overridden. Unsupported where no process can be executed from
  /// here.
  virtual Result<std::string> accounts(const Record& record) const;
  virtual Result<> pause(const Record& record) const = 0;
  virtual Result<> resume(const Record& record) const = 0;
  virtual Result<std::vector<pid_t>> processes(const Record& record) const = 0;
  /// Changes limits; what `resources` does not name, or names as 0, stays as it is. When one limit
  /// is refused the others are as before where that is possible. Unsupported, InvalidConfig or
  /// FileError naming the field.
  virtual Result<> update(const Record& record, const oci::Resources& resources) const;
  /// The host's hierarchies with the container's own directories as mount points (see
  /// sys/cgroup_stats.h): where its statistics are read. Unless overridden, the cgroups that its
  /// init is in.
  virtual Result<sys::CgroupLayout> cgroup_dirs(const Record& record) const;
  /// Unsupported with the reason unless checkpoint and restore can be asked for.
  virtual Result<> check_checkpoint() const;
  /// Writes a running container to files, with CRIU; `options` are those of the runtime's verb.
  /// Unsupported with the reason unless overridden.
  virtual Result<> checkpoint(const Record& record, const std::vector<std::string>& options) const;
  /// Writes what remove() takes away into a log that finishes the removal if we are killed. Its
  /// processes and the cgroup that the spec names are there already. Nothing unless overridden.
  virtual Result<> announce_removal(UndoLog& undo, const Record& record) const;
  /// Removes everything of the container that this backend made, killing what still runs. Gone
  /// already is success.
  virtual Result<> remove(const Record& record) const = 0;

  /// True when its containers are guests: their files, network and life are kept elsewhere, and
  /// outlast this machine's reboot. CreateJob::image is set, and `rootfs` empty.
  virtual bool keeps_guests() const { return false; }
  /// The backend_data of a guest that was found in another place than the record says, by the last
  /// call about it; nullopt: it is where it was.
  virtual std::optional<json::Value> moved(const Record& /*record*/) const { return std::nullopt; }
  /// A guest gets another image: its root file system is replaced, everything else stays, and the
  /// old one is kept for roll_back(). The new backend_data. After an error it is as before.
  /// Unsupported unless keeps_guests().
  virtual Result<json::Value> replace_image(const Record& record, const CreateJob& job) const;
  /// The root file system before the last replace_image comes back. InvalidState: there is none.
  virtual Result<json::Value> roll_back(const Record& record, const Remember& remember) const;
  /// Takes back what a replace_image or roll_back that was killed, or could not take back itself,
  /// has left. The new backend_data; nullopt: nothing was left.
  virtual Result<std::optional<json::Value>> recover(const Record& record) const;
  /// Asks a guest to end and ends it when the time is over; returns when it has ended.
  virtual Result<> stop(const Record& record, std::chrono::seconds time) const;
  /// remove(), and what elsewhere in the cluster names the guest, such as its backup jobs.
  virtual Result<> purge(const Record& record) const;

  /// True for an OCI runtime of its own (crun, runc). It reads config.json itself, runs the hooks
  /// of all six points, keeps its own cgroups, and writes the pid file.
  virtual bool complete() const { return false; }
  /// A complete runtime that reads config.json in its bundle and nowhere else: a spec from another
  /// file becomes one of ours, with absolute paths.
  virtual bool reads_bundle_only() const { return false; }
  /// A verb of a complete runtime as a command line, for a caller that has nothing left to do than
  /// to become it: `words` are the verb and its options, the container's id is added. Unsupported
  /// by all others.
  virtual Result<sys::Command> command(const Record& record, std::vector<std::string> words) const;
  /// What the complete runtime has of the container. Unsupported by all others.
  virtual Result<Foreign> foreign(const Record& record) const;
  /// The same as command() for `exec`: the request's options in the words of that runtime.
  virtual Result<ExecCommand> exec_command(const Record& record, const ExecRequest& request) const;
};

/// What a complete runtime is told of our own command line.
struct Invocation {
  std::string log, log_format;  // of commands that we become; empty: standard error, text
  bool debug = false;
  std::string rootless;  // "true" or "false"; empty: not said
};

/// Unsupported, for backends without checkpoint and restore.
Error no_checkpoint(std::string_view backend);

/// What the configuration says of virtual machines.
struct VmSetup {
  std::string kernel, initrd;               // paths; empty: what `nexcage vm setup` has prepared
  std::string qemu = "qemu-system-x86_64";  // name on PATH, or path
  std::string accelerator = "auto";         // auto, kvm, tcg
  std::string board = "microvm";            // microvm if there is one, q35
  std::string memory = "512m";              // of a machine without a limit
  int boot_timeout = 120;                   // seconds
};

/// How a Proxmox VE cluster is reached and used. Secrets are named by their files.
struct ProxmoxSetup {
  std::string hosts;  // "host[:port]", separated by commas; empty: the node itself, if it is one
  std::string node;   // empty: the first one that is online
  std::string token_file, user, password_file, ca_file;
  std::string fingerprint;                // of certificates, separated by commas
  std::string storage, template_storage;  // empty: chosen from the cluster's list
  std::string pool;
  std::string network;                // net0 of a guest that says nothing else; empty: none
  int vmid_first = 0, vmid_last = 0;  // 0: the cluster chooses
  int generations = 1;                // old root file systems that are kept
  std::string work;                   // directory for archives on their way
};

struct Setup {
  std::string libexec;  // directory of our helpers
  std::string root;     // state root, for backends that keep their own state below it
  std::string cgroup_parent = "nexcage";  // of containers without cgroupsPath: {cgroup_parent}/{id}
  std::string crun = "crun", runc = "runc";  // names on PATH, or paths
  VmSetup vm;
  Invocation invocation;
  ProxmoxSetup proxmox{};
};
/// The backend of this name. ConfigError for an unknown name (with a suggestion).
Result<std::unique_ptr<Backend>> open(std::string_view name, const Setup& setup);
std::vector<std::string> backend_names();

}  // namespace nexcage::backends
