"""Images that the policy wants signed, with openssl as the signer. (Debian's skopeo and podman have sigstore taken out, so
they cannot be asked for a second opinion.)"""
import base64
import os
import shutil
import unittest

import pulling
import support
from registry_auth import openssl
from registry_images import Image, Index, descriptor, dumps
from registry_server import ScriptedRegistry

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
KINDS = {"ecdsa": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
         "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "ed25519": ["-algorithm", "ED25519"]}


def payload(digest, name):
    return dumps({"critical": {"identity": {"docker-reference": name}, "image": {"docker-manifest-digest": digest},
                               "type": "cosign container image signature"}, "optional": None})


@unittest.skipUnless(shutil.which("openssl"), "needs the program openssl")
@unittest.skipIf(pulling.absent(), pulling.absent())
@support.needs_root
class Signatures(support.Case):
    @classmethod
    def prepare(cls):
        cls.keys = {}
        for kind in KINDS:
            private, public = cls.world.path(kind + ".key"), cls.world.path(kind + ".pub")
            openssl("genpkey", *KINDS[kind], "-out", private)
            openssl("pkey", "-in", private, "-pubout", "-out", public)
            cls.keys[kind] = (private, public)

    def setUp(self):
        super().setUp()
        self.registry = ScriptedRegistry()
        self.addCleanup(self.registry.stop)
        self.image = self.registry.add("a/b", Image(), "1")
        self.name = f"{self.registry.host}/a/b:1"

    def signature(self, kind, text):
        path = self.world.path(self.world.new_id() + "payload")
        with open(path, "wb") as file:
            file.write(text)
        how = ["pkeyutl", "-sign", "-rawin", "-in", path, "-inkey", self.keys[kind][0]]
        return openssl(*how, *([] if kind == "ed25519" else ["-digest", "sha256"]))

    def attach(self, digest, *signed):
        """signed: (payload, signature) pairs, as cosign attaches them."""
        attached = Image([])
        for text, signature in signed:
            layer = descriptor(PAYLOAD, text)
            layer["annotations"] = {"dev.cosignproject.cosign/signature": base64.b64encode(signature).decode()}
            attached.blobs[layer["digest"]] = text
            attached.manifest["layers"].append(layer)
        self.registry.add("a/b", attached.seal(), digest.replace(":", "-") + ".sig")

    def sign(self, kind="ecdsa", digest=None, name=None):
        digest = digest or self.image.digest
        text = payload(digest, name or self.name)
        self.attach(digest, (text, self.signature(kind, text)))

    def pulled(self, *kinds, identity=None, name=None):
        identity = identity or {"type": "matchRepoDigestOrExact"}
        keys = []
        for kind in kinds or ("ecdsa",):
            with open(self.keys[kind][1], encoding="ascii") as file:
                keys.append(file.read())
        trust = {"type": "sigstore", "rule": "/policy.json: default", "requirements": [{"keys": keys, "identity": identity}]}
        images = self.world.path(self.world.new_id() + "images")
        os.makedirs(os.path.join(images, "blobs/sha256"))
        return pulling.pull(images, name or self.name, [pulling.endpoint(self.registry, "a/b")], trust=trust)

    def verdict(self, accepted, text="", kind="ecdsa", identity=None):
        outcome = self.pulled(kind, identity=identity)
        self.assertEqual(outcome.code, None if accepted else "PermissionDenied", outcome)
        self.assertIn(text, outcome.message)
        if not accepted:
            self.assertIn("/policy.json: default", outcome.message)

    def test_keys_of_every_kind(self):
        for kind in KINDS:
            with self.subTest(kind):
                self.sign(kind)
                self.verdict(True, kind=kind)

    def test_no_signature(self):
        self.verdict(False, "the image has none")

    def test_another_key(self):
        self.sign("rsa")
        self.verdict(False, "made by none of the rule's keys")

    def test_another_manifest(self):
        other = Image(seed=7)
        text = payload(other.digest, self.name)
        self.attach(self.image.digest, (text, self.signature("ecdsa", text)))
        self.verdict(False, "another manifest")

    def test_a_changed_payload(self):
        text = payload(self.image.digest, self.name)
        self.attach(self.image.digest, (text.replace(b"null", b"{}"), self.signature("ecdsa", text)))
        self.verdict(False, "made by none")

    def test_names(self):
        repository = self.name.rsplit(":", 1)[0]
        self.sign(name=repository)
        self.verdict(False, "for the name")
        self.verdict(True, identity={"type": "matchRepository"})
        self.verdict(True, identity={"type": "exactRepository", "dockerRepository": repository})
        self.verdict(False, identity={"type": "exactRepository", "dockerRepository": "example.com/other"})

    def test_one_good_signature_among_bad_ones(self):
        text = payload(self.image.digest, self.name)
        self.attach(self.image.digest, (text, b"bad"), (text, self.signature("rsa", text)), (text, self.signature("ecdsa", text)))
        self.verdict(True)

    def test_a_signed_index_stands_for_its_images(self):
        index = self.registry.add("a/b", Index(self.image, Image(platform="arm64", seed=5)), "1")
        self.assertEqual(self.pulled().code, "PermissionDenied")
        self.sign(digest=index.digest)
        self.assertIsNone(self.pulled().code)

    def test_nothing_is_fetched_before_the_verdict(self):
        self.assertEqual(self.pulled().code, "PermissionDenied")
        self.assertEqual(self.registry.bytes_of("GET blobs"), 0)


if __name__ == "__main__":
    unittest.main()
