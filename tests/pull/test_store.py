"""What a pull leaves in the store, and when: names and digests, what is kept and what is removed beside it, what
survives kill -9, and how the store is checked and repaired."""
import json
import os
import pty
import subprocess
import time
import unittest

import support
from registry_images import Image, Index, noise, tar
from registry_server import ScriptedRegistry


@support.needs_root
class Store(support.Case):
    @classmethod
    def prepare(cls):
        os.environ["HOME"] = cls.world.path("home")
        # Nothing of this machine's settings; policy.json is that of the machine's Podman, if there is one.
        cls.conf = cls.world.path("registries.conf")
        os.environ["CONTAINERS_REGISTRIES_CONF"] = cls.conf
        cls.base = support.busybox_layer()

    def setUp(self):
        self.registry = ScriptedRegistry()
        self.addCleanup(self.registry.stop)
        with open(self.conf, "w", encoding="utf-8") as file:
            file.write(f'[[registry]]\nlocation = "{self.registry.host}"\ninsecure = true\n')
        self.addCleanup(self.forget_images)

    def forget_images(self):
        for image in self.world.run("image", "list", "--format", "json").json():
            self.run_ok("image", "remove", "--force", image["digest"])

    def add(self, tag, mark, **kwargs):
        return self.registry.add("some/thing", Image([self.base, tar({"mark": mark})], **kwargs), tag)

    def name(self, tag):
        return f"{self.registry.host}/some/thing:{tag}"

    def pull(self, what, *options):
        return self.run_ok("pull", "-q", *options, what if "/" in what else self.name(what)).out.strip()

    def blobs(self):
        return set(os.listdir(self.world.path("images/blobs/sha256")))

    def listed(self):
        return {name: image["digest"] for image in self.world.run("image", "list", "--format", "json").json() for name in image["names"]}

    def asked(self):
        return [f"{request.method} {request.kind}" for request in self.registry.requests if request.kind != "base"]

    # --- names and digests ---

    def test_every_digest_a_user_knows(self):
        ours = Image([self.base, tar({"mark": b"x"})])
        index = self.registry.add("some/thing", Index(Image(platform="s390x", seed=4), ours), "multi")
        self.assertEqual(self.pull("multi"), index.digest)
        config = ours.manifest["config"]["digest"]
        for what in (self.name("multi"), index.digest, ours.digest, config, f"{self.registry.host}/some/thing@{index.digest}",
                     f"{self.registry.host}/some/thing@{ours.digest}", ours.digest[7:20]):
            with self.subTest(what):
                self.assertEqual(self.run_ok("image", "inspect", what).json()[0]["id"], config)
        self.assertEqual(len(self.blobs()), 1 + 1 + 1 + 2, "nothing of the other platform")
        self.run_ok("image", "tag", self.name("multi"), "other:1")
        self.assertEqual(self.listed()["docker.io/library/other:1"], index.digest)
        self.run_ok("image", "remove", "other:1")
        self.run_ok("image", "remove", index.digest)
        self.assertEqual(self.blobs(), set())

    def test_by_digest(self):
        image = self.add("1", b"one")
        self.assertEqual(self.pull(f"{self.registry.host}/some/thing@{image.digest}"), image.digest)
        self.assertEqual(self.run_ok("run", "--rm", "--pull", "never", f"{self.registry.host}/some/thing@{image.digest}", "cat", "/mark").out, "one")
        self.registry.forget()
        self.pull(f"{self.registry.host}/some/thing@{image.digest}")
        self.assertEqual(self.asked(), [], "what a digest means does not change")

    def test_another_machines_image(self):
        other = Image([tar({"mark": b"other"})], platform="s390x")
        index = self.registry.add("some/thing", Index(other, Image([self.base])), "multi")
        self.assertEqual(self.pull("multi", "--platform", "linux/s390x"), index.digest)
        self.assertEqual(self.listed(), {self.name("multi"): other.digest})
        self.registry.forget()
        self.pull("multi", "--platform", "linux/s390x")
        self.assertEqual(self.asked(), ["HEAD manifests"])
        self.pull("multi")
        self.assertEqual(self.listed()[self.name("multi")], index.digest)
        answer = self.world.run("pull", "--platform", "linux", self.name("multi"))
        self.assertEqual(answer.code, 125, str(answer))

    def test_a_tag_that_moves(self):
        first, second = self.add("1", b"one"), self.add("2", b"two")
        self.pull("1")
        self.registry.add("some/thing", second, "1")
        self.registry.forget()
        self.assertEqual(self.pull("1"), second.digest)
        self.assertNotIn(f"GET blobs {first.layer_digest(0)}", [f"{r.method} {r.kind} {r.name}" for r in self.registry.requests])
        self.assertEqual(self.listed(), {self.name("1"): second.digest})
        self.run_ok("image", "inspect", first.digest)  # stays, without a name

    def test_unchanged_is_one_question_and_writes_nothing(self):
        self.add("1", b"one")
        self.pull("1")
        before = os.stat(self.world.path("images/index.json")).st_mtime_ns
        self.registry.forget()
        self.pull("1")
        self.assertEqual(self.asked(), ["HEAD manifests"])
        self.assertEqual(os.stat(self.world.path("images/index.json")).st_mtime_ns, before)

    # --- with others ---

    def slow(self, tag="slow"):
        """An image of which the large layer stops half-way until the registry is healed."""
        image = self.registry.add("some/thing", Image([self.base, tar({"large": noise(2_000_000)})]), tag)
        large = image.layer_digest(1)

        def half(wire, request, good):
            wire.answer(good, upto=1_000_000)
            wire.hang()
        self.registry.on(lambda request: request.kind == "blobs" and request.name == large, half)
        return image

    def start_pull(self, tag="slow"):
        self.registry.forget()
        process = self.world.popen("pull", self.name(tag), env={"NEXCAGE_PULL_STALL_TIMEOUT": "2"}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        support.wait_for(lambda: self.registry.bytes_of("GET blobs") > 1_000_000, 20, "half of the layer")
        return process

    def test_removals_beside_a_pull_neither_wait_nor_take_what_it_needs(self):
        shared = self.add("1", b"one")
        unshared = self.registry.add("some/thing", Image([tar({"alone": b"x" * 1000})]), "alone")
        self.pull("1")
        self.pull("alone")
        self.slow()
        process = self.start_pull()
        began = time.monotonic()
        self.run_ok("image", "remove", self.name("alone"))
        self.run_ok("image", "remove", self.name("1"))
        self.run_ok("system", "gc")
        self.assertLess(time.monotonic() - began, 20)
        self.assertNotIn(unshared.layer_digest(0)[7:], self.blobs(), "nobody needs it")
        self.assertIn(shared.layer_digest(0)[7:], self.blobs(), "the pull found it and counts on it")
        self.assertNotIn(shared.layer_digest(1)[7:], self.blobs())
        self.registry.heal()
        process.kill()
        process.wait()
        self.run_ok("system", "gc")
        self.assertEqual(self.blobs(), set(), "the lease ended with its process")
        self.pull("slow")
        self.run_ok("system", "check")

    def test_blobs_that_go_before_the_lease_are_fetched_again(self):
        self.add("1", b"one")
        self.pull("1")
        image = self.slow()
        process = self.start_pull()
        os.unlink(self.world.path("images/blobs/sha256", image.layer_digest(0)[7:]))
        self.registry.heal()
        self.assertEqual(process.wait(90), 0)
        self.run_ok("image", "verify", self.name("slow"))

    def test_kill_9_at_every_step_of_the_commit(self):
        for step in ("commit-noted", "commit-blobs", "commit-named"):
            with self.subTest(step):
                image = self.registry.add("some/thing", Image([self.base, tar({step: b"x"})]), step)
                process = self.world.popen("pull", self.name(step), env={"NEXCAGE_TESTPOINT": step}, stdin=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                _, status = os.waitpid(process.pid, os.WUNTRACED)
                self.assertTrue(os.WIFSTOPPED(status), step)
                process.kill()
                process.wait()
                self.run_ok("system", "check")
                self.assertEqual(self.name(step) in self.listed(), step == "commit-named")
                self.run_ok("system", "gc")
                if step != "commit-named":
                    self.assertNotIn(image.layer_digest(1)[7:], self.blobs())
                self.pull(step)
                self.assertEqual(self.run_ok("run", "--rm", self.name(step), "cat", f"/{step}").out, "x")

    # --- check ---

    def spoil(self, digest):
        path = self.world.path("images/blobs/sha256", digest[7:])
        size = os.path.getsize(path)
        with open(path, "r+b") as file:
            file.seek(size // 2)
            file.write(b"\0\1\2\3")
        os.truncate(path, size)

    def check(self, *options):
        return self.world.logged("system", "check", *options)

    def test_repair_fetches_only_what_is_damaged(self):
        image = self.add("1", b"one")
        self.pull("1")
        self.assertEqual(self.check()[0].code, 0)
        config = image.manifest["config"]["digest"]
        for what, damaged in (("layer", [image.layer_digest(1)]), ("config", [config]), ("manifest", [image.digest]),
                              ("two", [image.layer_digest(0), config])):
            with self.subTest(what):
                for digest in damaged:
                    self.spoil(digest)
                answer, records = self.check()
                self.assertEqual((answer.code, records[-1]["code"]), (125, "InvalidImage"), str(answer))
                self.assertIn(damaged[0], answer.out)
                self.registry.forget()
                answer = self.run_ok("system", "check", "--repair")
                self.assertIn("repaired", answer.out)
                fetched = {request.name for request in self.registry.requests if request.method == "GET" and request.kind == "blobs"}
                self.assertLessEqual(fetched, {*damaged, config})
                self.assertIn(self.name("1"), self.listed())
                self.run_ok("image", "verify", self.name("1"))
                self.assertEqual(self.check()[0].code, 0)

    def test_missing_blobs_and_an_index(self):
        ours = Image([self.base, tar({"mark": b"x"})])
        index = self.registry.add("some/thing", Index(Image(platform="s390x", seed=4), ours), "multi")
        self.pull("multi")
        for digest in (ours.layer_digest(1), ours.digest, index.digest):
            with self.subTest(digest):
                os.unlink(self.world.path("images/blobs/sha256", digest[7:]))
                self.assertEqual(self.check()[0].code, 125)
                self.run_ok("system", "check", "--repair")
                self.run_ok("image", "verify", self.name("multi"))

    def test_what_cannot_be_repaired_is_said(self):
        image = self.add("1", b"one")
        self.pull("1")
        self.spoil(image.layer_digest(1))
        self.registry.stop()
        answer, records = self.check("--repair")
        self.assertEqual((answer.code, records[-1]["code"]), (125, "InvalidImage"), str(answer))
        self.assertIn(f"not repaired: image {self.name('1')}", answer.out)
        self.run_ok("image", "remove", self.name("1"))
        name = self.world.import_image([support.Tar().add("i", data=os.urandom(3000)).finish()], name="imported:1")
        self.spoil(self.run_ok("image", "inspect", name).json()[0]["layers"][-1]["digest"])
        answer, records = self.check("--repair")
        self.assertEqual(answer.code, 125, str(answer))
        self.assertIn("imported:1 was not pulled", answer.out)

    def test_what_belongs_to_nothing(self):
        self.add("1", b"one")
        self.pull("1")
        orphan = self.world.path("images/blobs/sha256", "0" * 64)
        partial = self.world.path("images/.partial/sha256-" + "1" * 64)
        for path in (orphan, partial, partial + ".map", self.world.path("images/.tmp/blob-dead")):
            with open(path, "wb") as file:
                file.write(b"x" * 1000)
        answer = self.run_ok("system", "check")
        self.assertIn("1 blobs of no image", answer.out)
        self.assertTrue(os.path.exists(orphan), "without --repair nothing is removed")
        self.assertIn("unused", self.run_ok("system", "gc", "--dry-run").out)
        self.run_ok("system", "check", "--repair")
        self.assertFalse(os.path.exists(orphan))
        self.assertTrue(os.path.exists(partial), "the next pull could go on from it")
        self.assertEqual(os.listdir(self.world.path("images/.tmp")), [])
        os.utime(partial, (time.time() - 90_000,) * 2)
        self.run_ok("system", "gc")
        self.assertEqual(os.listdir(self.world.path("images/.partial")), [])
        self.run_ok("image", "verify", self.name("1"))

    # --- what people see ---

    def test_bars_on_a_terminal(self):
        self.registry.add("some/thing", Image([self.base, tar({"large": noise(3_000_000)})]), "1")
        master, slave = pty.openpty()
        try:
            done = subprocess.Popen(self.world.argv("pull", self.name("1")), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave)
            os.close(slave)
            seen = b""
            while True:
                try:
                    part = os.read(master, 65536)
                except OSError:
                    break
                if not part:
                    break
                seen += part
            self.assertEqual(done.wait(60), 0)
            self.assertTrue(done.stdout.read().startswith(b"sha256:"))
            done.stdout.close()
            self.assertIn(b"\x1b[", seen)
            self.assertIn(b"total", seen)
            self.assertIn(b"Trying to pull", seen)
        finally:
            os.close(master)

    def test_styles(self):
        self.add("1", b"one")
        plain = self.run_ok("pull", self.name("1"))
        self.assertNotIn("\x1b", plain.err)
        self.assertIn("layer ", plain.err)
        self.assertRegex(plain.out, r"^sha256:[0-9a-f]{64}\n$")
        events = [json.loads(line) for line in self.run_ok("pull", "--progress", "json", self.name("1")).err.splitlines()]
        self.assertEqual(events[-1]["event"], "pulled")
        self.assertEqual(self.run_ok("pull", "-q", self.name("1")).err, "")
        self.assertEqual(self.world.run("pull", "--progress", "fancy", self.name("1")).code, 125)

    def test_run_says_what_it_pulls(self):
        self.add("1", b"one")
        answer = self.run_ok("run", "--rm", self.name("1"), "cat", "/mark")
        self.assertEqual(answer.out, "one")
        self.assertIn(f"Trying to pull {self.name('1')}...", answer.err)
        self.assertEqual(self.run_ok("run", "--rm", self.name("1"), "cat", "/mark").err, "")
        self.run_ok("image", "remove", self.name("1"))
        self.assertEqual(self.run_ok("run", "--rm", "-q", self.name("1"), "cat", "/mark").err, "")


if __name__ == "__main__":
    unittest.main()
