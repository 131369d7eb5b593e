#include "nexcage/init/agent/machine.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "nexcage/base/text.h"
#include "nexcage/sys/cgroup_stats.h"
#include "nexcage/sys/fs.h"

namespace nexcage::init::agent {
namespace {

constexpr const char* kModules = "/modules/";

Result<> mount_at(const char* type, const char* target, unsigned long flags) {
  if (::mkdir(target, 0755) < 0 && errno != EEXIST)
    return fail_errno("make " + std::string(target));
  if (::mount(type, target, type, flags, nullptr) < 0 && errno != EBUSY)
    return fail_errno("mount " + std::string(type));
  return {};
}

/// The initramfs cannot be left by pivot_root (its mount has no parent): a second mount of it can.
Result<> stack_root() {
  if (::mkdir("/root", 0700) < 0 && errno != EEXIST) return fail_errno("make /root");
  if (::mount("/", "/root", nullptr, MS_BIND, nullptr) < 0) return fail_errno("bind /");
  if (::chdir("/root") < 0) return fail_errno("enter the new /");
  if (::mount(".", "/", nullptr, MS_MOVE, nullptr) < 0) return fail_errno("move the new /");
  if (::chroot(".") < 0) return fail_errno("chroot");
  if (::chdir("/") < 0) return fail_errno("enter /");
  return {};
}

/// The text of a file of sysfs without its end of line; empty when there is none.
std::string attribute(const std::string& path) {
  auto text = sys::read_file(AT_FDCWD, path, 4096);
  return text ? std::string(trim(*text)) : std::string();
}

std::vector<std::string> entries(const char* directory) {
  auto fd = sys::open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  if (!fd) return {};
  return sys::list_dir(fd->get()).value_or(std::vector<std::string>());
}

/// The name of the entry of a directory of sysfs in which the file says so; empty: none yet.
std::string entry_with(const char* directory, const char* file, std::string_view value) {
  for (const std::string& entry : entries(directory))
    if (attribute(std::string(directory) + "/" + entry + "/" + file) == value) return entry;
  return {};
}

}  // namespace

Modules Modules::read() {
  Modules modules;
  // "list", and "list.NAME" of the archives behind the first.
  for (const std::string& file : entries(kModules)) {
    if (file != "list" && !file.starts_with("list.")) continue;
    const auto text = sys::read_file(AT_FDCWD, kModules + file);
    if (!text) continue;
    for (const std::string& line : split(*text, '\n')) {
      std::vector<std::string> words = split(line, ' ');
      if (words.size() < 2) continue;
      const std::string name = std::move(words.front());
      words.erase(words.begin());
      modules.files_[name] = std::move(words);
    }
  }
  return modules;
}

Result<> Modules::need(std::string_view name) {
  const auto found = files_.find(name);
  if (found == files_.end()) return {};
  for (const std::string& file : found->second) {
    if (std::ranges::find(loaded_, file) != loaded_.end()) continue;
    NX_TRY(UniqueFd module, sys::open_at(AT_FDCWD, kModules + file, O_RDONLY), "kernel module");
    if (::syscall(SYS_finit_module, module.get(), "", 0) < 0 && errno != EEXIST)
      return fail_errno("load kernel module " + file);
    loaded_.push_back(file);
  }
  return {};
}

Result<Uevents> Uevents::open() {
  UniqueFd socket(
      ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  if (!socket) return fail_errno("open a socket for device events");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1;  // the kernel's own
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
    return fail_errno("listen for device events");
  return Uevents(std::move(socket));
}

Result<> Uevents::wait() {
  constexpr int kTimeout = 20000;  // milliseconds: an emulated machine on a busy host
  pollfd events{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  const int ready = ::poll(&events, 1, kTimeout);
  if (ready == 0) return fail(Errc::Timeout, "no such device appeared");
  clear();
  return {};
}

void Uevents::clear() {
  std::array<char, 8192> text;
  // Whatever happened, the caller looks again; lost events (ENOBUFS) are events too.
  while (::recv(socket_.get(), text.data(), text.size(), 0) > 0) {
  }
}

Result<Machine> set_up_machine() {
  NX_CHECK(stack_root());
  NX_CHECK(mount_at("devtmpfs", "/dev", MS_NOSUID));
  NX_CHECK(mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC));
  NX_CHECK(mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC));
  NX_CHECK(mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV));
  NX_TRY(Uevents uevents, Uevents::open());
  return Machine{.modules = Modules::read(), .uevents = std::move(uevents)};
}

std::uint64_t out_of_memory_kills() {
  const auto events = sys::read_file(AT_FDCWD, std::string(kCgroup) + "/memory.events");
  if (!events) return 0;
  const auto counters = sys::parse_flat_keyed(*events);
  const auto found = counters.find("oom_kill");
  return found == counters.end() ? 0 : found->second;
}

Result<> prepare_ports(Machine& machine) {
  const bool has_pci = !entries("/sys/bus/pci/devices").empty();
  NX_CHECK(machine.modules.need(has_pci ? "virtio_pci" : "virtio_mmio"));
  return machine.modules.need("virtio_console");
}

std::string find_port(std::string_view name) {
  const std::string device = entry_with("/sys/class/virtio-ports", "name", name);
  return device.empty() ? device : "/dev/" + device;
}

Result<UniqueFd> open_port(Machine& machine, std::string_view name) {
  NX_CHECK(prepare_ports(machine));
  std::string device;
  NX_CHECK(machine.uevents.until([&] { return !(device = find_port(name)).empty(); },
                                 "wait for the port " + std::string(name)));
  return sys::open_at(AT_FDCWD, device, O_RDWR);
}

Result<std::string> find_disk(Machine& machine, const std::string& serial) {
  NX_CHECK(machine.modules.need("virtio_blk"));
  std::string device;
  NX_CHECK(machine.uevents.until(
      [&] { return !(device = entry_with("/sys/block", "serial", serial)).empty(); },
      "wait for the disk " + quote(serial)));
  return "/dev/" + device;
}

Result<> make_container_group() {
  NX_CHECK(mount_at("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC));
  NX_TRY(UniqueFd control,
         sys::open_at(AT_FDCWD, "/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY));
  // One by one: a kernel without one of them has the others.
  for (const std::string_view controller : {"+cpu", "+memory", "+pids", "+io"})
    (void)sys::write_all(control.get(), controller);
  if (::mkdir(kCgroup, 0755) < 0) return fail_errno("make the container's control group");
  return {};
}

void power_off() {
  // What cannot be unmounted was written back before.
  ::sync();
  (void)::umount2("/run/upper", MNT_DETACH);
  ::sync();
  (void)::reboot(RB_POWER_OFF);
  (void)::reboot(RB_AUTOBOOT);
  for (;;) ::pause();
}

}  // namespace nexcage::init::agent
