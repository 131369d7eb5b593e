"""The registries that the tests of pulling stand on, seen with skopeo and curl: a test that blames nexcage must be
able to trust them."""
import json
import os
import shutil
import subprocess
import unittest

import registry_docker
import registry_images
import support
from registry_auth import Authority, Basic, Tokens
from registry_docker import DockerRegistry, TokenServer, skopeo
from registry_images import Image, Index, write_images
from registry_server import Answer, ScriptedRegistry, connecting


def curl(*argv):
    return subprocess.run(["curl", "-sS", "--max-time", "10", *argv], capture_output=True, check=False, timeout=30)


class Scratch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = support.World()
        cls.addClassCleanup(cls.world.destroy)

    def new(self, name="x"):
        return self.world.path(self.world.new_id() + name)


@unittest.skipUnless(shutil.which("skopeo") and shutil.which("curl"), "needs the programs skopeo and curl")
class Scripted(Scratch):
    def setUp(self):
        self.registry = ScriptedRegistry()
        self.addCleanup(self.registry.stop)
        self.image = self.registry.add("a/b", Image(), "1")
        self.blob = f"{self.registry.url}/v2/a/b/blobs/{self.image.layer_digest(1)}"

    def fetch(self, *options, registry=None, name="a/b:1"):
        target = self.new("layout")
        skopeo("copy", "-q", "--preserve-digests", *(options or ["--src-tls-verify=false"]), f"docker://{(registry or self.registry).host}/{name}", f"oci:{target}:x")
        with open(os.path.join(target, "index.json"), encoding="utf-8") as file:
            return json.load(file)["manifests"][0]["digest"]

    def test_a_good_registry(self):
        self.assertEqual(self.fetch(), self.image.digest)
        self.assertEqual(self.registry.bytes_of("GET blobs") + self.registry.bytes_of("GET manifests"), self.image.wire_size)

    def test_kinds_of_images(self):
        every = {"members": lambda: Image([]).layer(registry_images.tar({"a": b"x" * 99999}), "members").seal(),
                 "frames": lambda: Image([]).layer(registry_images.tar({"a": b"x" * 99999}), "frames").seal(),
                 "plain": lambda: Image([]).layer(registry_images.tar({"a": b"x" * 99999}), "").seal()}
        for name, make in every.items():
            with self.subTest(name):
                image = self.registry.add("kinds", make(), name)
                self.assertEqual(self.fetch(name=f"kinds:{name}"), image.digest)
        docker = self.registry.add("kinds", Image(docker=True), "docker")
        self.fetch(name="kinds:docker")
        index = self.registry.add("kinds", Index(Image(platform="s390x", seed=5), docker, docker=False), "index")
        self.assertNotEqual(index.digest, docker.digest)
        self.fetch(name="kinds:index")

    def test_ranges(self):
        data = self.image.blobs[self.image.layer_digest(1)]
        self.assertEqual(curl("-r", "100-199", self.blob).stdout, data[100:200])
        self.assertEqual(curl("-r", "300000-", self.blob).stdout, data[300000:])
        self.assertEqual(self.registry.requests[0].range, (100, 199))
        self.assertEqual(curl("-o", "/dev/null", "-w", "%{http_code}", "-r", "9999999-", self.blob).stdout, b"416")

    def test_rules(self):
        self.registry.on("GET blobs", lambda wire, request, good: (wire.answer(good, upto=1000), wire.reset()), times=1, skip=1)
        self.assertEqual(curl("-o", "/dev/null", self.blob).returncode, 0)
        done = curl(self.blob)
        self.assertEqual((done.returncode, len(done.stdout)), (56, 1000), done.stderr)
        self.assertEqual(self.registry.requests[1].sent, 1000)
        self.assertEqual(curl("-o", "/dev/null", self.blob).returncode, 0)
        self.registry.on("*", lambda wire, request, good: wire.answer(Answer(503, b"busy")))
        self.assertEqual(curl(self.blob).stdout, b"busy")
        self.registry.heal()
        self.assertEqual(len(curl(self.blob).stdout), len(self.image.blobs[self.image.layer_digest(1)]))
        self.registry.on(connecting, lambda wire, *_: wire.reset(), times=1)
        # 7 (cannot connect) when the reset is faster than curl's look at the new connection.
        self.assertIn(curl(self.blob).returncode, (7, 56))
        self.assertEqual(curl("-o", "/dev/null", self.blob).returncode, 0)

    def test_a_hanging_answer_ends_with_its_client(self):
        self.registry.on("GET blobs", lambda wire, request, good: (wire.answer(good, upto=10), wire.hang()))
        self.assertEqual(subprocess.run(["curl", "-sS", "--max-time", "0.3", self.blob], capture_output=True, check=False).returncode, 28)
        support.wait_for(lambda: self.registry.requests[0].done, what="the end of the request")

    def test_pace(self):
        self.registry.rate = 1_000_000
        spent = float(curl("-o", "/dev/null", "-w", "%{time_total}", self.blob).stdout)
        self.assertGreater(spent, 0.2)

    def test_basic_and_tokens(self):
        for auth in (Basic(), Tokens()):
            with ScriptedRegistry(auth=auth) as registry:
                image = registry.add("private", Image(), "1")
                with self.assertRaises(RuntimeError):
                    self.fetch(registry=registry, name="private:1")
                with self.assertRaises(RuntimeError):
                    self.fetch("--src-tls-verify=false", "--src-creds=user:wrong", registry=registry, name="private:1")
                self.assertEqual(self.fetch("--src-tls-verify=false", "--src-creds=user:secret", registry=registry, name="private:1"), image.digest)
        with ScriptedRegistry(auth=Tokens(anonymous=True)) as registry:
            registry.add("public", Image(), "1")
            self.fetch(registry=registry, name="public:1")
            self.assertIn("repository:public:pull", registry.seen("token")[0].query["scope"])

    @unittest.skipUnless(shutil.which("openssl"), "needs the program openssl")
    def test_tls(self):
        authority = Authority(self.new("ca"))
        for name, given, code in (("good", {}, 0), ("expired", {"expired": True}, 60), ("other", {"names": "DNS:example.org"}, 60)):
            with self.subTest(name), ScriptedRegistry(tls=authority.issue(name, **given)) as registry:
                self.assertEqual(curl("--cacert", authority.certificate, registry.url + "/v2/").returncode, code)
                self.assertEqual(curl(registry.url + "/v2/").returncode, 60, "the authority is not known")
        with ScriptedRegistry(tls=(*authority.issue(), authority.certificate)) as registry:
            client = authority.issue("client")
            url = registry.url + "/v2/"
            self.assertNotEqual(curl("--cacert", authority.certificate, url).returncode, 0)
            self.assertEqual(curl("--cacert", authority.certificate, "--cert", client[0], "--key", client[1], url).returncode, 0)


@unittest.skipIf(registry_docker.absent(), registry_docker.absent())
class Docker(Scratch):
    def setUp(self):
        self.image = Image()
        self.transport = write_images(self.new("layout"), {"1": self.image})["1"]

    def check(self, registry):
        self.addCleanup(registry.stop)
        registry.push(self.transport, "bb:1")
        self.assertEqual(registry.digest("bb:1"), self.image.digest)
        registry.pull("bb:1", f"oci:{self.new('pulled')}:x")
        return registry

    def test_anonymous(self):
        registry = self.check(DockerRegistry(self.new()))
        with DockerRegistry(self.new(), mirror_of=registry.url) as mirror:
            mirror.pull("bb:1", f"oci:{self.new('pulled')}:x")

    def test_htpasswd(self):
        registry = self.check(DockerRegistry(self.new(), htpasswd=True))
        registry.credentials = "user:wrong"
        with self.assertRaises(RuntimeError):
            registry.digest("bb:1")

    def test_tokens(self):
        tokens = TokenServer(Authority(self.new("ca")), anonymous=True)
        self.addCleanup(tokens.stop)
        registry = self.check(DockerRegistry(self.new(), tokens=tokens))
        self.assertIn("repository:bb:pull,push", tokens.scopes)
        registry.credentials = None
        self.assertEqual(registry.digest("bb:1"), self.image.digest)
        with self.assertRaises(RuntimeError):
            registry.push(self.transport, "bb:2")

    def test_tls(self):
        authority = Authority(self.new("ca"))
        registry = DockerRegistry(self.new(), tls=authority.issue())
        registry.certificates = authority.trusting
        self.check(registry)
        registry.certificates = self.new("empty")
        os.mkdir(registry.certificates)
        with self.assertRaises(RuntimeError):
            registry.digest("bb:1")


if __name__ == "__main__":
    unittest.main()
