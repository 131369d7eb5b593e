"""A scratch world for black-box tests: directories, images, bundles, the built binary, and a picture of
the host before and after. Python's standard library only.

Tests run in a mount and pid namespace of their own (tests/support/in_sandbox.cc): every process and
every mount they see is theirs. Control groups are the host's, so those are recognised by name.
"""
import contextlib
import fcntl
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import signal
import stat
import string
import struct
import subprocess
import tarfile
import tempfile
import time
import unittest

SOURCE = os.environ.get("NX_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("NX_BUILD", os.path.join(SOURCE, "build/dev"))
NEXCAGE = os.path.join(BUILD, "bin/nexcage")
CGROUPS = "/sys/fs/cgroup"
LAYER = "application/vnd.oci.image.layer.v1.tar"
BUSYBOX = "/bin/busybox"


# --- images ----------------------------------------------------------------------------------------


class Tar:
    """A layer being written, entry by entry: good ones and bad ones."""

    def __init__(self):
        self._bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self._bytes, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, kind=tarfile.REGTYPE, data=b"", mode=None, **fields):
        info = tarfile.TarInfo(name)
        info.type = kind
        info.mode = mode if mode is not None else (0o755 if kind == tarfile.DIRTYPE else 0o644)
        info.mtime = 1700000000
        if kind == tarfile.REGTYPE:
            info.size = len(data)
        for key, value in fields.items():
            setattr(info, key, value)
        self.tar.addfile(info, io.BytesIO(data) if kind == tarfile.REGTYPE else None)
        return self

    def dir(self, name, **fields):
        return self.add(name, tarfile.DIRTYPE, **fields)

    def symlink(self, name, target, **fields):
        return self.add(name, tarfile.SYMTYPE, linkname=target, mode=0o777, **fields)

    def hardlink(self, name, target, **fields):
        return self.add(name, tarfile.LNKTYPE, linkname=target, **fields)

    def finish(self):
        self.tar.close()
        return self._bytes.getvalue()


_busybox = None


def busybox_layer():
    """A root file system of busybox and its applets, as one tar."""
    global _busybox
    if _busybox is None:
        tar = Tar()
        for name in ("bin", "etc", "root", "tmp", "home"):
            tar.dir(name, mode=0o1777 if name == "tmp" else 0o755)
        with open(BUSYBOX, "rb") as file:
            tar.add("bin/busybox", data=file.read(), mode=0o755)
        for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                tar.symlink(f"bin/{applet}", "busybox")
        tar.add("etc/passwd", data=b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n")
        tar.add("etc/group", data=b"root:x:0:\nuser:x:1000:\nextra:x:2000:user\n")
        _busybox = tar.finish()
    return _busybox


class Layout:
    """An OCI image layout on disk that a test can also spoil."""

    def __init__(self, path):
        self.path = path
        self.index = []
        os.makedirs(os.path.join(path, "blobs/sha256"))
        self._write("oci-layout", {"imageLayoutVersion": "1.0.0"})

    def _write(self, name, document):
        with open(os.path.join(self.path, name), "w", encoding="utf-8") as file:
            json.dump(document, file)

    def blob_path(self, digest):
        return os.path.join(self.path, "blobs/sha256", digest.split(":")[1])

    def blob(self, data, media_type):
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with open(self.blob_path(digest), "wb") as file:
            file.write(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def add(self, tag, layers, config=None, compress=True, diff_ids=None):
        """Writes an image of uncompressed tars; returns (manifest, transport name)."""
        blobs = [self.blob(gzip.compress(l, 1, mtime=0), LAYER + "+gzip") if compress else self.blob(l, LAYER)
                 for l in layers]
        document = {
            "architecture": "amd64", "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], **(config or {})},
            "rootfs": {"type": "layers",
                       "diff_ids": diff_ids or ["sha256:" + hashlib.sha256(l).hexdigest() for l in layers]},
        }
        manifest = {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.blob(document, "application/vnd.oci.image.config.v1+json"), "layers": blobs,
        }
        entry = self.blob(manifest, manifest["mediaType"])
        entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
        self.index.append(entry)
        self._write("index.json", {"schemaVersion": 2, "manifests": self.index})
        return manifest, f"oci:{self.path}:{tag}"


def absent_backend(binary):
    """What a program whose name fixes the backend says when that is not compiled in; None when it is."""
    said = subprocess.run([binary, "features"], capture_output=True, text=True, check=False).stderr.strip()
    return said if "is not in this build" in said else None


@contextlib.contextmanager
def crun_can_run():
    """Lets crun 1.8 run as root on a hybrid host, which it refuses while the v2 hierarchy has controllers.

    Gives hugetlb to v1 for the time of the block, in the caller's mount namespace. Several may be inside at
    once: each has a mount of its own over the one hierarchy. The directory below them is removed by the last,
    known by the lock, because that would take the others' mounts along.
    """
    path = os.path.join(CGROUPS, "hugetlb")
    if os.geteuid() != 0 or not os.path.isdir(os.path.join(CGROUPS, "unified")) or os.path.ismount(path):
        yield
        return
    lock = os.open(CGROUPS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        os.makedirs(path, exist_ok=True)
        mounted = subprocess.run(["mount", "-t", "cgroup", "-o", "hugetlb", "cgroup", path], capture_output=True,
                                 check=False).returncode == 0
        try:
            yield
        finally:
            if mounted:
                subprocess.run(["umount", "-l", path], capture_output=True, check=False)
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.rmdir(path)
    finally:
        os.close(lock)


# --- the host before and after ---------------------------------------------------------------------


def processes():
    """Living processes of our pid namespace, without ourselves: a zombie waits for its reaper only."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                text = file.read()
            name, state = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2]
            if int(pid) not in (1, os.getpid()) and state != "Z":
                found[int(pid)] = name
    return found


def arguments(pid):
    """The command line of a process; empty when it is gone."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().decode(errors="replace").split("\0")[:-1]
    return []


def cgroups(token):
    """Control groups of every hierarchy that carry our token."""
    found = set()
    for directory, names, _ in os.walk(CGROUPS):
        for name in names:
            path = os.path.join(directory, name)
            if token in path:
                found.add(path)
    return found


def tree(*roots):
    """Every path below the roots with its type."""
    found = set()
    for root in roots:
        for directory, dirs, files in os.walk(root):
            found.update(os.path.join(directory, n) + "/" for n in dirs)
            found.update(os.path.join(directory, n) for n in files)
    return found


FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL = 0x80086601, 0x40086602, 0x10  # ioctl_iflags(2)


def is_immutable(path):
    """The file has the immutable flag; None where its file system has no such flags."""
    with open(path, "rb") as file:
        try:
            return bool(struct.unpack("i", fcntl.ioctl(file, FS_IOC_GETFLAGS, b"\0" * 4))[0] & FS_IMMUTABLE_FL)
        except OSError:
            return None


def allow_changes(path):
    """Takes the immutable flag off a file."""
    with open(path, "rb") as file, contextlib.suppress(OSError):
        flags = struct.unpack("i", fcntl.ioctl(file, FS_IOC_GETFLAGS, b"\0" * 4))[0]
        if flags & FS_IMMUTABLE_FL:
            fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("i", flags & ~FS_IMMUTABLE_FL))


def remove_tree(path, ignore_errors=True):
    """Removes a directory in which layers may lie: prepared files are immutable."""
    for directory, _, names in os.walk(path):
        for name in {"tar", "index"} & set(names):
            file = os.path.join(directory, name)
            if os.path.isfile(file) and not os.path.islink(file):
                allow_changes(file)
    shutil.rmtree(path, ignore_errors=ignore_errors)


def wait_for(check, seconds=10, what="condition"):
    """Polls until check() is true; returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


def stopped(pid):
    """No such process, or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def halted_nexcage():
    """Pid of a nexcage that has stopped itself at a test point; None while there is none."""
    for pid in processes():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            if file.read().rpartition(")")[2].split()[0] == "T" and any("nexcage" in a for a in arguments(pid)[:1]):
                return pid
    return None


# --- the world -------------------------------------------------------------------------------------


class Answer:
    """What a command said."""

    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def __str__(self):
        return f"{' '.join(self.argv)}\nexit status {self.code}\nstdout: {self.out}\nstderr: {self.err}"

    def json(self):
        return json.loads(self.out)


class World:
    """Directories, configuration file and binary of one test class."""

    def __init__(self, binary=NEXCAGE):
        self.binary = binary
        self.token = "nxt" + "".join(random.choices(string.ascii_lowercase + string.digits, k=8))
        self.dir = tempfile.mkdtemp(prefix=f"nexcage-{self.token}.")
        os.chmod(self.dir, 0o755)
        self.config = os.path.join(self.dir, "config.toml")
        self.log = os.path.join(self.dir, "log.json")
        self._count = 0
        self.write_config()
        # What the machine's own files say of registries must not decide a test.
        self.registries_conf = self.path("registries.conf")  # None: nexcage looks for it itself
        with open(self.registries_conf, "w", encoding="utf-8") as file:
            file.write("unqualified-search-registries = []\n")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write_config(self, containers=None, images=None, layers=None, extra="", network='default = "none"'):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f'''[runtime]
root = "{self.path("run")}"
cgroup_parent = "{self.token}"
[storage]
images = "{images or self.path("images")}"
containers = "{containers or self.path("containers")}"
layers = "{layers or self.path("layers")}"
[network]
{network}
{extra}''')

    def new_id(self):
        self._count += 1
        return f"{self.token}-{self._count}"

    def argv(self, *args):
        return [self.binary, "--config", self.config, *map(str, args)]

    def run(self, *args, env=None, stdin="", timeout=60, **kwargs):
        """Runs nexcage and returns its Answer."""
        return self.raw(self.argv(*args), env=env, stdin=stdin, timeout=timeout, **kwargs)

    def environment(self, more=None):
        named = {"CONTAINERS_REGISTRIES_CONF": self.registries_conf} if self.registries_conf else {}
        return {**named, **os.environ, **(more or {})}

    def raw(self, argv, env=None, stdin="", timeout=60, **kwargs):
        # Files, not pipes: a container that outlives the command would keep a pipe open.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as given:
            given.write(stdin if isinstance(stdin, bytes) else stdin.encode())
            given.seek(0)
            done = subprocess.run(argv, env=self.environment(env), stdin=given, stdout=out, stderr=err,
                                  timeout=timeout, check=False, **kwargs)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
        return Answer(argv, done.returncode, *texts)

    def logged(self, *args, **kwargs):
        """Runs nexcage with a JSON log; returns the answer and the log's records."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.log)
        answer = self.raw([self.binary, "--config", self.config, "--log", self.log, "--log-format", "json",
                           *map(str, args)], **kwargs)
        records = []
        if os.path.exists(self.log):
            with open(self.log, encoding="utf-8") as file:
                records = [json.loads(line) for line in file if line.strip()]
        return answer, records

    def popen(self, *args, env=None, **kwargs):
        return subprocess.Popen(self.argv(*args), env=self.environment(env), **kwargs)

    def reboot(self, container):
        """What a restart of the machine leaves of a container that does not run."""
        owner = self.path("containers", container, "owner")
        with open(owner, encoding="utf-8") as file:
            root, _ = file.read().splitlines()
        with open(owner, "w", encoding="utf-8") as file:
            file.write(f"{root}\n00000000-0000-0000-0000-000000000000\n")
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = [line.split()[4] for line in file]
        for mount in mounts[::-1]:
            if mount.startswith(self.path("containers")):
                subprocess.run(["umount", mount], check=True)
        shutil.rmtree(self.path("run"))

    def layout(self):
        self._count += 1
        return Layout(self.path(f"layout{self._count}"))

    def import_image(self, layers=None, name=None, config=None, **kwargs):
        """Imports an image of busybox plus the given layers; returns its name."""
        name = name or f"test{self._count}"
        _, transport = self.layout().add("x", [busybox_layer(), *(layers or [])], config, **kwargs)
        answer = self.run("image", "import", transport, "--name", name)
        if answer.code != 0:
            raise AssertionError(str(answer))
        return name

    def snapshot(self):
        """What a container could leave on this host."""
        return {
            "mounts": sorted(line.split(" - ")[0].split()[4] for line in open("/proc/self/mountinfo", encoding="utf-8")),
            "cgroups": cgroups(self.token),
            "processes": processes(),
            "files": tree(self.path("run"), self.path("containers"), self.path("images"), self.path("layers"),
                          "/run", "/var/lib/lxc", "/var/lib/nexcage"),
            "sockets": {line.split()[-1] for line in open("/proc/net/unix", encoding="utf-8", errors="replace")
                        if self.token in line},
        }

    def bundle(self, args, **changes):
        """A bundle directory with a busybox root and a config.json that runc would take, too.

        changes: process=, linux=, hooks=, mounts= (appended), annotations=, root=, ociVersion=
        """
        self._count += 1
        path = self.path(f"bundle{self._count}")
        os.makedirs(path)
        with tarfile.open(fileobj=io.BytesIO(busybox_layer())) as tar:
            tar.extractall(os.path.join(path, "rootfs"))
        for name in ("proc", "sys", "dev"):
            os.mkdir(os.path.join(path, "rootfs", name))
        spec = spec_of(args)
        for key, value in changes.items():
            if key == "mounts":
                spec["mounts"] += value
            elif isinstance(value, dict) and isinstance(spec.get(key), dict):
                spec[key].update(value)
            else:
                spec[key] = value
        with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as file:
            json.dump(spec, file)
        return path

    def destroy(self):
        """Removes everything by force, whatever state a failed test left it in."""
        for pid in processes():
            # Only processes of this sandbox are visible; without a sandbox nobody is touched.
            if os.environ.get("NX_SANDBOX") == "1":
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        for line in reversed(open("/proc/self/mountinfo", encoding="utf-8").read().splitlines()):
            mount = line.split()[4]
            if mount.startswith(self.dir):
                subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
        for path in sorted(cgroups(self.token), key=len, reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        if not any(self.dir in line for line in open("/proc/self/mountinfo", encoding="utf-8")):
            remove_tree(self.dir)


def spec_of(args):
    """A runtime spec like `runc spec` makes, without a terminal."""
    caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False, "user": {"uid": 0, "gid": 0}, "args": list(args),
            "env": ["PATH=/bin", "TERM=xterm"], "cwd": "/",
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "cage",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        ],
        "linux": {
            "namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount")],
            "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
        },
    }


def needs_root(cls):
    """Class decorator: containers need root."""
    return unittest.skipUnless(os.geteuid() == 0, "needs root: containers, mounts and control groups")(cls)


class Case(unittest.TestCase):
    """One world per class; each test ends as it began unless it says `leaves_things`."""

    longMessage = True
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        if not os.access(NEXCAGE, os.X_OK):
            raise unittest.SkipTest(f"{NEXCAGE} is not built")
        cls.world = World()
        cls.addClassCleanup(cls.world.destroy)
        cls.prepare()

    @classmethod
    def prepare(cls):
        """For images and bundles that all tests of the class share."""

    def run_ok(self, *args, **kwargs):
        answer = self.world.run(*args, **kwargs)
        self.assertEqual(answer.code, 0, str(answer))
        return answer

    def status(self, container):
        return self.run_ok("state", container).json()["status"]

    def assert_same_host(self, before, ignore=()):
        """The host looks as it did; processes and cgroups get a moment to go."""

        def differences():
            after = self.world.snapshot()
            found = []
            for what, old in before.items():
                new = after[what]
                if what == "mounts":
                    gained, lost = list(new), []
                    for mount in old:
                        if mount in gained:
                            gained.remove(mount)
                        else:
                            lost.append(mount)
                elif what == "processes":
                    gained, lost = {p: n for p, n in new.items() if p not in old}, []
                else:
                    gained, lost = sorted(new - old), []
                gained = [g for g in gained if not any(i in str(g) for i in ignore)]
                if gained or lost:
                    found.append(f"{what}: more: {gained} fewer: {lost}")
            return found

        with contextlib.suppress(AssertionError):
            wait_for(lambda: not differences(), 3)
        self.assertEqual(differences(), [], "the host does not look as before")

    def assert_error(self, answer, records, code, status, *words):
        """The JSON record has the code, people see the words, and the exit status is right."""
        errors = [r for r in records if r.get("level") == "error"]
        self.assertTrue(errors, f"no error in the log\n{answer}")
        self.assertEqual(errors[-1].get("code"), code, f"{errors[-1]}\n{answer}")
        self.assertIn("msg", errors[-1])
        self.assertIn("time", errors[-1])
        self.assertEqual(answer.code, status, str(answer))
        for word in words:
            self.assertIn(word.lower(), (answer.err + errors[-1]["msg"]).lower(), str(answer))


def is_socket(path):
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False
