#include "nexcage/helpers/syscall_filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>

#include "nexcage/base/log.h"

namespace nexcage::helpers {

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t kArchitecture = 0;
#endif

/// Calls of the x32 interface have this bit; a filter that forgets them can be walked around.
constexpr std::uint32_t kX32 = 0x40000000;

constexpr std::uint32_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                      CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

constexpr long kForbidden[] = {
    // programs, and other processes
    SYS_execve, SYS_execveat, SYS_kcmp, SYS_process_madvise, SYS_process_vm_writev, SYS_pidfd_open,
    SYS_pidfd_getfd, SYS_pidfd_send_signal,
#ifndef __SANITIZE_ADDRESS__
    // The leak check at the end of a sanitizer build looks at itself through a child.
    SYS_ptrace, SYS_process_vm_readv,
#endif
    // namespaces and mounts
    SYS_unshare, SYS_setns, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_move_mount,
    SYS_open_tree, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr,
    // files by handle, past every rule on paths
    SYS_open_by_handle_at, SYS_name_to_handle_at,
    // users
    SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setgroups,
    SYS_setfsuid, SYS_setfsgid,
    // large pieces of the kernel that nothing here needs
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter,
    SYS_io_uring_register, SYS_fanotify_init, SYS_add_key, SYS_request_key, SYS_keyctl,
    SYS_personality, SYS_move_pages, SYS_migrate_pages, SYS_lookup_dcookie, SYS_vhangup,
    // the machine
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon,
    SYS_swapoff, SYS_settimeofday, SYS_clock_settime, SYS_clock_adjtime, SYS_adjtimex, SYS_acct,
    SYS_quotactl, SYS_sethostname, SYS_setdomainname, SYS_syslog, SYS_nfsservctl,
#ifdef __x86_64__
    SYS_fork, SYS_vfork, SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib, SYS_ustat, SYS_sysfs,
    SYS__sysctl,
#endif
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
    // serving others
    SYS_listen, SYS_accept, SYS_accept4};

constexpr std::array<std::uint32_t, 4> kClientFamilies = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

sock_filter statement(int code, std::uint32_t value) {
  return sock_filter BPF_STMT(static_cast<std::uint16_t>(code), value);
}
/// Goes on with the next statement when it holds, else passes over `skip` of them.
sock_filter unless(int test, std::uint32_t value, std::uint8_t skip) {
  return sock_filter BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), value, 0, skip);
}
sock_filter load(std::size_t offset) {
  return statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
sock_filter answer(std::uint32_t action) { return statement(BPF_RET | BPF_K, action); }

constexpr std::size_t kNumber = offsetof(seccomp_data, nr);
/// The low half of an argument, on a little-endian machine.
constexpr std::size_t argument(std::size_t index) {
  return offsetof(seccomp_data, args) + 8 * index;
}
constexpr std::uint32_t error(int number) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(number);
}

/// A call whose argument decides. `tests` end in an answer; what falls through is allowed.
void add_rule(std::vector<sock_filter>& out, long number, const std::vector<sock_filter>& tests) {
  out.push_back(unless(BPF_JEQ, static_cast<std::uint32_t>(number),
                       static_cast<std::uint8_t>(tests.size() + 1)));
  out.insert(out.end(), tests.begin(), tests.end());
  out.push_back(answer(SECCOMP_RET_ALLOW));
}

std::vector<sock_filter> clone_tests() {
  std::vector<sock_filter> tests = {load(argument(0)), unless(BPF_JSET, kNamespaces, 1),
                                    answer(error(EPERM))};
#ifndef __SANITIZE_ADDRESS__
  // Threads, no processes.
  const std::vector<sock_filter> threads = {unless(BPF_JSET, CLONE_THREAD, 1),
                                            answer(SECCOMP_RET_ALLOW), answer(error(EPERM))};
  tests.insert(tests.end(), threads.begin(), threads.end());
#endif
  return tests;
}

std::vector<sock_filter> socket_tests(Network network) {
  std::vector<sock_filter> tests = {load(argument(0))};
  if (network == Network::client)
    for (const std::uint32_t family : kClientFamilies) {
      tests.push_back(unless(BPF_JEQ, family, 1));
      tests.push_back(answer(SECCOMP_RET_ALLOW));
    }
  tests.push_back(answer(error(EACCES)));
  return tests;
}

}  // namespace

std::vector<sock_filter> syscall_filter(Network network) {
  if (kArchitecture == 0) return {};
  std::vector<sock_filter> out = {
      load(offsetof(seccomp_data, arch)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0),
      answer(SECCOMP_RET_KILL_PROCESS), load(kNumber)};
#ifdef __x86_64__
  out.push_back(unless(BPF_JSET, kX32, 1));
  out.push_back(answer(SECCOMP_RET_KILL_PROCESS));
#endif
  for (const long number : kForbidden) {
    out.push_back(unless(BPF_JEQ, static_cast<std::uint32_t>(number), 1));
    out.push_back(answer(error(EPERM)));
  }
  out.push_back(unless(BPF_JEQ, SYS_clone3, 1));
  out.push_back(answer(error(ENOSYS)));
  add_rule(out, SYS_ioctl, {load(argument(1)), unless(BPF_JEQ, TIOCSTI, 1), answer(error(EPERM))});
  add_rule(out, SYS_clone, clone_tests());
  add_rule(out, SYS_socket, socket_tests(network));
  out.push_back(answer(SECCOMP_RET_ALLOW));
  return out;
}

Result<> enter_syscall_filter(Network network) {
  std::vector<sock_filter> program = syscall_filter(network);
  if (program.empty()) {
    log::debug("no system call filter for this architecture");
    return {};
  }
  sock_fprog filter{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0) return {};
  if (errno != EINVAL && errno != ENOSYS) return fail_errno("enter the system call filter");
  log::debug("the kernel knows no system call filters");
  return {};
}

}  // namespace nexcage::helpers
