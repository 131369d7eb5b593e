"""Layers that a pull leaves inflated for LayerFS: the tar itself, only when all of it is right."""
import hashlib
import os
import shutil
import subprocess
import unittest

import pulling
import support
from registry_images import Image, noise, tar
from registry_server import ScriptedRegistry


@unittest.skipIf(pulling.absent(), pulling.absent())
class Inflated(support.Case):
    @classmethod
    def prepare(cls):
        pulling.Store(cls.world)

    def setUp(self):
        self.registry = ScriptedRegistry()
        self.addCleanup(self.registry.stop)
        self.store = pulling.Store(self.world)
        self.tars = self.world.path("tars")
        os.makedirs(self.tars)
        self.addCleanup(shutil.rmtree, self.tars)

    def pull(self, image, **more):
        self.registry.add("repo", image, "tag")
        return pulling.pull(self.store.path, f"{self.registry.host}/repo:tag", [pulling.endpoint(self.registry, "repo")],
                            tars=self.tars, **more)

    def left(self):
        """Name and content's SHA-256 of what is in the directory."""
        found = {}
        for name in os.listdir(self.tars):
            with open(os.path.join(self.tars, name), "rb") as file:
                found[name] = hashlib.sha256(file.read()).hexdigest()
        return found

    def test_every_compression(self):
        layers = [tar({"a": noise(300_000)}), tar({"b": b"b" * 5_000_000}), tar({"c": b"c"})]
        image = Image([]).layer(layers[0], "gzip").layer(layers[1], "zstd").layer(layers[2], "").seal()
        outcome = self.pull(image)
        self.assertIsNone(outcome.code, str(outcome))
        wanted = {f"sha256-{digest}.tar": digest for digest in (hashlib.sha256(layer).hexdigest() for layer in layers[:2])}
        self.assertEqual(self.left(), wanted, "the plain one is the blob itself")
        modes = {os.stat(os.path.join(self.tars, name)).st_mode & 0o7777 for name in wanted}
        self.assertEqual(modes, {0o400})

    def test_not_what_it_says(self):
        good = tar({"a": b"a"})
        image = Image([]).layer(good, "gzip").layer(tar({"b": b"b"}), "gzip", diff_id="sha256:" + "0" * 64).seal()
        outcome = self.pull(image)
        self.assertEqual(outcome.code, "InvalidImage", str(outcome))
        self.assertLessEqual(set(self.left().values()), {hashlib.sha256(good).hexdigest()})

    @support.needs_root
    def test_no_room_for_it(self):
        """Whoever needs the layer inflates it again; the pull has what it was asked for."""
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", self.tars], check=True)
        self.addCleanup(subprocess.run, ["umount", self.tars], check=True)
        image = Image([tar({"a": noise(300_000)})])
        outcome = self.pull(image)
        self.assertIsNone(outcome.code, str(outcome))
        self.assertEqual(self.store.lacks(image), set())
        self.assertEqual(self.left(), {})


if __name__ == "__main__":
    unittest.main()
