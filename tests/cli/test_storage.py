"""Where a container's files are: directories, subvolumes of btrfs, raw images; their limits, their snapshots, and what a
roll-back leaves of them. ZFS is tested in the virtual machine.
"""
import json
import os
import shutil
import stat
import subprocess
import unittest

import support

MIB = 1 << 20
ROOT_TYPE = "awk '$2 == \"/\" {print $3}' /proc/mounts"


def loops(path):
    """Loop devices over files below a directory."""
    listed = subprocess.run(["losetup", "--list", "--noheadings", "--output", "BACK-FILE"], capture_output=True, text=True,
                            check=False).stdout
    return [line for line in listed.splitlines() if line.startswith(path)]


def can_grow_mounted():
    """ext4 wants CAP_SYS_RESOURCE (capabilities(7): 24) for that."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return int(next(line for line in file if line.startswith("CapEff")).split()[1], 16) >> 24 & 1


@support.needs_root
class StorageCase(support.Case):
    @classmethod
    def prepare(cls):
        cls.image = cls.world.import_image()

    def detached(self, *options, command="echo first > /file; sleep 1000"):
        container = self.world.new_id()
        self.run_ok("run", "-d", "--name", container, *options, self.image, "sh", "-c", command)
        self.addCleanup(self.world.run, "delete", "--force", container)
        if "/file" in command:
            support.wait_for(lambda: self.world.run("exec", container, "cat", "/file").out, 20, "the file")
        return container

    def exec(self, container, command):
        return self.world.run("exec", container, "sh", "-c", command)

    def info(self, container):
        with open(self.world.path("images/containers", container, "info.json"), encoding="utf-8") as file:
            return json.load(file)

    def refused(self, code, *words, status=125):
        answer, records = self.world.logged(*words)
        self.assert_error(answer, records, code, status)
        return answer.err


class Raw(StorageCase):
    def test_an_image_has_its_size_and_grows_while_it_runs(self):
        before = self.world.snapshot()
        container = self.detached("--raw", "ext4", "--storage-size", "64m")
        image = self.info(container)["storage"]["raw"]["path"]
        self.assertEqual(image, self.world.path("containers", container, container + ".raw"))
        found = os.stat(image)
        self.assertEqual((found.st_size, stat.S_IMODE(found.st_mode)), (64 * MIB, 0o600))
        self.assertLess(found.st_blocks * 512, 32 * MIB)
        self.assertEqual(self.exec(container, ROOT_TYPE).out, "ext4\n")
        full = self.exec(container, "dd if=/dev/zero of=/big bs=1M count=100 2>&1")
        self.assertIn("No space left on device", full.out)
        self.assertEqual(self.exec(container, "cat /file").out, "first\n")
        self.refused("InvalidSpec", "storage", "resize", container, "32m")
        if not can_grow_mounted():  # then it says so, and grows when nothing is mounted
            self.assertIn("CAP_SYS_RESOURCE", self.world.run("storage", "resize", container, "160m").err)
            self.run_ok("stop", "-t", "0", container)
        self.run_ok("storage", "resize", container, "160m")
        if not can_grow_mounted():
            self.run_ok("start", container)
        self.assertEqual(self.exec(container, "dd if=/dev/zero of=/big bs=1M count=100 2>&1").code, 0)
        self.run_ok("stop", "-t", "0", container)
        self.run_ok("start", container)
        self.assertEqual(self.exec(container, "cat /file; stat -c %s /big").out, f"first\n{100 * MIB}\n")
        self.run_ok("delete", "--force", container)
        self.assert_same_host(before)
        self.assertEqual(loops(self.world.dir), [])

    def test_layers_owners_and_modes_are_in_it(self):
        layer = support.Tar().dir("d", mode=0o1777).add("d/suid", data=b"x", mode=0o4755).add("d/owned", data=b"y", uid=70000, gid=3)
        image = self.world.import_image([layer.finish()], name="owners")
        seen = "stat -c '%a %u:%g %n' /d /d/*; ls /; " + ROOT_TYPE
        plain = self.run_ok("run", "--rm", image, "sh", "-c", seen).out.replace("overlay", "")
        for kind, size in (("ext4", "64m"), ("xfs", "400m")):
            with self.subTest(kind):
                raw = self.run_ok("run", "--rm", "--raw", kind, "--storage-size", size, image, "sh", "-c", seen).out
                self.assertEqual(raw.replace(kind, ""), plain)

    def test_a_user_namespace_sees_its_own_ids(self):
        answer = self.run_ok("run", "--rm", "--raw", "ext4", "--storage-size", "64m", "--uidmap", "0:100000:65536", self.image, "sh",
                             "-c", "touch /new; stat -c %u:%g / /bin/busybox /new; cat /proc/self/uid_map")
        self.assertEqual(answer.out.split()[:3], ["0:0"] * 3)
        self.assertIn("100000", answer.out)

    def test_a_directory_of_its_own(self):
        place = self.world.path("raws")
        container = self.detached("--storage", f"dir:{place}", "--raw", "ext4", "--storage-size", "32m")
        self.assertEqual(os.listdir(f"{place}/{container}"), [container + ".raw"])
        self.run_ok("delete", "--force", container)
        self.assertEqual(os.listdir(place), [])

    def test_a_bundle_that_asks_for_one(self):
        for annotations, members in (({"org.nexcage.raw": "ext4", "org.nexcage.raw.size": "48m"}, {}),
                                     ({}, {"raw_image": True, "raw_image_size": 48 * MIB})):
            with self.subTest(annotations=annotations):
                bundle = self.world.bundle(["sh", "-c", ROOT_TYPE + "; touch /made"], annotations=annotations, **members)
                before = support.tree(bundle)
                container = self.world.new_id()
                answer = self.run_ok("run", "--bundle", bundle, container)
                self.assertEqual(answer.out, "ext4\n")
                self.assertEqual(support.tree(bundle), before)

    def test_what_is_in_the_way_stays(self):
        bundle = self.world.bundle(["true"], annotations={"org.nexcage.raw": "ext4"})
        theirs = os.path.join(bundle, "taken.raw")
        with open(theirs, "w", encoding="utf-8") as file:
            file.write("theirs")
        self.refused("ContainerExists", "run", "--bundle", bundle, "taken", status=1)
        self.refused("ContainerExists", "run", "--bundle", bundle, "rootfs", status=1)
        with open(theirs, encoding="utf-8") as file:
            self.assertEqual(file.read(), "theirs")
        self.assertTrue(os.path.exists(bundle + "/rootfs/bin/busybox"))

    def test_layers_that_do_not_fit(self):
        before = self.world.snapshot()
        layer = support.Tar().add("big", data=os.urandom(40 * MIB)).finish()
        image = self.world.import_image([layer], name="large")
        error = self.refused("FileError", "run", "--rm", "--raw", "ext4", "--storage-size", "24m", image, "true")
        self.assertRegex(error.lower(), "space|allocate")
        self.run_ok("image", "remove", image)
        self.assert_same_host(before, ignore=("layers/",))


class Refused(StorageCase):
    def test_what_cannot_be_says_so(self):
        run = ("run", "--rm")
        self.assertIn("directory", self.refused("Unsupported", *run, "--storage-size", "1g", self.image, "true"))
        self.assertIn("no dataset", self.refused("ConfigError", *run, "--storage", "zfs", self.image, "true"))
        self.assertIn("absolute", self.refused("ConfigError", *run, "--storage", "dir:x", self.image, "true"))
        self.refused("ConfigError", *run, "--raw", "ext5", self.image, "true")
        self.assertIn("16", self.refused("InvalidSpec", *run, "--raw", "ext4", "--storage-size", "1m", self.image, "true"))
        self.refused("ConfigError", *run, "--raw", "ext4", "--tmpfs-upper", "1m", self.image, "true")

    def test_no_snapshots_of_plain_directories(self):
        container = self.detached()
        self.refused("Unsupported", "snapshot", "create", container, "s")
        self.assertIn("btrfs", self.world.run("snapshot", "create", container, "s").err)
        self.refused("Unsupported", "storage", "resize", container, "1g")
        bundle = self.world.bundle(["sleep", "1000"])
        other = self.world.new_id()
        self.run_ok("create", "--bundle", bundle, other)
        self.addCleanup(self.world.run, "delete", "--force", other)
        self.assertIn("bundle", self.refused("Unsupported", "snapshot", "list", other))

    def test_explained(self):
        said = self.run_ok("storage", "explain", self.image).out.splitlines()
        self.assertTrue(said[0].startswith("local"), said)
        self.assertIn("[storage] default", said[-1])
        raw = self.run_ok("storage", "explain", "--format", "json", "--storage", "dir:/srv", "--raw", "xfs", self.image).json()
        self.assertEqual((raw["kind"], raw["location"], raw["raw"], raw["size"]), ("directory", "/srv", "xfs", 10 << 30))
        bundle = self.world.bundle(["true"])
        self.assertIn("own root file system", self.run_ok("storage", "explain", "--bundle", bundle, "x").out)
        listed = self.run_ok("storage", "list", "--format", "json").json()
        self.assertEqual([one["name"] for one in listed if one["default"]], ["local"])


@unittest.skipUnless(shutil.which("mkfs.btrfs"), "btrfs-progs is not installed")
class Btrfs(StorageCase):
    """Containers on btrfs: subvolumes, and raw images that share blocks."""

    @classmethod
    def prepare(cls):
        disk, image = cls.world.path("disk"), cls.world.path("disk.img")
        os.mkdir(disk)
        with open(image, "wb") as file:
            file.truncate(512 * MIB)
        subprocess.run(["mkfs.btrfs", "-q", image], check=True)
        mounted = subprocess.run(["mount", "-o", "loop", image, disk], capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            raise unittest.SkipTest(f"no btrfs here: {mounted.stderr.strip()}")
        cls.addClassCleanup(subprocess.run, ["umount", "-l", disk], check=False)
        cls.disk = disk
        cls.world.write_config(containers=disk + "/containers")
        cls.image = cls.world.import_image()

    def names(self, container):
        return self.run_ok("snapshot", "list", "-q", container).out.split()

    def check_snapshots(self, *options):
        container = self.detached(*options, command="[ -e /file ] || echo first > /file; sleep 1000")
        self.run_ok("snapshot", "create", container, "good")
        self.exec(container, "echo second > /file; rm /bin/sh; sync")
        self.run_ok("snapshot", "create", container, "bad")
        self.refused("InvalidState", "snapshot", "create", container, "bad")
        self.refused("InvalidState", "snapshot", "rollback", container, "good")
        self.run_ok("snapshot", "rollback", "--force", container, "good")
        self.assertEqual(self.status(container), "stopped")
        self.run_ok("start", container)
        self.assertEqual(self.exec(container, "cat /file").out, "first\n")
        self.assertEqual(self.names(container), ["good", "bad"])
        self.run_ok("stop", "-t", "0", container)
        self.run_ok("snapshot", "rollback", container, "bad")
        self.refused("InvalidState", "snapshot", "rollback", container, "ugly")
        self.run_ok("snapshot", "delete", container, "good", "bad")
        self.assertEqual(self.names(container), [])
        for _ in range(3):
            self.run_ok("snapshot", "create", "--keep", "2", container)
        self.assertEqual(len(self.names(container)), 2)
        self.run_ok("delete", container)
        self.assertEqual(os.listdir(self.disk + "/containers"), [])

    def test_snapshots_of_a_subvolume(self):
        self.check_snapshots()

    def test_snapshots_of_an_image(self):
        self.check_snapshots("--raw", "ext4", "--storage-size", "64m")

    def test_snapshots_of_a_directory_storage(self):
        self.check_snapshots("--storage", f"dir:{self.disk}/elsewhere")
        self.assertEqual(os.listdir(self.disk + "/elsewhere"), [])


class EarlierBoots(StorageCase):
    """The state root is empty, and bundles say another boot: what is whole is kept, the rest goes."""

    def test_raw_images_are_there_and_start_again(self):
        container = self.detached("--raw", "ext4", "--storage-size", "32m")
        self.run_ok("stop", "-t", "0", container)
        self.world.reboot(container)
        self.assertEqual(self.status(container), "stopped")
        self.run_ok("start", container)
        self.assertEqual(self.exec(container, "cat /file").out, "first\n")
        self.run_ok("delete", "--force", container)

    def test_directories_go_with_their_storage(self):
        place = self.world.path("place")
        container = self.detached("--storage", f"dir:{place}")
        self.assertEqual(os.listdir(place), [container])
        self.run_ok("stop", "-t", "0", container)
        self.world.reboot(container)
        self.assertNotIn(container, self.run_ok("list").out)
        self.assertEqual(os.listdir(place), [])
        self.assertFalse(os.path.exists(self.world.path("containers", container)))


if __name__ == "__main__":
    unittest.main()
