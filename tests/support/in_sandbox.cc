// Runs a command in a mount and a pid namespace of its own, with an empty tmpfs on /run, and is the
// reaper of that namespace: when the command ends, whatever it left running dies with it, and every
// mount it forgot goes. Without the privilege for that the command is run as it is, because the
// tests that need root say so themselves.
//
//   in_sandbox COMMAND [ARG...]     exit status: the command's, 128+n for signal n, 125 for our own
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kOwnFailure = 125;

[[noreturn]] void die(const char* what) {
  (void)std::fprintf(stderr, "in_sandbox: %s: %s\n", what, std::strerror(errno));
  _exit(kOwnFailure);
}

int exit_status(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// Waits for `child` and collects everybody else's zombies meanwhile.
int reap_until(pid_t child) {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, 0);
    if (pid == child) return exit_status(status);
    if (pid < 0 && errno != EINTR) die("wait");
  }
}

void private_mounts() {
  if (mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) die("make mounts private");
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    die("mount proc");
  }
  if (mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") != 0) die("mount /run");
}

[[noreturn]] void exec_command(char** argv) {
  execvp(argv[0], argv);
  die(argv[0]);
}

// First process of the pid namespace.
[[noreturn]] void be_init(char** argv) {
  private_mounts();
  // Tests may clean up more boldly when everything they see is theirs.
  if (setenv("NX_SANDBOX", "1", 1) != 0) die("setenv");
  const pid_t child = fork();
  if (child < 0) die("fork");
  if (child == 0) exec_command(argv);
  _exit(reap_until(child));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    (void)std::fputs("usage: in_sandbox COMMAND [ARG...]\n", stderr);
    return kOwnFailure;
  }
  if (unshare(CLONE_NEWNS | CLONE_NEWPID) != 0) {
    if (errno == EPERM) exec_command(argv + 1);
    die("unshare");
  }
  const pid_t init = fork();
  if (init < 0) die("fork");
  if (init == 0) {
    // A test runner that gives up kills us; the namespace must not outlive that.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) die("prctl");
    be_init(argv + 1);
  }
  return reap_until(init);
}
