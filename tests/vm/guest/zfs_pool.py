"""A ZFS pool for a test, on a sparse file."""
import ctypes
import os
import random
import shutil
import string
import subprocess
import tempfile

import support

SMALLEST = 64 << 20  # what zpool takes
MNT_DETACH = 2

libc = ctypes.CDLL(None, use_errno=True)


def run(*argv, check=True):
    """The program's Answer; unless `check` is false it must succeed."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          env={**os.environ, "LC_ALL": "C"})
    answer = support.Answer(argv, done.returncode, done.stdout, done.stderr)
    if check and answer.code != 0:
        raise AssertionError(str(answer))
    return answer


def fill(directory):
    """Writes a file until that fails; the errno. The bytes cannot be compressed."""
    block = os.urandom(1 << 20)
    with open(os.path.join(directory, "fill"), "wb", buffering=0) as file:
        try:
            for _ in range(1000):
                file.write(block)
        except OSError as error:
            return error.errno
    raise AssertionError("the pool is not as small as a test's is")


class Pool:
    """Has a name of its own. Nothing is mounted unless `mountpoint` says where; destroy() takes all away."""

    def __init__(self, size=256 << 20, mountpoint="none"):
        self.name = "nxt" + "".join(random.choices(string.ascii_lowercase, k=8))
        self.dir = tempfile.mkdtemp(prefix="nexcage-pool.")
        self.vdev = os.path.join(self.dir, "vdev")
        with open(self.vdev, "wb") as file:
            file.truncate(size)
        run("zpool", "create", "-O", f"mountpoint={mountpoint}", self.name, self.vdev)

    def dataset(self, path=""):
        """Full name of "a/b" or "a@snapshot"."""
        return f"{self.name}/{path}" if path else self.name

    def zfs(self, *arguments, check=True):
        return run("zfs", *arguments, check=check)

    def sync(self):
        """Until then space that has been freed is not free, and what is used is not shown."""
        run("zpool", "sync", self.name)

    def wait_until_free(self, size):
        """Until so many bytes can be used: what was destroyed is given back step by step."""

        def free():
            self.sync()
            return int(run("zfs", "get", "-Hpo", "value", "available", self.name).out) >= size

        support.wait_for(free, 60, "space in the pool")

    def mount(self, path, options="defaults"):
        """Mounts the dataset, whose mountpoint must be legacy, and returns the directory."""
        directory = tempfile.mkdtemp(dir=self.dir)
        run("mount", "-t", "zfs", "-o", options, self.dataset(path), directory)
        return directory

    def mounts(self):
        """Where its datasets are mounted in this mount namespace, the last mounted first."""
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            fields = [line.split() for line in file]
        return [field[4] for field in reversed(fields) if (rest := field[field.index("-") + 1:])[0] == "zfs"
                and rest[1].replace("@", "/").split("/")[0] == self.name]

    def unmount(self):
        for directory in self.mounts():
            libc.umount2(os.fsencode(directory), MNT_DETACH)

    def exists(self):
        return run("zpool", "list", self.name, check=False).code == 0

    def export(self):
        self.unmount()
        run("zpool", "export", self.name)

    def import_again(self, *options):
        run("zpool", "import", "-d", self.dir, *options, self.name)

    def destroy(self):
        """Raises what zpool says if the pool stays in use: an open file, a mount in another namespace, a held device."""
        self.unmount()
        if self.exists():
            try:
                support.wait_for(lambda: run("zpool", "destroy", "-f", self.name, check=False).code == 0)
            except AssertionError:
                run("zpool", "destroy", "-f", self.name)
        shutil.rmtree(self.dir, ignore_errors=True)
