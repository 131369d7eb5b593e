"""Runs inside the virtual machine: the ZFS client (src/storage/zfs) against a real pool, through tests/vm/zfs_client.cc."""
import errno
import json
import os
import stat
import subprocess
import tempfile
import time
import unittest

import support
import zfs_pool

PROGRAM = os.path.join(support.BUILD, "tests/vm/nx_zfs_client")
MIB = 1 << 20
NOBODY = 65534


class Refused(Exception):
    """What the client answered instead of a value."""

    def __init__(self, error):
        super().__init__(json.dumps(error))
        self.__dict__.update(error)


class Case(unittest.TestCase):
    """A pool for each class, a parent dataset of its own for each test: a pool takes seconds to make."""

    @classmethod
    def setUpClass(cls):
        cls.pool = zfs_pool.Pool()
        cls.addClassCleanup(cls.pool.destroy)

    def setUp(self):
        self.zfs = self.pool.zfs
        self.cages = self.id().rsplit(".", 1)[-1]
        self.parent = self.pool.dataset(self.cages)
        self.zfs("create", self.parent)
        self.addCleanup(self.pool.unmount)

    def call(self, *words, env=None, user=None):
        done = subprocess.run([PROGRAM, self.parent, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, env={**os.environ, **(env or {})}, user=user)
        answer = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if "value" in answer else 1, done)
        if "error" in answer:
            raise Refused(answer["error"]) from None
        return answer["value"]

    def refused(self, failure, number, *words, **keywords):
        """The call fails like this; its error."""
        with self.assertRaises(Refused) as caught:
            self.call(*words, **keywords)
        error = caught.exception
        self.assertEqual((error.failure, error.errno), (failure, number), error)
        return error

    def full(self, path):
        return f"{self.parent}/{path}"

    def listed(self):
        """Names of everything below the parent as zfs(8) itself tells them, without the parent."""
        names = self.zfs("list", "-H", "-o", "name", "-t", "all", "-r", self.parent).out.split()
        return [name[len(self.parent) + 1:] for name in names[1:]]

    def write(self, path, name, data=b"x"):
        """A file in a dataset whose mountpoint is legacy."""
        directory = self.pool.mount(f"{self.cages}/{path}")
        with open(os.path.join(directory, name), "wb") as file:
            file.write(data)
        zfs_pool.run("umount", directory)


class Datasets(Case):
    def test_from_create_to_destroy(self):
        self.assertFalse(self.call("exists", "web1"))
        self.assertIsNone(self.call("property", "web1", "used"))
        self.call("create", "web1", "must_exist", "mountpoint=legacy", f"quota={64 * MIB}", "org.nexcage:id=a b=c")
        self.assertTrue(self.call("exists", "web1"))
        self.assertEqual(self.call("properties", "web1", "quota", "org.nexcage:id", "origin", "type", "mountpoint"),
                         {"quota": str(64 * MIB), "org.nexcage:id": "a b=c", "type": "filesystem", "mountpoint": "legacy"})
        self.assertIsNone(self.call("property", "web1", "org.nexcage:none"))
        self.call("set", "web1", "quota=none", "readonly=on")
        self.assertEqual(self.call("properties", "web1", "quota", "readonly"), {"quota": "0", "readonly": "on"})
        self.call("rename", "web1", "web2")
        self.assertEqual(self.listed(), ["web2"])
        self.call("destroy", "web2")
        self.assertEqual(self.listed(), [])
        self.call("destroy", "web2")

    def test_create_makes_exactly_what_is_asked(self):
        error = self.refused("no_such_dataset", errno.ENOENT, "create", "a/b/c", "must_exist")
        self.assertIn(f"create dataset {self.full('a/b/c')}: cannot create", error.message)
        self.call("create", "a/b/c", "make", "mountpoint=legacy")
        for ancestor in ("a", "a/b"):
            self.assertEqual(self.call("properties", ancestor, "mountpoint", "canmount"),
                             {"mountpoint": "none", "canmount": "off"})
        self.call("create", "a/b/d", "make", "mountpoint=legacy")
        for ancestors in ("make", "must_exist"):
            self.refused("exists", errno.EEXIST, "create", "a/b/c", ancestors)
        self.call("create", "m", "must_exist", "mountpoint=/tmp/nexcage-client-m")
        self.assertEqual(self.pool.mounts(), [])
        self.assertEqual(self.listed(), ["a", "a/b", "a/b/c", "a/b/d", "m"])

    def test_what_is_no_property_is_refused_and_makes_nothing(self):
        self.refused("invalid", errno.EINVAL, "create", "a", "must_exist", "nonsense=1")
        self.refused("invalid", errno.EINVAL, "create", "a", "must_exist", "quota=much")
        self.refused("invalid", errno.EINVAL, "create", "a", "must_exist", "used=1")
        self.assertEqual(self.listed(), [])
        self.call("create", "a", "must_exist")
        self.refused("invalid", errno.EINVAL, "set", "a", "compression=nonsense")
        error = self.refused("invalid", errno.EINVAL, "property", "a", "nonsense")
        self.assertNotIn("usage", error.message)
        self.refused("no_such_dataset", errno.ENOENT, "set", "b", "quota=1G")
        self.refused("no_such_dataset", errno.ENOENT, "properties", "b", "quota")

    def test_destroy_takes_one_dataset_and_never_more(self):
        self.call("create", "a/b", "make")
        self.refused("has_dependents", errno.ENOTEMPTY, "destroy", "a")
        self.call("snapshot", "a/b", "1")
        error = self.refused("has_dependents", errno.ENOTEMPTY, "destroy", "a/b")
        self.assertIn("filesystem has children", error.message)
        self.assertTrue(error.hint)
        self.assertEqual(self.listed(), ["a", "a/b", "a/b@1"])

    def test_a_busy_dataset_is_destroyed_when_it_is_free(self):
        self.call("create", "a", "must_exist", "mountpoint=legacy")
        directory = self.pool.mount(f"{self.cages}/a")
        with open(directory + "/open", "wb"):
            self.refused("busy", errno.EBUSY, "destroy", "a")
            began = time.monotonic()
            self.refused("busy", errno.EBUSY, "destroy", "a", 1000)
            self.assertGreater(time.monotonic() - began, 1)
        holder = subprocess.Popen(["sh", "-c", f"exec 3<{directory}; sleep 3"])
        self.addCleanup(holder.wait)
        time.sleep(0.5)
        self.call("destroy", "a", 60_000)
        self.assertEqual(self.listed(), [])

    def test_lists_what_lies_below(self):
        self.call("create", "images/ab", "make", "mountpoint=legacy")
        self.call("create_volume", "disk", 8 * MIB, "sparse")
        self.call("snapshot", "images/ab", "base")
        self.call("clone", "images/ab", "base", "web1", "mountpoint=legacy")
        direct = {info["path"]: info for info in self.call("children", "direct")}
        self.assertEqual(list(direct), ["disk", "images", "web1"])
        self.assertEqual(direct["web1"]["origin"], self.full("images/ab@base"))
        self.assertEqual((direct["web1"]["mountpoint"], direct["web1"]["is_volume"]), ("legacy", False))
        self.assertEqual((direct["disk"]["mountpoint"], direct["disk"]["is_volume"]), ("", True))
        self.assertEqual((direct["images"]["mountpoint"], direct["images"]["origin"]), ("none", ""))
        for number in ("used", "available", "referenced"):
            told = int(self.zfs("get", "-Hpo", "value", number, self.full("web1")).out)
            self.assertAlmostEqual(direct["web1"][number], told, delta=MIB)
        self.assertEqual([info["path"] for info in self.call("children", "all")], ["disk", "images", "images/ab", "web1"])
        self.assertEqual([info["path"] for info in self.call("children", "direct", "images")], ["images/ab"])
        self.assertEqual(self.call("children", "all", "web1"), [])
        self.refused("no_such_dataset", errno.ENOENT, "children", "all", "none")

    def test_rename_needs_a_free_name_below_something(self):
        for name in ("a", "b"):
            self.call("create", name, "must_exist")
        self.refused("exists", errno.EEXIST, "rename", "a", "b")
        self.refused("no_such_dataset", errno.ENOENT, "rename", "c", "d")
        self.refused("no_such_dataset", errno.ENOENT, "rename", "a", "c/a")
        self.refused("invalid", errno.EINVAL, "rename", "a", "a/a")
        self.assertEqual(self.listed(), ["a", "b"])


class Snapshots(Case):
    def setUp(self):
        super().setUp()
        self.call("create", "a", "must_exist", "mountpoint=legacy")

    def labels(self, path="a"):
        return [info["label"] for info in self.call("snapshots", path)]

    def test_are_listed_oldest_first_with_what_they_hold(self):
        self.assertEqual(self.call("snapshots", "a"), [])
        began = int(time.time())
        for label in ("z", "m", "a"):
            self.call("snapshot", "a", label, "org.nexcage:kind=layer")
        self.call("create", "a/child", "must_exist")
        self.call("snapshot", "a/child", "other")
        for clone in ("c1", "c2"):
            self.call("clone", "a", "m", clone)
        found = self.call("snapshots", "a")
        self.assertEqual([(info["label"], info["clones"]) for info in found], [("z", 0), ("m", 2), ("a", 0)])
        for info in found:
            self.assertTrue(began <= info["created"] <= time.time() + 1, info)
            self.assertEqual(info["referenced"], int(self.zfs("get", "-Hpo", "value", "referenced", self.full("a@z")).out))
        self.refused("exists", errno.EEXIST, "snapshot", "a", "m")
        self.refused("no_such_dataset", errno.ENOENT, "snapshot", "none", "m")
        self.refused("no_such_dataset", errno.ENOENT, "snapshots", "none")
        self.assertEqual([self.call("snapshot_exists", *names) for names in (("a", "m"), ("a", "n"), ("none", "m"))],
                         [True, False, False])

    def test_with_clones_or_held_stay_and_others_are_destroyed(self):
        for label in ("1", "2", "3"):
            self.call("snapshot", "a", label)
        self.call("clone", "a", "2", "c")
        self.refused("has_dependents", errno.ENOTEMPTY, "destroy_snapshot", "a", "2")
        self.refused("has_dependents", errno.ENOTEMPTY, "destroy_snapshots", "a")
        self.assertEqual(self.labels(), ["1", "2", "3"])
        self.call("destroy_snapshot", "a", "1")
        self.call("destroy_snapshot", "a", "1")
        self.call("destroy_snapshot", "none", "1")
        self.call("destroy", "c")
        self.zfs("hold", "kept", self.full("a@3"))
        self.refused("busy", errno.EBUSY, "destroy_snapshot", "a", "3")
        self.refused("busy", errno.EBUSY, "destroy_snapshots", "a")
        self.assertEqual(self.labels(), ["2", "3"])
        self.zfs("release", "kept", self.full("a@3"))
        self.call("create", "a/child", "must_exist")
        self.call("snapshot", "a/child", "2")
        self.call("destroy_snapshots", "a")
        self.assertEqual(self.listed(), ["a", "a/child", "a/child@2"])
        self.call("destroy_snapshots", "a")
        self.call("destroy_snapshots", "none")

    def test_roll_back(self):
        self.write("a", "one")
        self.call("snapshot", "a", "1")
        self.write("a", "two")
        self.call("snapshot", "a", "2")
        self.call("clone", "a", "2", "c")
        self.refused("has_dependents", errno.ENOTEMPTY, "rollback", "a", "1", "refuse")
        self.refused("has_dependents", errno.ENOTEMPTY, "rollback", "a", "1", "destroy")
        self.refused("no_such_dataset", errno.ENOENT, "rollback", "a", "3", "destroy")
        self.assertEqual(self.labels(), ["1", "2"])
        self.call("destroy", "c")
        self.refused("has_dependents", errno.ENOTEMPTY, "rollback", "a", "1", "refuse")
        self.call("rollback", "a", "1", "destroy")
        self.assertEqual(self.labels(), ["1"])
        self.assertEqual(os.listdir(self.pool.mount(f"{self.cages}/a")), ["one"])
        self.call("rollback", "a", "1", "refuse")

    def test_clone_and_promote(self):
        self.call("snapshot", "a", "1")
        self.call("clone", "a", "1", "c", "mountpoint=legacy", "org.nexcage:id=c")
        self.assertEqual(self.call("properties", "c", "origin", "mountpoint", "org.nexcage:id"),
                         {"origin": self.full("a@1"), "mountpoint": "legacy", "org.nexcage:id": "c"})
        self.refused("exists", errno.EEXIST, "clone", "a", "1", "c")
        self.refused("no_such_dataset", errno.ENOENT, "clone", "a", "2", "d")
        self.refused("no_such_dataset", errno.ENOENT, "clone", "a", "1", "none/d")
        self.refused("invalid", errno.EINVAL, "promote", "a")
        self.call("promote", "c")
        self.assertEqual(self.call("property", "a", "origin"), self.full("c@1"))
        self.assertEqual(self.labels("c"), ["1"])

    def test_our_program_clones_as_zfs_does(self):
        self.call("snapshot", "a", "1")
        words = ["clone", *(word for value in ("mountpoint=legacy", "acltype=posixacl", "xattr=sa", f"refquota={8 * MIB}",
                                               "org.nexcage:id=a b=c") for word in ("-o", value)), self.full("a@1")]
        program = os.path.join(support.BUILD, "libexec/nexcage/zfs")
        alone = subprocess.run([program, *words, self.full("ours")], env={"PATH": "/nowhere"}, capture_output=True, check=False)
        self.assertEqual((alone.returncode, alone.stderr), (0, b""), "zfs(8) was asked")
        self.zfs(*words, self.full("theirs"))
        shown = lambda name: self.zfs("get", "-Hpo", "property,value,source", "origin,mountpoint,acltype,xattr,refquota,"
                                      "org.nexcage:id", self.full(name)).out
        self.assertEqual(shown("ours"), shown("theirs"))
        self.assertIn(f"refquota\t{8 * MIB}\tlocal", shown("ours"))
        # What it cannot do or tell, zfs(8) does.
        again = zfs_pool.run(program, *words, self.full("ours"), check=False)
        self.assertEqual((again.code, again.err), (1, f"cannot create '{self.full('ours')}': dataset already exists\n"))
        zfs_pool.run(program, "clone", "-o", "canmount=off", self.full("a@1"), self.full("more"))
        self.assertEqual(self.call("property", "more", "canmount"), "off")

    def test_a_clone_that_cannot_be_mounted_is_a_clone(self):
        self.call("snapshot", "a", "1")
        with tempfile.NamedTemporaryFile() as file:
            self.call("clone", "a", "1", "c", "mountpoint=" + file.name)
        self.assertEqual(self.call("property", "c", "mounted"), "no")

    def test_promote_does_not_change_what_lies_outside(self):
        outside = self.pool.dataset("outside")
        self.zfs("create", outside)
        self.zfs("snapshot", outside + "@1")
        self.zfs("clone", outside + "@1", self.full("c"))
        error = self.refused("other", 0, "promote", "c")
        self.assertEqual(error.code, "ConfigError")
        self.assertEqual(self.call("property", "c", "origin"), outside + "@1")


class Streams(Case):
    def setUp(self):
        super().setUp()
        self.call("create", "a", "must_exist", "mountpoint=legacy")
        for label in ("1", "2"):
            self.write("a", label, os.urandom(MIB))
            self.call("snapshot", "a", label)

    def stream(self, *words):
        path = os.path.join(self.pool.dir, "-".join(words))
        with open(path, "wb"):
            pass
        self.call("send", path, *words)
        return path

    def test_arrive_as_they_were_sent(self):
        self.call("receive", self.stream("a", "1"), "b", "mountpoint=legacy", "org.nexcage:id=b")
        self.assertEqual(self.call("properties", "b", "mountpoint", "org.nexcage:id", "mounted"),
                         {"mountpoint": "legacy", "org.nexcage:id": "b", "mounted": "no"})
        later = self.stream("a", "2", "a", "1")
        self.assertLess(os.path.getsize(later), 2 * MIB)
        self.call("receive", later, "b")
        sent, received = self.pool.mount(f"{self.cages}/a"), self.pool.mount(f"{self.cages}/b")
        self.assertEqual(sorted(os.listdir(received)), ["1", "2"])
        for name in ("1", "2"):
            with open(f"{sent}/{name}", "rb") as left, open(f"{received}/{name}", "rb") as right:
                self.assertEqual(left.read(), right.read())

    def test_leave_nothing_when_they_are_cut_or_broken(self):
        whole = self.stream("a", "1")
        self.call("receive", whole, "b")
        self.refused("exists", errno.EEXIST, "receive", whole, "b")
        self.refused("no_such_dataset", errno.ENOENT, "receive", whole, "none/b")
        self.refused("no_such_dataset", errno.ENOENT, "receive", self.stream("a", "2", "a", "1"), "c")
        self.refused("no_such_dataset", errno.ENOENT, "send", whole, "a", "3")
        with open(whole, "r+b") as file:
            file.truncate(os.path.getsize(whole) // 2)
        self.refused("invalid", errno.EINVAL, "receive", whole, "d")
        with open(whole, "wb") as file:
            file.write(os.urandom(100_000))
        self.refused("invalid", errno.EINVAL, "receive", whole, "d")
        self.assertEqual(self.listed(), ["a", "a@1", "a@2", "b", "b@1"])

    def test_end_when_nobody_reads_them(self):
        path = os.path.join(self.pool.dir, "pipe")
        os.mkfifo(path)
        reader = subprocess.Popen(["head", "-c", "1", path], stdout=subprocess.DEVNULL)
        self.addCleanup(reader.wait)
        with self.assertRaises(Refused):
            self.call("send", path, "a", "1")


class Volumes(Case):
    def test_have_a_device_of_their_size(self):
        self.call("create_volume", "v", 8 * MIB, "sparse", "org.nexcage:id=v")
        self.call("create_volume", "w", 8 * MIB + 1, "reserved", "volblocksize=16384")
        self.assertEqual(self.call("properties", "v", "volsize", "refreservation", "type"),
                         {"volsize": str(8 * MIB), "refreservation": "0", "type": "volume"})
        # zfs(8) rounds up.
        self.assertEqual(self.call("property", "w", "volsize"), str(8 * MIB + 16384))
        self.assertGreater(int(self.call("property", "w", "refreservation")), 8 * MIB)
        for name, size in (("v", 8 * MIB), ("w", 8 * MIB + 16384)):
            path = self.call("volume_device", name, 30_000)
            self.assertTrue(stat.S_ISBLK(os.stat(path).st_mode))
            with open(path, "rb") as device:
                self.assertEqual(device.seek(0, os.SEEK_END), size)
        self.refused("exists", errno.EEXIST, "create_volume", "v", 8 * MIB, "sparse")
        self.refused("out_of_space", errno.ENOSPC, "create_volume", "x", 1 << 30, "reserved")
        self.refused("invalid", errno.EINVAL, "create_volume", "x", 0, "sparse")
        self.refused("invalid", errno.EINVAL, "create", "v/below", "must_exist")
        self.call("create_volume", "x", 1 << 40, "sparse")

    def test_are_found_by_their_name_and_not_by_a_link(self):
        self.call("create_volume", "v", 8 * MIB, "sparse")
        self.call("create_volume", "w", 8 * MIB, "sparse")
        paths = {name: self.call("volume_device", name, 30_000) for name in ("v", "w")}
        devices = {name: os.stat(path).st_rdev for name, path in paths.items()}
        self.assertNotEqual(devices["v"], devices["w"])
        # As udev makes it, and as it is after two renames that udev has not seen yet.
        link = "/dev/zvol/" + self.full("v")
        if not os.path.lexists(link):
            os.makedirs(os.path.dirname(link))
            os.symlink(paths["v"], link)
            self.addCleanup(os.unlink, link)
        self.assertEqual(self.call("volume_device", "v", 0), link)
        self.call("rename", "v", "old")
        self.call("rename", "w", "v")
        for name, before in (("v", "w"), ("old", "v")):
            self.assertEqual(os.stat(self.call("volume_device", name, 30_000)).st_rdev, devices[before])

    def test_without_a_device_are_waited_for_in_vain(self):
        self.call("create_volume", "v", 8 * MIB, "sparse", "volmode=none")
        began = time.monotonic()
        error = self.refused("other", 0, "volume_device", "v", 500)
        self.assertEqual(error.code, "Timeout")
        self.assertGreater(time.monotonic() - began, 0.5)

    def test_in_use_are_busy(self):
        self.call("create_volume", "v", 8 * MIB, "sparse")
        with open(self.call("volume_device", "v", 30_000), "rb"):
            self.refused("busy", errno.EBUSY, "destroy", "v")
        self.call("destroy", "v", 10_000)
        self.assertEqual(self.listed(), [])


class Mounts(Case):
    def test_a_legacy_dataset_is_mounted_without_zfs(self):
        self.call("create", "a", "must_exist", "mountpoint=legacy")
        directory = os.path.join(self.pool.dir, "here")
        os.mkdir(directory)
        self.call("mount", directory, "a")
        with open(directory + "/file", "w", encoding="utf-8") as file:
            file.write("kept")
        zfs_pool.run("umount", directory)
        self.call("mount", directory, "a", "ro")
        with open(directory + "/file", encoding="utf-8") as file:
            self.assertEqual(file.read(), "kept")
        with self.assertRaises(OSError) as caught:
            open(directory + "/other", "wb").close()
        self.assertEqual(caught.exception.errno, errno.EROFS)
        zfs_pool.run("umount", directory)
        with self.assertRaises(Refused) as refused:
            self.call("mount", directory, "none")
        self.assertIn(f"mount dataset {self.full('none')}", refused.exception.message)
        self.assertEqual((refused.exception.code, refused.exception.errno), ("FileError", errno.ENOENT))


class Room(Case):
    def test_is_told_and_used_up(self):
        self.zfs("set", f"quota={16 * MIB}", self.parent)
        space, pool = self.call("space"), self.call("pool")
        self.assertEqual(space["quota"], 16 * MIB)
        self.assertEqual(space["used"] + space["available"], 16 * MIB)
        self.assertEqual((pool["name"], pool["health"]), (self.pool.name, "ONLINE"))
        self.assertEqual(pool["allocated"] + pool["free"], pool["size"])
        self.assertGreater(pool["size"], 16 * MIB)
        self.call("create", "a", "must_exist", "mountpoint=legacy")
        self.call("snapshot", "a", "1")
        self.assertEqual(zfs_pool.fill(self.pool.mount(f"{self.cages}/a")), errno.EDQUOT)
        self.pool.sync()
        self.assertLess(self.call("space")["available"], MIB)
        # Less than a MiB is left, in which an empty dataset still has room.
        error = self.refused("out_of_space", errno.ENOSPC, "create_volume", "b", 8 * MIB, "reserved")
        self.assertTrue(error.hint)
        self.refused("out_of_space", errno.ENOSPC, "set", "a", f"quota={MIB}")
        self.assertNotIn("b", self.listed())


class Environment(Case):
    def test_is_probed(self):
        self.call("probe")
        for program in ("NX_ZFS", "NX_ZPOOL"):
            for name in ("no-such-program", "/no/such/program"):
                error = self.refused("not_available", 0, "probe", env={program: name})
                self.assertIn("zfsutils-linux", error.hint)

    def test_a_parent_that_is_none_is_refused(self):
        volume = self.pool.dataset("volume")
        self.zfs("create", "-s", "-V", "8M", volume)
        for name in (self.pool.dataset("none"), self.pool.name + "none", volume):
            self.parent = name
            with self.assertRaises(Refused) as refused:
                self.call("probe")
            self.assertEqual(refused.exception.code, "ConfigError")
            self.assertIn(name, refused.exception.message)

    def test_others_than_root_are_told_so(self):
        mode = stat.S_IMODE(os.stat("/dev/zfs").st_mode)
        self.addCleanup(os.chmod, "/dev/zfs", mode)
        os.chmod("/dev/zfs", 0o600)
        self.refused("permission", errno.EPERM, "probe", user=NOBODY)
        os.chmod("/dev/zfs", 0o666)
        self.refused("permission", errno.EPERM, "create", "a", "must_exist", user=NOBODY)
        self.assertEqual(self.listed(), [])

    def test_a_missing_device_is_told(self):
        os.rename("/dev/zfs", "/dev/zfs-away")
        try:
            error = self.refused("not_available", 0, "probe")
        finally:
            os.rename("/dev/zfs-away", "/dev/zfs")
        self.assertIn("/dev/zfs", error.message)


if __name__ == "__main__":
    unittest.main()
