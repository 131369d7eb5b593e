"""Pulls from docker-registry as people run it: every way to come in, every kind of image, with skopeo as the judge."""
import unittest

import pulling
import registry_docker
import support
from registry_auth import Authority
from registry_docker import PASSWORD, USER, DockerRegistry, TokenServer
from registry_images import Image, Index, noise, tar, write_images

CREDENTIAL = {"username": USER, "password": PASSWORD}


def images():
    """Tag -> image: what people push."""
    text = tar({"text": b"the same line again\n" * 20000})
    gzip, docker = Image(seed=10), Image(docker=True, seed=20)
    return {
        "gzip": gzip,
        "zstd": Image([]).layer(text, "zstd").layer(tar({"z": noise(9999)}), "frames").seal(),
        "members": Image([]).layer(text, "members").seal(),
        "plain": Image([]).layer(text, "").seal(),
        "schema2": docker,
        "fifty": Image([tar({f"f{n}": noise(3000, n)}) for n in range(50)]),
        "large": Image([tar({"large": noise(8_000_000, 3)})]),
        "index": Index(Image(platform="arm64", seed=30), gzip, Image(platform="s390x", seed=40)),
        "list": Index(docker, Image(docker=True, platform="arm64", seed=50), docker=True),
    }


@unittest.skipIf(registry_docker.absent() or pulling.absent(), registry_docker.absent() or pulling.absent())
@support.needs_root
class RealRegistry(support.Case):
    @classmethod
    def prepare(cls):
        cls.images = images()
        cls.authority = Authority(cls.world.path("ca"))
        cls.pushable = write_images(cls.world.path("pushed"), cls.images)
        pulling.Store(cls.world)

    def setUp(self):
        self.store = pulling.Store(self.world)

    def registry(self, **options):
        registry = DockerRegistry(self.world.path(self.world.new_id()), **options)
        self.addCleanup(registry.stop)
        if options.get("tls"):
            registry.certificates = self.authority.trusting
        return registry

    def pushed(self, registry, *tags):
        for tag in tags:
            registry.push(self.pushable[tag], f"some/thing:{tag}", "--all", "--preserve-digests")
        return registry

    def pull(self, registry, tag, credential=None, **more):
        point = pulling.endpoint(registry, "some/thing", credential=credential)
        point["tls"]["ca_files"] = [self.authority.certificate] if registry.scheme == "https" else []
        return pulling.pull(self.store.path, f"{registry.host}/some/thing:{tag}", more.pop("endpoints", [point]), **more)

    def well(self, registry, tag, *args, **more):
        """Pulls and compares with what was pushed; returns the outcome."""
        outcome = self.pull(registry, tag, *args, **more)
        self.assertIsNone(outcome.code, f"{tag}: {outcome}\n{registry.log()[-3000:]}")
        image = self.images[tag]
        wanted = more.get("platform", {}).get("architecture", "amd64")
        if isinstance(image, Index):
            self.assertEqual(outcome.ok["index"]["digest"], image.digest)
            image = next(one for one in image.images if one.config["architecture"] == wanted)
        self.assertEqual(outcome.ok["manifest"]["digest"], image.digest)
        self.assertEqual(self.store.lacks(image), set())
        self.assertEqual(self.store.damaged(), [])
        return outcome

    def test_every_kind_of_image(self):
        registry = self.pushed(self.registry(), *self.images)
        for tag in self.images:
            with self.subTest(tag):
                self.store = pulling.Store(self.world)
                self.well(registry, tag)

    def test_another_platform(self):
        registry = self.pushed(self.registry(), "index", "list")
        for tag in ("index", "list"):
            with self.subTest(tag):
                self.well(registry, tag, platform={"os": "linux", "architecture": "arm64", "variant": "v8"})
        outcome = self.pull(registry, "index", platform={"os": "linux", "architecture": "riscv64", "variant": ""})
        self.assertEqual(outcome.code, "ImageNotFound", str(outcome))
        self.assertIn("s390x", outcome.message)

    def test_wire_bytes(self):
        registry = self.pushed(self.registry(), "large")
        outcome = self.well(registry, "large")
        self.assertLessEqual(outcome.ok["wire_bytes"], 1.05 * self.images["large"].wire_size)
        self.assertGreaterEqual(outcome.ok["wire_bytes"], self.images["large"].wire_size)

    def test_htpasswd(self):
        registry = self.pushed(self.registry(htpasswd=True), "gzip")
        self.assertEqual(self.pull(registry, "gzip").code, "PermissionDenied")
        self.assertEqual(self.pull(registry, "gzip", dict(CREDENTIAL, password="wrong")).code, "PermissionDenied")
        self.well(registry, "gzip", CREDENTIAL)

    def test_tokens(self):
        tokens = TokenServer(self.authority)
        self.addCleanup(tokens.stop)
        registry = self.pushed(self.registry(tokens=tokens), "gzip", "index")
        self.assertEqual(self.pull(registry, "gzip").code, "PermissionDenied")
        self.assertEqual(self.pull(registry, "gzip", dict(CREDENTIAL, password="wrong")).code, "PermissionDenied")
        tokens.scopes.clear()
        self.well(registry, "gzip", CREDENTIAL)
        self.assertEqual(set(tokens.scopes), {"repository:some/thing:pull"})
        self.well(registry, "index", CREDENTIAL)

    def test_tokens_for_everybody(self):
        tokens = TokenServer(self.authority, anonymous=True)
        self.addCleanup(tokens.stop)
        self.well(self.pushed(self.registry(tokens=tokens), "fifty"), "fifty")

    def test_tls_with_an_own_authority(self):
        """HTTP/2 and all."""
        registry = self.pushed(self.registry(tls=self.authority.issue()), "fifty", "large", "index")
        for tag in ("fifty", "large", "index"):
            with self.subTest(tag):
                self.well(registry, tag)
        outcome = self.pull(registry, "gzip", endpoints=[pulling.endpoint(registry, "some/thing")])
        self.assertEqual(outcome.code, "RegistryError", str(outcome))
        self.assertIn("certificate", outcome.message)

    def test_tls_and_htpasswd(self):
        registry = self.pushed(self.registry(tls=self.authority.issue(), htpasswd=True), "zstd")
        self.well(registry, "zstd", CREDENTIAL)

    def test_pull_through_mirror(self):
        """A mirror that fetches what it does not have; then it is stopped and the registry takes over."""
        origin = self.pushed(self.registry(), "gzip", "schema2", "zstd")
        mirror = self.registry(mirror_of=origin.url)
        both = [pulling.endpoint(mirror, "some/thing", prefix_rule="mirror"), pulling.endpoint(origin, "some/thing")]
        outcome = self.well(origin, "gzip", endpoints=both)
        self.assertEqual(outcome.ok["endpoint"], mirror.url)
        mirror.stop()
        outcome = self.well(origin, "schema2", endpoints=both)
        self.assertEqual(outcome.ok["endpoint"], origin.url)

    def test_registry_ends_in_mid_pull(self):
        """The mirror is stopped while it serves a large blob."""
        registry = self.pushed(self.registry(), "large")
        running = pulling.start(self.store.path, f"{registry.host}/some/thing:large", [pulling.endpoint(registry, "some/thing")])
        support.wait_for(lambda: self.store.names(pulling.STAGING) or running.ended_within(0), what="a beginning")
        registry.stop()
        outcome = running.wait()
        self.assertIn(outcome.code, (None, "RegistryError"), str(outcome))
        registry.start()
        self.well(registry, "large")

    def test_unchanged(self):
        registry = self.pushed(self.registry(), "gzip", "index")
        for tag in ("gzip", "index"):
            outcome = self.well(registry, tag)
            digest = self.images[tag].digest
            again = self.pull(registry, tag, if_digest=digest)
            self.assertIsNone(again.code, str(again))
            self.assertTrue(again.ok["unchanged"])
            self.assertEqual(again.of("blob"), [])
            self.assertFalse(outcome.ok["unchanged"])

    def test_by_digest(self):
        registry = self.pushed(self.registry(), "gzip", "index")
        for tag in ("gzip", "index"):
            digest = self.images[tag].digest
            point = pulling.endpoint(registry, "some/thing")
            for reference in (f"{registry.host}/some/thing@{digest}", f"{registry.host}/some/thing:{tag}@{digest}"):
                outcome = pulling.pull(self.store.path, reference, [point])
                self.assertIsNone(outcome.code, str(outcome))
                self.assertEqual(outcome.ok["manifest"]["digest"], self.images["gzip"].digest)

    def test_no_such_image(self):
        registry = self.pushed(self.registry(), "gzip")
        outcome = self.pull(registry, "absent")
        self.assertEqual(outcome.code, "ImageNotFound", str(outcome))
        for word in (registry.host, "some/thing", "absent"):
            self.assertIn(word, outcome.message)


if __name__ == "__main__":
    unittest.main()
