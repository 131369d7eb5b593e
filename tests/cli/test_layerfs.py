"""How images become root file systems: every driver and form, on every backend."""
import ctypes
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import unittest

import support

# Name of a way -> environment that chooses it.
WAYS = {
    "merged": {"NEXCAGE_LAYERFS": "erofs", "NEXCAGE_LAYERFS_FORM": "merged"},
    "index": {"NEXCAGE_LAYERFS": "erofs", "NEXCAGE_LAYERFS_FORM": "index"},
    "full": {"NEXCAGE_LAYERFS": "erofs", "NEXCAGE_LAYERFS_FORM": "full"},
    "overlay": {"NEXCAGE_LAYERFS": "overlay"},
    "copy": {"NEXCAGE_LAYERFS": "copy"},
}
BIG = 4 << 20
PAGE = mmap.PAGESIZE


def layers():
    """Two layers over busybox: what one makes the other hides, replaces and adds to."""
    below, above = support.Tar(), support.Tar()
    below.dir("d").add("d/gone", data=b"1").add("d/kept", data=b"2").add("replaced", data=b"3")
    below.add("big", data=os.urandom(BIG)).add("suid", data=b"x", mode=0o4755)
    above.add("d/.wh.gone").add("replaced", data=b"4").add("d/new", data=b"5")
    return [below.finish(), above.finish()]


def resident_pages(path):
    """How many pages of the file are in the page cache (mincore(2)); reads none of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        at = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
        vector = ctypes.create_string_buffer((size + PAGE - 1) // PAGE)
        if libc.mincore(at, size, vector) != 0:
            raise OSError(ctypes.get_errno(), "mincore")
        libc.munmap(at, size)
    return sum(byte & 1 for byte in vector.raw[:(size + PAGE - 1) // PAGE])


class OnBackend:
    backend = ""
    ways = tuple(WAYS)

    @classmethod
    def setUpClass(cls):
        if cls.backend == "crun":
            cls.enterClassContext(support.crun_can_run())
        super().setUpClass()

    @classmethod
    def prepare(cls):
        cls.image = cls.world.import_image(layers())
        for way in cls.ways:  # the directories of states, layers and notes are there from now on
            done = cls.run_by(way, "true")
            if done.code:
                raise AssertionError(f"{way}: {done}")

    @classmethod
    def run_by(cls, way, *words, options=(), **kwargs):
        return cls.world.run("run", "--rm", "--runtime", cls.backend, *options, cls.image, *words, env=WAYS[way],
                             **kwargs)

    def start(self, way, *options):
        container = self.world.new_id()
        self.run_ok("run", "-d", "--runtime", self.backend, "--name", container, *options, self.image, "sleep", "100",
                    env=WAYS[way])
        self.addCleanup(self.world.run, "delete", "--force", container)
        return container

    def rootfs(self, container):
        return self.world.path("containers", container, container, "rootfs")

    def test_the_same_tree_by_every_way(self):
        script = ("cat /d/kept /replaced /d/new; ls /d; stat -c '%a %u:%g' /suid /d; md5sum /big; "
                  "echo w > /replaced; rm /d/kept; mv /d /e; mkdir /d; echo n > /d/kept; cat /replaced /d/kept; ls /e")
        said = {}
        for way in self.ways:
            before = self.world.snapshot()
            answer = self.run_by(way, "sh", "-c", script)
            self.assertEqual(answer.code, 0, f"{way}: {answer}")
            said[way] = answer.out
            self.assert_same_host(before)
        self.assertEqual(set(said.values()), {said["merged"]}, said)
        self.assertTrue(said["merged"].startswith("245kept\nnew\n4755 0:0\n"), said["merged"])

    def test_containers_of_an_image_share_its_page_cache(self):
        for way in [way for way in ("merged", "index", "full") if way in self.ways]:
            with self.subTest(way):
                one, two = self.start(way), self.start(way)
                seen = os.path.join(self.rootfs(two), "big")
                self.assertEqual(resident_pages(seen), 0)
                self.run_ok("exec", one, "sh", "-c", "cat /big > /dev/null")
                self.assertEqual(resident_pages(seen), BIG // PAGE, "the second container has pages of the first")
                self.run_ok("delete", "--force", one)
                self.assertEqual(resident_pages(seen), BIG // PAGE, "they outlive the first container")
                self.run_ok("exec", two, "md5sum", "/big")
                self.run_ok("delete", "--force", two)

    def test_no_file_system_stays_mounted_without_a_container(self):
        before = self.world.snapshot()
        containers = [self.start("merged") for _ in range(3)]
        mounted = [line for line in self.world.snapshot()["mounts"] if "/.mounts/" in line]
        self.assertEqual(len(mounted), 1, "one EROFS for three containers")
        for container in containers:
            self.run_ok("delete", "--force", container)
        self.assert_same_host(before)

    def test_user_namespace(self):
        """The image is root's in the container, nobody's file is changed, and what is written is right."""
        for way in self.ways:
            with self.subTest(way):
                before = self.world.snapshot()
                answer = self.run_by(way, "sh", "-c",
                                     "cat /proc/self/uid_map; stat -c '%u:%g' / /bin /suid /d/kept /tmp; "
                                     "echo x > /new; echo y >> /d/kept; stat -c '%u:%g' /new /d/kept; cat /d/kept",
                                     options=["--uidmap", "0:100000:65536"])
                self.assertEqual(answer.code, 0, str(answer))
                lines = answer.out.splitlines()
                self.assertEqual(lines[0].split(), ["0", "100000", "65536"])
                self.assertEqual(set(lines[1:8]), {"0:0"}, answer.out)
                self.assertEqual(lines[8], "2y")
                self.assert_same_host(before)
        self.assertIn("4755 0:0", self.run_by("merged", "stat", "-c", "%a %u:%g", "/suid").out)

    def test_writes_in_memory(self):
        for way in self.ways:
            with self.subTest(way):
                before = self.world.snapshot()
                container = self.start(way, "--tmpfs-upper", "16m")
                self.run_ok("exec", container, "sh", "-c", "echo x > /new && cat /new /d/kept")
                full = self.world.run("exec", container, "sh", "-c", "dd if=/dev/zero of=/fill bs=1M count=32")
                self.assertNotEqual(full.code, 0)
                self.assertIn("No space", full.err)
                upper = [name for name in support.tree(self.world.path("containers", container)) if "/new" in name
                         and "/rootfs/" not in name and "/mounts/" not in name]
                self.assertEqual(upper, [], "nothing is written to the disk")
                self.run_ok("delete", "--force", container)
                self.assert_same_host(before)

    def test_read_only_with_writable_places(self):
        answer = self.run_by("merged", "sh", "-c", "echo 1 > /tmp/a && echo 2 > /run/a && echo 3 > /var/tmp/a; echo 4 > /a",
                             options=["--read-only", "--read-only-tmpfs"])
        self.assertNotEqual(answer.code, 0)
        self.assertEqual(answer.err.count("Read-only file system"), 1, str(answer))


def on_every_backend():
    module = sys.modules[__name__]
    for backend in ("lxc", "crun", "runc"):
        name = "Layerfs" + backend.capitalize()
        # How a way is mounted does not depend on the backend; what it makes of the tree might.
        ways = tuple(WAYS) if backend == "lxc" else ("merged", "copy")
        made = type(name, (OnBackend, support.Case), {"backend": backend, "ways": ways, "__module__": __name__})
        there = backend == "lxc" or shutil.which(backend)
        setattr(module, name, unittest.skipUnless(there, f"needs the package {backend}")(support.needs_root(made)))


on_every_backend()


@support.needs_root
class Store(support.Case):
    """What lies in the layers directory, and what becomes of it."""

    @classmethod
    def prepare(cls):
        cls.image = cls.world.import_image(layers())

    def files(self):
        return sorted(path for path in support.tree(self.world.path("layers/erofs")) if not path.endswith("/"))

    def prepared(self):
        return [path for path in self.files() if path.endswith(("/tar", "/index"))]

    def test_prepared_files_are_nobodys_to_change(self):
        self.run_ok("run", "--rm", self.image, "true", env=WAYS["merged"])
        names = [path for path in self.prepared() if "/i-" not in path]
        self.assertEqual(len(names), 4, f"three tars and one index: {names}")
        for path in self.prepared():
            self.assertEqual(os.stat(path).st_mode & 0o7777, 0o400)
            self.assertNotEqual(support.is_immutable(path), False)
            if support.is_immutable(path):
                with self.assertRaises(PermissionError):
                    os.truncate(path, 0)

    def test_protection_can_be_turned_off(self):
        image = self.world.import_image([support.Tar().add("other", data=b"o").finish()])
        before = set(self.prepared())
        self.run_ok("run", "--rm", image, "true", env={**WAYS["merged"], "NEXCAGE_LAYERFS_PROTECT": "off"})
        made = set(self.prepared()) - before
        self.assertTrue(made)
        self.assertEqual([path for path in made if support.is_immutable(path)], [])
        self.run_ok("image", "remove", image)

    def test_garbage_goes_whatever_driver_made_it(self):
        image = self.world.import_image([support.Tar().add("garbage", data=os.urandom(9)).finish()])
        for env in WAYS.values():
            self.run_ok("run", "--rm", image, "true", env=env)
        drivers = {path.split("/layers/")[1].split("/")[0] for path in support.tree(self.world.path("layers"))}
        self.assertEqual(drivers, {"erofs", "overlay", "copy"})
        self.run_ok("image", "remove", image)
        self.run_ok("image", "remove", self.image)
        left = [path for path in support.tree(self.world.path("layers")) if path.endswith(("/tar", "/index", "/fs/"))]
        self.assertEqual(left, [])
        self.world.import_image(layers(), name=self.image)

    def test_a_changed_file_is_not_mounted(self):
        self.run_ok("run", "--rm", self.image, "true", env=WAYS["merged"])
        tar = max((path for path in self.prepared() if path.endswith("/tar")), key=os.path.getsize)
        support.allow_changes(tar)
        os.chmod(tar, 0o600)
        os.truncate(tar, os.path.getsize(tar) - 512)
        answer, records = self.world.logged("run", "--rm", self.image, "true", env=WAYS["merged"])
        self.assert_error(answer, records, "LayerError", 125, "bytes instead of")
        support.remove_tree(os.path.dirname(tar))
        self.run_ok("run", "--rm", self.image, "true", env=WAYS["merged"])

    def test_kill_9_while_layers_are_prepared(self):
        for point in ("layerfs.unpacked", "layerfs.published"):
            for way in WAYS:
                with self.subTest(point=point, way=way):
                    image = self.world.import_image([support.Tar().add(f"{point}-{way}", data=b"k").finish()])
                    process = self.world.popen("run", "--rm", image, "true", stdin=subprocess.DEVNULL,
                                               env={**WAYS[way], "NEXCAGE_TESTPOINT": point})
                    state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
                    self.assertEqual(state.si_code, os.CLD_STOPPED, "the point was not reached")
                    process.send_signal(signal.SIGKILL)
                    process.wait(10)
                    self.assertEqual(self.run_ok("list", "-q").out, "")
                    self.run_ok("run", "--rm", image, "true", env=WAYS[way])
                    driver = WAYS[way]["NEXCAGE_LAYERFS"]
                    self.assertEqual(os.listdir(self.world.path("layers", driver, ".tmp")), [])
                    self.run_ok("image", "remove", image)

    def test_layers_that_are_collected_meanwhile_are_made_again(self):
        image = self.world.import_image([support.Tar().add("meanwhile", data=b"m").finish()])
        before = set(self.prepared())
        process = self.world.popen("run", "--rm", image, "true", stdin=subprocess.DEVNULL,
                                   env={**WAYS["merged"], "NEXCAGE_TESTPOINT": "layerfs.published"})
        for time in ("made", "made again"):
            state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED)
            self.assertEqual(state.si_code, os.CLD_STOPPED, time)
            index = [path for path in set(self.prepared()) - before if "/m-" in path]
            self.assertEqual(len(index), 1, time)
            if time == "made":
                support.remove_tree(os.path.dirname(index[0]))
            process.send_signal(signal.SIGCONT)
        self.assertEqual(process.wait(20), 0)
        self.run_ok("image", "remove", image)

    def test_delete_undoes_what_the_recorded_driver_made(self):
        before = self.world.snapshot()
        container = self.world.new_id()
        self.run_ok("create", "--name", container, "--layerfs", "erofs", self.image, "sleep", "100")
        with open(self.world.path("images/containers", container, "info.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["layerfs"]["driver"], "erofs")
        self.run_ok("delete", "--force", container, env={"NEXCAGE_LAYERFS": "copy"})
        self.assertEqual([m for m in self.world.snapshot()["mounts"] if m not in before["mounts"]], [])

    def test_unknown_words_are_refused(self):
        for words in (["--layerfs", "zfz"], ["--uidmap", "0:1"], ["--uidmap", "0:1:0"], ["--tmpfs-upper", "x"],
                      ["--read-only-tmpfs"]):
            answer = self.world.run("run", "--rm", *words, self.image, "true")
            self.assertEqual(answer.code, 125, str(answer))
            self.assertIn(words[0], answer.err)
        answer = self.world.run("run", "--rm", self.image, "true", env={"NEXCAGE_LAYERFS_FORM": "best"})
        self.assertIn("layerfs.form", answer.err)


if __name__ == "__main__":
    unittest.main()
