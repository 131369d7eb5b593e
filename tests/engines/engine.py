"""What the suites over container engines share: a private machine for the engine, and a picture of it.

Inside the sandbox (own mount and pid namespace) the engine gets a /var, /tmp, /dev/shm and /etc of its own and
a network namespace, so it runs with the paths and settings an administrator has, and nothing it does is seen
by the host but control groups, which carry the suite's token.
"""
import contextlib
import ctypes
import errno
import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import tempfile
import termios
import time
import unittest

import machine_kernel
import support

BACKEND = os.environ.get("NX_BACKEND", "lxc")
RUNTIME = f"nexcage-{BACKEND}"
# The same suite over the bare binary, to tell the engine's ways from ours: NX_BARE=1.
BINARY = shutil.which(BACKEND) if os.environ.get("NX_BARE") else os.path.join(support.BUILD, "bin", RUNTIME)
CLONE_NEWNET = 0x40000000


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def private_machine():
    """Moves this process and its children into a network namespace, and hides what engines write to."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run([support.BUSYBOX, "ip", "link", "set", "lo", "up"], check=True)
    # What other tests mount meanwhile must not appear here, nor must our copies hold it.
    for path in ("/var", "/dev/shm"):
        mount("-t", "tmpfs", "tmpfs", path)
    for path in ("lib", "tmp", "cache", "log"):
        os.mkdir(os.path.join("/var", path))
    os.symlink("/run", "/var/run")
    for path in ("/run/etc/upper", "/run/etc/work", "/run/work"):
        os.makedirs(path)
    mount("-t", "overlay", "-o", "lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work", "overlay", "/etc")
    for path in ("/etc/nexcage", "/etc/cni", "/etc/containers/containers.conf.d", "/etc/containers/networks"):
        shutil.rmtree(path, ignore_errors=True)
    os.environ["TMPDIR"] = tempfile.tempdir = "/run/work"
    for name in ("XDG_RUNTIME_DIR", "CONTAINERS_CONF", "CONTAINERD_ADDRESS", "NEXCAGE_CONFIG"):
        os.environ.pop(name, None)


# Seconds for a command of an engine: on a busy host an emulated machine takes its time.
PATIENCE = 300 if BACKEND == "vm" else 60


def configure_machines():
    """Engines hand their own environment to no runtime: the kernel is named where an administrator would."""
    os.makedirs("/etc/nexcage", exist_ok=True)
    with open("/etc/nexcage/config.toml", "w", encoding="utf-8") as file:
        file.write(machine_kernel.settings())


def runs_here():
    """Why the backend's own program cannot run here; None when it can."""
    if BACKEND not in ("lxc", "vm") and not shutil.which(BACKEND):
        return f"{BACKEND} is not installed"
    if not BINARY or not os.access(BINARY, os.X_OK):
        return f"{RUNTIME} is not built"
    return support.absent_backend(BINARY)


class Terminal:
    """A command with a terminal of its own, as a person has."""

    def __init__(self, argv, rows=24, columns=80):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.text = ""

    def type(self, text):
        os.write(self.master, text.encode())

    def read_until(self, word, seconds=20):
        deadline = time.monotonic() + seconds
        while word not in self.text:
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"no {word!r} on the terminal: {self.text!r}")
        return self.text

    def _read(self, seconds):
        if seconds <= 0 or not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""
        self.text += data.decode(errors="replace")
        return bool(data)

    def finish(self, seconds=20):
        """Everything that was printed, and the exit status."""
        deadline = time.monotonic() + seconds
        while self._read(deadline - time.monotonic()):
            pass
        try:
            return self.text, self.process.wait(max(0.1, deadline - time.monotonic()))
        finally:
            os.close(self.master)


def limit(pid, controller, v1, v2):
    """The value of a control file of the cgroup that a process is in, whichever hierarchy has it."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    for _, controllers, path in lines:
        if controller in controllers.split(","):
            return read(os.path.join(support.CGROUPS, controller, path.lstrip("/"), v1))
    return read(os.path.join(support.CGROUPS, lines[-1][2].lstrip("/"), v2))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def status_field(pid, name):
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    return None


@unittest.skipUnless(os.environ.get("NX_SANDBOX") == "1", "needs root: the engine gets a machine of its own")
class EngineCase(unittest.TestCase):
    """One machine and one world for all classes of a file; every test leaves them as it found them."""

    maxDiff = 4000
    world = None
    tools = ()  # programs without which the class is skipped
    kept = frozenset()  # paths that the engine makes for itself and keeps, whatever the runtime

    @classmethod
    def setUpClass(cls):
        missing = [tool for tool in cls.tools if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/lib/podman")]
        reason = f"not installed: {', '.join(missing)}" if missing else runs_here()
        if reason:
            raise unittest.SkipTest(reason)
        if EngineCase.world is None:
            private_machine()
            unittest.enterModuleContext(support.crun_can_run())
            EngineCase.world = support.World(BINARY)
            if BACKEND == "vm":
                configure_machines()
            unittest.addModuleCleanup(EngineCase.world.destroy)
            cls.prepare()

    @classmethod
    def prepare(cls):
        """Starts or configures the engine and gives it the image."""

    def command(self, *args, code=0, stdin="", timeout=PATIENCE):
        """Runs the engine's client; its exit status must be `code` unless that is None."""
        # In the scratch directory: conmon writes a file "oom" where it stands.
        answer = self.world.raw(self.argv(*args), stdin=stdin, timeout=timeout, cwd=self.world.dir)
        if code is not None:
            self.assertEqual(answer.code, code, str(answer))
        return answer

    def argv(self, *args):
        raise NotImplementedError

    def terminal(self, *args, **size):
        return Terminal(self.argv(*args), **size)

    def snapshot(self):
        """What a container could leave on this machine."""
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = {line.split()[4] for line in file}
        return {
            "mount": mounts, "process": {f"{pid} {name}" for pid, name in support.processes().items()},
            "cgroup": support.cgroups(self.world.token),
            "file": self.files(),
        }

    @staticmethod
    def files():
        return support.tree("/run/nexcage", "/var/lib/nexcage", "/run/lxc", "/var/lib/lxc", "/var/tmp", "/tmp/conmon")

    def setUp(self):
        # The group above the containers' is the engine's, whoever made it.
        self.left_by_engine = set(self.kept) | {os.path.join(support.CGROUPS, hierarchy, self.world.token)
                                                for hierarchy in ("", *os.listdir(support.CGROUPS))}
        self.addCleanup(self.assert_same_machine, self.snapshot())

    def assert_same_machine(self, before):
        more = {}

        def same():
            after = self.snapshot()
            more.clear()
            for what, old in before.items():
                gained = after[what] - old - self.left_by_engine
                if gained:
                    more[what] = sorted(gained)
            return not more

        with contextlib.suppress(AssertionError):
            support.wait_for(same, 8)
        self.assertEqual(more, {}, "left behind")
