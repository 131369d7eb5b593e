"""Runs inside the virtual machine: layers on Linux 6.1, whose EROFS is mounted from block devices only and whose
overlayfs takes no detached mounts, and on file systems with and without fs-verity.
"""
import contextlib
import errno
import fcntl
import json
import os
import shutil
import struct
import subprocess
import unittest

import support

# Two are enough: what is mounted does not depend on the backend.
BACKENDS = ["lxc", "crun" if shutil.which("crun") else "lxc"]
FS_IOC_ENABLE_VERITY, FS_IOC_MEASURE_VERITY = 0x40806685, 0xC0046686  # linux/fsverity.h
FULL = {"NEXCAGE_LAYERFS": "erofs", "NEXCAGE_LAYERFS_FORM": "full"}
SHA256 = 1
LARGE = 100_000


def layers(mark):
    """Two layers over busybox: what one makes the other hides, replaces and adds to. `mark` makes them others."""
    below, above = support.Tar(), support.Tar()
    below.dir("d").add("d/gone", data=b"1").add("d/kept", data=b"2").add("replaced", data=b"3")
    below.add("large", data=mark.encode().ljust(LARGE, b".")).add("suid", data=b"x", mode=0o4755)
    above.add("d/.wh.gone").add("replaced", data=b"4").add("d/new", data=b"5")
    return [below.finish(), above.finish()]


TREE = "cat /d/kept /replaced /d/new; ls /d; stat -c '%a %u:%g' /suid; head -c 4 /large; wc -c < /large"


def loops():
    """Loop devices in use: device -> file."""
    found = {}
    for name in os.listdir("/sys/block"):
        with contextlib.suppress(OSError), open(f"/sys/block/{name}/loop/backing_file", encoding="utf-8") as file:
            found[name] = file.read().strip()
    return found


def kernel_log():
    """Where mount(2) says why it refuses."""
    said = subprocess.run(["dmesg"], capture_output=True, text=True, check=False).stdout
    return "\n".join(said.splitlines()[-8:])


def enable_verity(path):
    with open(path, "rb") as file:
        fcntl.ioctl(file, FS_IOC_ENABLE_VERITY, struct.pack("=IIIIQIIQ88x", 1, SHA256, 4096, 0, 0, 0, 0, 0))


def verity(path):
    """The digest as done.json has it; empty when the file has none."""
    answer = bytearray(struct.pack("=HH32x", SHA256, 32))
    with open(path, "rb") as file:
        try:
            fcntl.ioctl(file, FS_IOC_MEASURE_VERITY, answer)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOTTY):
                return ""
            raise
    return "sha256:" + answer[4:].hex()


class OnDisk(support.Case):
    """The layers directory is on an ext4 of its own."""

    features = ""

    @classmethod
    def prepare(cls):
        # Where udev runs, /dev/loop-control is there before the module.
        subprocess.run(["modprobe", "loop"], check=True)
        cls.disk = cls.world.path("disk")
        os.mkdir(cls.disk)
        with open(cls.disk + ".img", "wb") as file:
            file.truncate(96 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-b", "4096", "-E", "lazy_itable_init=1", "-O", cls.features, cls.disk + ".img"], check=True)
        subprocess.run(["mount", "-o", "loop", cls.disk + ".img", cls.disk], check=True)
        cls.world.write_config(layers=cls.disk)
        cls.image = cls.world.import_image(layers(cls.__name__))

    def picture(self):
        """The host without processes: the kernel's own come and go."""
        return {what: seen for what, seen in self.world.snapshot().items() if what != "processes"}

    def prepared(self):
        """Directories of what is prepared, those of image files."""
        return sorted(path[:-len("/index")] for path in support.tree(self.disk + "/erofs") if path.endswith("/index"))

    def done(self, directory):
        with open(directory + "/done.json", encoding="utf-8") as file:
            return json.load(file)

    def refused(self, word):
        answer, records = self.world.logged("run", "--rm", self.image, "true", env=FULL)
        self.assert_error(answer, records, "LayerError", 125, word)


class Loops(OnDisk):
    features = "^verity"

    def start(self, backend, env):
        container = self.world.new_id()
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.run_ok("run", "-d", "--runtime", backend, "--name", container, self.image, "sleep", "1000", env=env)
        return container

    def test_containers_share_one_mount_and_its_loop_devices(self):
        self.run_ok("run", "--rm", self.image, "true")
        with open(self.disk + "/erofs/.probe.json", encoding="utf-8") as file:
            probed = json.load(file)
        self.assertTrue(probed["loops"], "this kernel mounts no EROFS from files")
        # Debian's 6.1 has the blocks of 512 bytes from Linux 6.4; form full is for kernels without.
        for form in ("merged", "full") if probed["small_blocks"] else ("full",):
            with self.subTest(form):
                self.shared({"NEXCAGE_LAYERFS": "erofs", "NEXCAGE_LAYERFS_FORM": form}, 1 if form == "full" else 4)

    def shared(self, way, devices):
        self.run_ok("layer", "merge", self.image, env=way)
        before, loops_before = self.picture(), loops()
        containers = [self.start(backend, env=way) for backend in BACKENDS]
        self.assertEqual(len([line for line in self.world.snapshot()["mounts"] if "/.mounts/" in line]), 1)
        new = sorted(os.path.basename(file) for name, file in loops().items() if name not in loops_before)
        self.assertEqual(new, ["index"] + ["tar"] * (devices - 1))
        expected = f"245kept\nnew\n4755 0:0\nLoop{LARGE}\n"
        answer = self.run_ok("exec", containers[0], "sh", "-c", TREE + "; echo w > /replaced; rm -r /d; mkdir /d")
        self.assertEqual(answer.out, expected)
        for container in containers[:-1]:
            self.run_ok("delete", "--force", container)
        self.assertEqual(self.run_ok("exec", containers[-1], "sh", "-c", TREE).out, expected)
        self.run_ok("delete", "--force", containers[-1])
        self.assert_same_host(before, ignore=["/run/crun", "/run/@crun"])
        support.wait_for(lambda: loops() == loops_before, what="the loop devices to go")

    def test_mounts_that_are_attached_nowhere(self):
        loops_before = loops()
        mapped = ["--uidmap", "0:100000:65536"]
        for options in (["--tmpfs-upper", "8m"], mapped, [*mapped, "--read-only"],
                        [*mapped, "--tmpfs-upper", "8m", "--layerfs", "overlay"]):
            with self.subTest(options):
                before = self.picture()
                answer = self.world.run("run", "--rm", *options, self.image, "sh", "-c", "echo w > /new; " + TREE)
                self.assertEqual(answer.code, 0, f"{answer}{kernel_log()}")
                self.assertTrue(answer.out.startswith("245kept\nnew\n4755 0:0\n"), str(answer))
                self.assertEqual("Read-only file system" in answer.err, "--read-only" in options, str(answer))
                self.assert_same_host(before, ignore=["/disk/", "/run/", "/images/containers/"])
        support.wait_for(lambda: loops() == loops_before, what="the loop devices to go")

    def test_without_verity_files_are_immutable(self):
        image = self.world.import_image(layers("others"))
        before = self.prepared()
        self.run_ok("layer", "merge", image)
        made = [path for path in self.prepared() if path not in before]
        self.assertEqual(len(made), 1, made)
        self.assertTrue(support.is_immutable(made[0] + "/index"))
        self.assertEqual(self.done(made[0]).get("verity", ""), "")
        with self.assertRaises(PermissionError):
            os.truncate(made[0] + "/index", 0)
        self.run_ok("image", "remove", image)
        self.assertEqual(self.prepared(), before)
        self.assertEqual(os.listdir(self.disk + "/erofs/.tmp"), [])


class Verity(OnDisk):
    features = "verity"

    def replace(self, file, data, with_verity):
        os.rename(file, file + ".kept")
        with open(file, "wb") as out:
            out.write(data)
        os.chmod(file, 0o400)
        if with_verity:
            enable_verity(file)

    def test_prepared_files_have_verity_and_only_they_are_mounted(self):
        self.run_ok("run", "--rm", self.image, "true", env=FULL)
        directory, = (path for path in self.prepared() if "/f-" in path)
        file = directory + "/index"
        digest = verity(file)
        self.assertNotEqual(digest, "")
        self.assertEqual(self.done(directory)["verity"], digest)
        with self.assertRaises(PermissionError):
            open(file, "r+b").close()
        with self.assertRaises(PermissionError):
            os.truncate(file, 0)
        self.assertFalse(support.is_immutable(file))
        self.run_ok("layer", "verify")

        with open(file, "rb") as kept:
            data = kept.read()
        other = data.replace(b"Verity....", b"Verify....", 1)
        self.assertTrue(data != other, "the image has the file's text")
        for bytes_, with_verity in ((data, False), (other, True)):
            with self.subTest(with_verity=with_verity):
                self.replace(file, bytes_, with_verity)
                self.refused("fs-verity digest")
                self.assertNotEqual(self.world.run("layer", "verify").code, 0, "what is not mounted is not in order")
                os.rename(file + ".kept", file)
        self.run_ok("run", "--rm", self.image, "true", env=FULL)
        self.replace(file, data, False)
        answer = self.world.run("layer", "verify", "--repair")
        self.assertIn(os.path.basename(directory)[:10], answer.out + answer.err)
        self.run_ok("run", "--rm", self.image, "true", env=FULL)
        self.assertEqual(verity(file), digest, "the same image has the same bytes")

        self.run_ok("run", "--rm", self.image, "true")
        for tar in [path for path in support.tree(self.disk + "/erofs") if path.endswith("/tar")]:
            self.assertEqual(self.done(os.path.dirname(tar))["verity"], verity(tar))
            self.assertNotEqual(verity(tar), "")
        self.run_ok("image", "remove", self.image)
        self.assertEqual(self.prepared(), [])
        self.assertEqual(os.listdir(self.disk + "/erofs/.tmp"), [])


if __name__ == "__main__":
    unittest.main()
