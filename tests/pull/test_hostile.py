"""Images that want all the memory, all the time or all the disk: bounded, whatever they are.

Memory is measured on the release build, because the sanitizers' own is many times that of the program.
"""
import gzip
import io
import os
import tarfile
import time
import unittest

import pulling
import support
from registry_images import OCI_LAYER, OCI_MANIFEST, Image, bomb, noise, tar, zstd, zstd_with_window
from registry_server import Answer, ScriptedRegistry

RELEASE = os.environ.get("NX_RELEASE", os.path.join(support.SOURCE, "build/release"))
HELPER = os.path.join(RELEASE, "libexec/nexcage/image")
MOST_MEMORY = 96 << 20  # what a pull may take, whatever the image


@unittest.skipIf(pulling.absent(HELPER), pulling.absent(HELPER))
@support.needs_root
class Bounded(support.Case):
    @classmethod
    def prepare(cls):
        pulling.Store(cls.world)

    def setUp(self):
        self.registry = ScriptedRegistry()
        self.addCleanup(self.registry.stop)
        self.store = pulling.Store(self.world)

    def pull(self, image=None, seconds=30.0, **more):
        if image:
            self.registry.add("repo", image, "tag")
        request = pulling.request_for(self.store.path, f"{self.registry.host}/repo:tag", [pulling.endpoint(self.registry, "repo")], **more)
        outcome = pulling.Running(request, helper=HELPER, measure=self.world.path("cost")).wait()
        self.assertLess(outcome.memory, MOST_MEMORY, str(outcome))
        self.assertLess(outcome.seconds, seconds, str(outcome))
        self.assertEqual(self.store.damaged(), [], str(outcome))
        return outcome

    def well(self, image, **more):
        outcome = self.pull(image, **more)
        self.assertIsNone(outcome.code, str(outcome))
        self.assertEqual(self.store.lacks(image), set())

    def test_one_large_layer(self):
        """256 MB that no compression makes smaller, in ranges over several connections."""
        data = noise(4 << 20) * 64
        self.well(Image([]).layer(tar({"large": data}), "").seal())

    def test_many_large_layers(self):
        self.well(Image([tar({f"f{n}": noise(4 << 20, n) * 2}) for n in range(8)]))

    def test_gzip_bomb(self):
        """1 GB of zeros in 1 MB, which is as far as gzip goes: verified without being written anywhere."""
        data, diff_id = bomb(lambda block: gzip.compress(block, 9, mtime=0), 1 << 30)
        self.well(Image([]).layer(b"", data=data, diff_id=diff_id).seal())

    def test_gzip_bomb_that_is_not_what_it_says(self):
        data, _ = bomb(lambda block: gzip.compress(block, 9, mtime=0), 1 << 30)
        outcome = self.pull(Image([]).layer(b"", data=data).seal())
        self.assertEqual(outcome.code, "InvalidImage", str(outcome))

    def test_zstd_bomb(self):
        data, diff_id = bomb(zstd, 1 << 30)
        outcome = self.pull(Image([]).layer(b"", data=data, media_type=OCI_LAYER + "+zstd", diff_id=diff_id).seal())
        self.assertEqual(outcome.code, "InvalidImage", str(outcome))

    def test_zstd_with_a_window_of_gigabytes(self):
        plain = tar({"x": b"text " * 100_000})
        data = zstd_with_window(plain, 31)
        outcome = self.pull(Image([]).layer(plain, data=data, media_type=OCI_LAYER + "+zstd").seal())
        self.assertEqual(outcome.code, "InvalidImage", str(outcome))

    def test_manifest_of_ten_gigabytes(self):
        self.registry.add("repo", Image(), "tag")
        for answer in (lambda: Answer(200, (b" " * 65536 for _ in range(160_000)), Content_Length=10 << 30, Content_Type=OCI_MANIFEST),
                       lambda: Answer(200, (b"10000\r\n" + b" " * 65536 + b"\r\n" for _ in range(160_000)),
                                      Transfer_Encoding="chunked", Content_Type=OCI_MANIFEST)):
            with self.subTest(headers=answer().headers):
                self.registry.heal()
                self.registry.on("GET manifests", lambda wire, request, good, answer=answer: wire.answer(answer()))
                outcome = self.pull()
                self.assertEqual(outcome.code, "InvalidImage", str(outcome))
                self.assertLess(self.registry.bytes_of(), 16 << 20)

    def test_manifest_at_its_limit(self):
        """4 MiB of annotations are read, one byte more is not."""
        for more, code in ((-1, None), (0, None), (1, "InvalidImage")):
            with self.subTest(more=more):
                image = Image()
                image.manifest["annotations"] = {"a": ""}
                image.manifest["annotations"]["a"] = "x" * ((4 << 20) + more - len(image.bytes))
                self.assertEqual(len(image.bytes), (4 << 20) + more)
                self.assertEqual(self.pull(image).code, code)

    def test_many_tiny_layers(self):
        self.well(Image([tar({f"f{n}": b"%d" % n}) for n in range(127)]))

    def test_a_hundred_thousand_tiny_files(self):
        layer = support.Tar()
        for number in range(100_000):
            layer.add(f"f{number}", data=b"x")
        self.well(Image([layer.finish()]))



def pax_tar(name, headers):
    """A layer of one file, with an extended header of these records."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo(name)
        member.pax_headers = headers
        archive.addfile(member, io.BytesIO())
    return out.getvalue()


@unittest.skipIf(pulling.absent(), pulling.absent())
@support.needs_root
class Prepared(support.Case):
    """The verb goes one step further than the helper: what came is made ready to run."""

    LAYERS = {"path of 4,097 bytes": pax_tar("a/" * 2048 + "x", {}), "record of 2 MiB": pax_tar("a", {"comment": "x" * (2 << 20)})}

    def test_members_over_the_caps(self):
        registry = ScriptedRegistry()
        self.addCleanup(registry.stop)
        for number, (what, layer) in enumerate(self.LAYERS.items()):
            with self.subTest(what):
                registry.add(f"hostile/{number}", Image([layer]), "tag")
                began = time.monotonic()
                answer, records = self.world.logged("pull", "--tls-verify=false", f"{registry.host}/hostile/{number}:tag")
                self.assert_error(answer, records, "InvalidImage", 125, "tar at byte")
                self.assertLess(time.monotonic() - began, 20)
                layers = self.world.path("layers")
                left = [path for path in support.tree(layers) if path.endswith(("/tar", "/index", ".tar"))] if os.path.isdir(layers) else []
                self.assertEqual(left, [])


if __name__ == "__main__":
    unittest.main()
