"""`kill -9` in the middle of a pull, and what else may have happened to what was fetched so far: the next pull goes on
from it, fetches little twice, and trusts nothing that it cannot verify."""
import concurrent.futures
import ctypes
import os
import random
import subprocess
import threading
import time
import unittest

import pulling
import support
from registry_images import Image, noise, tar
from registry_server import ScriptedRegistry

MOMENTS = 50
PACE = 15_000_000  # bytes a second of one connection: a pull takes long enough to be killed in


def big_image(seed=1):
    return Image([tar({f"a{seed}": noise(10_000_000, seed)}), tar({f"b{seed}": noise(5_000_000, seed + 1)}),
                  tar({f"c{seed}": noise(1_000_000, seed + 2)})])


class Budget:
    """So many bytes over all connections, then silence."""

    def __init__(self, count):
        self.left, self.lock = count, threading.Lock()

    def __call__(self, wire, request, good):
        with self.lock:
            count = min(self.left, len(good.body))
            self.left -= count
        wire.answer(good, upto=count)
        if count < len(good.body):
            wire.hang()


def own_network():
    """A network namespace for this thread and those that it starts, in which the kernel holds little that no process
    has read yet: what lies there when a process is killed has come over the wire and is lost."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x40000000):  # CLONE_NEWNET
        raise unittest.SkipTest("needs a network namespace: " + os.strerror(ctypes.get_errno()))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # It is that of the opener's network.
    with open("/proc/sys/net/ipv4/tcp_rmem", "w", encoding="ascii") as file:
        file.write("4096 16384 16384")


class Resume(support.Case):
    @classmethod
    def prepare(cls):
        own_network()
        pulling.Store(cls.world)  # the image that all stores hold
        cls.image = big_image()

    def setUp(self):
        self.registry = ScriptedRegistry(rate=PACE)
        self.addCleanup(self.registry.stop)
        self.registry.add("repo", self.image, "tag")
        self.store = pulling.Store(self.world)

    def start(self, registry=None, store=None, **more):
        registry, store = registry or self.registry, store or self.store
        return pulling.start(store.path, f"{registry.host}/repo:tag", [pulling.endpoint(registry, "repo")], **more)

    def pulled(self, registry=None, store=None, **more):
        outcome = self.start(registry, store, **more).wait()
        self.assertIsNone(outcome.code, f"{outcome}\n{registry or self.registry}")
        self.assertEqual((store or self.store).lacks(self.image), set(), str(outcome))
        self.assertEqual((store or self.store).damaged(), [], str(outcome))
        return outcome

    def partials(self):
        """Files of what has come so far, without their maps."""
        names = [name for name in self.store.names(pulling.STAGING) if not name.endswith((".done", ".map"))]
        return [os.path.join(self.store.path, pulling.STAGING, name) for name in names]

    def broken_off(self, count=6_000_000):
        """A pull that ends with a half of the first layer on disk."""
        self.registry.on("GET blobs " + self.image.layer_digest(0), Budget(count))
        running = self.start()
        support.wait_for(lambda: self.registry.bytes_of("GET blobs " + self.image.layer_digest(0)) >= count, 20, "half of a layer")
        support.wait_for(lambda: any(os.stat(path).st_size >= count // 2 for path in self.partials()), 20, "half of a file")
        support.wait_for(lambda: sum(name.endswith(".done") for name in self.store.names(pulling.STAGING)) >= 2, 20, "the other layers")
        running.kill()
        running.wait()
        self.registry.heal()
        self.registry.forget()
        self.assertEqual(len(self.partials()), 1)


@unittest.skipIf(pulling.absent(), pulling.absent())
@support.needs_root
class Killed(Resume):
    def kill_once(self, number, longest):
        """Bytes of a killed pull and of the one after it."""
        with ScriptedRegistry(rate=PACE) as registry:
            registry.add("repo", self.image, "tag")
            store = pulling.Store(self.world)
            running = self.start(registry, store)
            moment = random.Random(number).uniform(0, longest)
            running.ended_within(moment)
            running.kill()
            running.wait()
            self.assertEqual(store.read("index.json"), store.index)
            self.assertEqual(store.damaged(), [], f"killed after {moment:.3f} s")
            self.pulled(registry, store)
            self.assertEqual([n for n in store.names(pulling.STAGING) if not n.endswith(".done")], [], "something is left over")
            return registry.bytes_of("GET"), moment

    def test_at_50_moments(self):
        """Killed once, at a moment anywhere in the pull: the next one ends well; both together move 1.05 images at most."""
        longest = self.pulled().seconds
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for sent, moment in pool.map(lambda number: self.kill_once(number, longest), range(MOMENTS)):
                self.assertLessEqual(sent, 1.05 * self.image.wire_size, f"killed after {moment:.3f} of {longest:.3f} s")

    def test_one_pull_killed_again_and_again(self):
        """One image, killed every time after a bit of progress until it is there."""
        kills, total = 0, 0
        while True:
            running = self.start()
            ended = running.ended_within(0.25 + 0.01 * kills)
            if ended:
                break
            running.kill()
            running.wait()
            self.assertEqual(self.store.damaged(), [])
            kills += 1
            self.assertLess(kills, 100, "no progress")
        outcome = running.wait()
        self.assertIsNone(outcome.code, str(outcome))
        self.assertGreater(kills, 0)
        total = self.registry.bytes_of("GET")
        # What was under way is lost each time: some pieces of each connection.
        self.assertLessEqual(total, 1.05 * self.image.wire_size + kills * 400_000, f"{kills} kills")


@unittest.skipIf(pulling.absent(), pulling.absent())
@support.needs_root
class Leftovers(Resume):
    def moved(self):
        return self.registry.bytes_of("GET")

    def test_goes_on_where_it_ended(self):
        self.broken_off()
        outcome = self.pulled()
        self.assertLess(self.moved(), self.image.wire_size - 5_000_000)
        self.assertIn("resumed", [event["state"] for event in outcome.of("blob")])

    def test_bytes_were_changed(self):
        """A partial file with other bytes: found by the digest, fetched anew."""
        self.broken_off()
        with open(self.partials()[0], "r+b") as file:
            file.seek(1000)
            file.write(b"not what came over the wire")
        self.pulled()

    def test_file_is_shorter_than_its_map(self):
        self.broken_off()
        os.truncate(self.partials()[0], 100_000)
        self.pulled()

    def test_file_is_longer_than_the_blob(self):
        self.broken_off()
        with open(self.partials()[0], "ab") as file:
            file.write(bytes(20_000_000))
        self.pulled()

    def test_map_is_garbage_or_gone(self):
        for how in (lambda path: os.unlink(path), lambda path: os.truncate(path, 5), lambda path: os.truncate(path, 0), self.scribble):
            with self.subTest(how=how):
                self.store = pulling.Store(self.world)
                self.registry.forget()
                self.broken_off(2_000_000)
                how(self.partials()[0] + ".map")
                self.pulled()

    @staticmethod
    def scribble(path):
        with open(path, "r+b") as file:
            data = bytearray(file.read())
            data[len(data) // 2] ^= 0x40
            file.seek(0)
            file.write(data)

    def test_after_another_boot(self):
        """What was written and not yet durable when the power went is not trusted: the file's bytes are not there."""
        self.broken_off()
        path = self.partials()[0]
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            boot = file.read().strip()
        with open(path + ".map", "rb") as file:
            text = file.read()
        if boot not in text:
            self.skipTest("the map does not say in which boot it was written")
        size = os.stat(path).st_size
        with open(path, "r+b") as file:
            file.write(bytes(size))
        with open(path + ".map", "wb") as file:
            file.write(text.replace(boot, boot[::-1]))
        self.pulled()

    def test_a_blob_that_is_done_is_not_fetched_again(self):
        self.pulled()
        self.registry.forget()
        self.pulled()
        self.assertEqual(self.registry.bytes_of("GET blobs"), 0)


@unittest.skipIf(pulling.absent(), pulling.absent())
@support.needs_root
class AtOnce(Resume):
    def test_two_pulls_fetch_once(self):
        running = [self.start(), self.start()]
        outcomes = [one.wait() for one in running]
        self.assertEqual([outcome.code for outcome in outcomes], [None, None], f"{outcomes[0]}\n{outcomes[1]}")
        self.assertLessEqual(self.registry.bytes_of("GET blobs"), 1.05 * self.image.wire_size)
        self.assertEqual(self.store.lacks(self.image), set())
        self.assertEqual(self.store.damaged(), [])

    def test_images_that_share_a_layer(self):
        other = Image([])
        other.blobs.update(self.image.blobs)
        other.manifest["layers"] = [self.image.manifest["layers"][0]]
        other.config["rootfs"]["diff_ids"] = [self.image.config["rootfs"]["diff_ids"][0]]
        self.registry.add("other", other.seal(), "tag")
        first = self.start()
        second = pulling.start(self.store.path, f"{self.registry.host}/other:tag", [pulling.endpoint(self.registry, "other")])
        for outcome in (first.wait(), second.wait()):
            self.assertIsNone(outcome.code, str(outcome))
        self.assertLessEqual(self.registry.bytes_of("GET blobs"), 1.05 * self.image.wire_size)

    def test_the_one_that_fetches_is_killed(self):
        """The pull that waited takes over, and goes on from what is there."""
        first = self.start()
        support.wait_for(lambda: self.registry.bytes_of("GET blobs") > 500_000, what="a beginning")
        second = self.start()
        time.sleep(0.2)
        first.kill()
        first.wait()
        outcome = second.wait()
        self.assertIsNone(outcome.code, str(outcome))
        self.assertLessEqual(self.registry.bytes_of("GET blobs"), 1.05 * self.image.wire_size)
        self.assertEqual(self.store.lacks(self.image), set())

    def test_six_pulls(self):
        outcomes = [one.wait() for one in [self.start() for _ in range(6)]]
        self.assertEqual({outcome.code for outcome in outcomes}, {None}, "\n".join(map(str, outcomes)))
        self.assertLessEqual(self.registry.bytes_of("GET blobs"), 1.05 * self.image.wire_size)


if __name__ == "__main__":
    unittest.main()
