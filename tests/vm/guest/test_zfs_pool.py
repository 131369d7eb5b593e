"""Runs inside the virtual machine: ZFS works there, and the pools that other tests use are what they say."""
import errno
import os
import subprocess
import unittest

import zfs_pool


class Pools(unittest.TestCase):
    def make(self, *arguments, **keywords):
        pool = zfs_pool.Pool(*arguments, **keywords)
        self.addCleanup(pool.destroy)
        return pool

    def test_a_clone_has_what_the_snapshot_had(self):
        pool = self.make()
        pool.zfs("create", "-o", "mountpoint=legacy", pool.dataset("a"))
        origin = pool.mount("a")
        with open(origin + "/file", "w", encoding="utf-8") as file:
            file.write("before")
        pool.zfs("snapshot", pool.dataset("a@1"))
        with open(origin + "/file", "w", encoding="utf-8") as file:
            file.write("after")
        pool.zfs("clone", "-o", "mountpoint=legacy", pool.dataset("a@1"), pool.dataset("b"))
        with open(pool.mount("b") + "/file", encoding="utf-8") as file:
            self.assertEqual(file.read(), "before")
        listed = pool.zfs("list", "-Hp", "-o", "name,origin", pool.dataset("b")).out
        self.assertEqual(listed, f"{pool.dataset('b')}\t{pool.dataset('a@1')}\n")
        refused = pool.zfs("destroy", pool.dataset("a@1"), check=False)
        self.assertNotEqual(refused.code, 0)
        self.assertIn("dependent clones", refused.err)

    def test_a_full_pool_and_a_full_dataset_are_told_apart(self):
        pool = self.make(zfs_pool.SMALLEST)
        pool.zfs("create", "-o", "mountpoint=legacy", "-o", "quota=4M", pool.dataset("limited"))
        pool.zfs("create", "-o", "mountpoint=legacy", pool.dataset("free"))
        self.assertEqual(zfs_pool.fill(pool.mount("limited")), errno.EDQUOT)
        self.assertEqual(zfs_pool.fill(pool.mount("free")), errno.ENOSPC)
        pool.sync()
        refused = pool.zfs("create", pool.dataset("more"), check=False)
        self.assertNotEqual(refused.code, 0)
        self.assertIn("out of space", refused.err)

    def test_pools_go_although_datasets_are_mounted(self):
        pool, other = self.make(mountpoint="/tmp/nexcage-pool-mounted"), self.make()
        self.assertNotEqual(pool.name, other.name)
        pool.zfs("create", "-o", "mountpoint=legacy", pool.dataset("a"))
        pool.zfs("create", pool.dataset("b"))
        pool.mount("a")
        pool.mount("a")
        self.assertEqual(len(pool.mounts()), 4)
        pool.destroy()
        self.assertFalse(pool.exists())
        self.assertEqual(pool.mounts(), [])
        self.assertFalse(os.path.exists(pool.dir))
        self.assertTrue(other.exists())

    def test_export_and_import(self):
        pool = self.make()
        pool.zfs("create", "-o", "mountpoint=legacy", pool.dataset("a"))
        pool.mount("a")
        pool.export()
        self.assertFalse(pool.exists())
        pool.import_again("-o", "readonly=on")
        self.assertEqual(zfs_pool.run("zpool", "get", "-Hpo", "value", "readonly", pool.name).out, "on\n")


class Kernel(unittest.TestCase):
    def test_other_file_systems_and_loop_devices(self):
        for module in ("ext4", "xfs", "btrfs", "loop"):
            with self.subTest(module):
                subprocess.run(["modprobe", module], check=True)
        with open("/proc/filesystems", encoding="utf-8") as file:
            self.assertLessEqual({"ext4", "xfs", "btrfs", "zfs", "overlay"}, set(file.read().split()))
        self.assertTrue(os.path.exists("/dev/loop-control"))


if __name__ == "__main__":
    unittest.main()
