"""Pushing, logging in, listing: docker-registry and a scripted one, with skopeo as the judge of what arrived."""
import json
import os
import unittest

import pulling
import registry_docker
import support
from registry_auth import Authority
from registry_docker import PASSWORD, USER, DockerRegistry, TokenServer, skopeo
from registry_images import Image, Index, digest_of, noise, tar
from registry_server import Answer, ScriptedRegistry

CREDENTIAL = {"username": USER, "password": PASSWORD}


def call(verb, **request):
    request["settings"] = {**pulling.SETTINGS, **request.get("settings", {})}
    return pulling.Running(request, verb=verb).wait()


def put(layout, *texts):
    for text in texts:
        with open(os.path.join(layout, "blobs/sha256", digest_of(text).split(":")[1]), "wb") as file:
            file.write(text)


def write_store(path, *images):
    """An image store with these in it, without names."""
    os.makedirs(os.path.join(path, "blobs/sha256"))
    for name, text in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", {"schemaVersion": 2, "manifests": []})):
        with open(os.path.join(path, name), "w", encoding="utf-8") as file:
            json.dump(text, file)
    for image in images:
        for one in (image, *getattr(image, "images", ())):
            put(path, one.bytes, *getattr(one, "blobs", {}).values())
    return path


@unittest.skipIf(registry_docker.absent() or pulling.absent(), registry_docker.absent() or pulling.absent())
@support.needs_root
class Push(support.Case):
    @classmethod
    def prepare(cls):
        cls.image = Image([tar({f"f{n}": noise(40_000, n)}) for n in range(4)])
        cls.large = Image([tar({"large": noise(3_000_000, 9)})])
        cls.index = Index(cls.image, Image(platform="arm64", seed=30))
        cls.layout = write_store(cls.world.path("layout"), cls.image, cls.large, cls.index)
        cls.authority = Authority(cls.world.path("ca"))

    def registry(self, **options):
        registry = DockerRegistry(self.world.path(self.world.new_id()), **options)
        self.addCleanup(registry.stop)
        return registry

    def endpoint(self, registry, repository="a/b", **more):
        point = pulling.endpoint(registry, repository, **more)
        point["tls"]["ca_files"] = [self.authority.certificate] if registry.scheme == "https" else []
        return point

    def push(self, registry, image, tag="t", repository="a/b", **more):
        credential = more.pop("credential", None)
        return call("push", images=self.layout, manifest=image.digest, reference=f"{registry.host}/{repository}:{tag}",
                    endpoint=self.endpoint(registry, repository, credential=credential), **more)

    def well(self, registry, image, *args, **more):
        outcome = self.push(registry, image, *args, **more)
        self.assertIsNone(outcome.code, f"{outcome}\n{registry.log()[-3000:]}")
        return [blob["state"] for blob in outcome.ok["blobs"]]

    def test_an_image_arrives_as_it_is(self):
        registry = self.registry()
        self.assertEqual(set(self.well(registry, self.image)), {"done"})
        self.assertEqual(registry.digest("a/b:t"), self.image.digest)
        registry.pull("a/b:t", f"oci:{self.world.path(self.world.new_id())}:x")
        self.assertEqual(set(self.well(registry, self.image, "other")), {"present"})

    def test_an_index_with_all_its_members(self):
        registry = self.registry()
        self.well(registry, self.index)
        self.assertEqual(registry.digest("a/b:t"), self.index.digest)
        skopeo("copy", "-q", "--all", "--src-tls-verify=false", f"docker://{registry.host}/a/b:t",
               f"oci:{self.world.path(self.world.new_id())}:x")

    def test_blobs_are_mounted_from_another_repository(self):
        registry = self.registry()
        self.well(registry, self.image, repository="from/here")
        states = self.well(registry, self.image, repository="to/there", mount_from=["not/here", "from/here"])
        self.assertEqual(set(states), {"mounted"})
        self.assertEqual(registry.digest("to/there:t"), self.image.digest)

    def test_a_large_blob_goes_in_chunks(self):
        registry = self.registry()
        self.well(registry, self.large, settings={"chunk_bytes": 500_000})
        self.assertEqual(registry.digest("a/b:t"), self.large.digest)
        self.assertGreaterEqual(registry.log().count('"PATCH /v2/a/b/blobs/uploads/'), 6)

    def test_who_may_not_is_told_so(self):
        tokens = TokenServer(self.authority, anonymous=True)
        self.addCleanup(tokens.stop)
        for options in ({"htpasswd": True}, {"tokens": tokens}):
            registry = self.registry(**options)
            self.assertEqual(self.push(registry, self.image).code, "PermissionDenied")
            outcome = self.push(registry, self.image, credential=dict(CREDENTIAL, password="hunter2"))
            self.assertEqual(outcome.code, "PermissionDenied", str(outcome))
            self.assertNotIn("hunter2", str(outcome))
            self.well(registry, self.image, credential=CREDENTIAL)

    def test_an_image_of_which_a_blob_is_missing(self):
        registry = self.registry()
        lacking = write_store(self.world.path(self.world.new_id()), self.image)
        os.unlink(os.path.join(lacking, "blobs/sha256", self.image.layer_digest(2).split(":")[1]))
        outcome = call("push", images=lacking, manifest=self.image.digest, reference=f"{registry.host}/a/b:t", endpoint=self.endpoint(registry))
        self.assertEqual(outcome.code, "InvalidImage", str(outcome))
        self.assertIn("missing", outcome.message)

    def test_log_in(self):
        secure = self.registry(htpasswd=True, tls=self.authority.issue())
        point = self.endpoint(secure, "", credential=CREDENTIAL)
        self.assertEqual(call("login", endpoint=point).ok, {"endpoint": secure.url})
        point["credential"] = dict(CREDENTIAL, password="hunter2")
        outcome = call("login", endpoint=point)
        self.assertEqual(outcome.code, "PermissionDenied", str(outcome))
        self.assertNotIn("hunter2", str(outcome))
        unknown = dict(point, tls=dict(point["tls"], ca_files=[]))
        self.assertEqual(call("login", endpoint=unknown).code, "RegistryError")

    def test_https_that_is_none_is_followed_by_http_at_once(self):
        registry = self.registry()
        plain = self.endpoint(registry, "")
        tls = dict(plain, url=plain["url"].replace("http:", "https:"), tls=dict(plain["tls"], verify=False))
        outcome = call("login", endpoints=[tls, plain], settings={"retry_delay_ms": 60000})
        self.assertEqual(outcome.ok, {"endpoint": registry.url}, str(outcome))

    def test_tags(self):
        registry = self.registry()
        for tag in ("one", "two"):
            self.well(registry, self.image, tag)
        outcome = call("tags", endpoint=self.endpoint(registry))
        self.assertEqual(sorted(outcome.ok["tags"]), ["one", "two"])
        self.assertEqual(call("tags", endpoint=self.endpoint(registry, "no/thing")).code, "ImageNotFound")

    def test_referrers_by_tag_where_the_api_is_missing(self):
        registry = self.registry()
        self.well(registry, self.image)
        empty = b"{}"
        document = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": "application/x-test",
                    "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(empty), "size": 2}, "layers": [],
                    "subject": {"mediaType": self.image.media_type, "digest": self.image.digest, "size": len(self.image.bytes)}}
        data = json.dumps(document).encode()
        put(self.layout, empty, data)
        for _ in range(2):  # the second time it is listed already
            outcome = call("push", images=self.layout, manifest=digest_of(data), reference=f"{registry.host}/a/b:note", endpoint=self.endpoint(registry))
            self.assertIsNone(outcome.code, str(outcome))
        answer = call("referrers", endpoint=self.endpoint(registry), digest=self.image.digest)
        self.assertEqual([(one["digest"], one["artifactType"]) for one in answer.ok["referrers"]], [(digest_of(data), "application/x-test")])
        other = call("referrers", endpoint=self.endpoint(registry), digest=self.image.digest, artifact_type="application/y")
        self.assertEqual(other.ok, {"referrers": []})
        self.assertEqual(call("referrers", endpoint=self.endpoint(registry), digest=digest_of(data)).ok, {"referrers": []})


@unittest.skipIf(pulling.absent(), pulling.absent())
@support.needs_root
class Lists(support.Case):
    def setUp(self):
        self.registry = ScriptedRegistry()
        self.addCleanup(self.registry.stop)

    def tags(self):
        return call("tags", endpoint=pulling.endpoint(self.registry, "a"))

    def page(self, tags, link=None):
        more = {"Link": link} if link else {}
        return lambda wire, request, good: wire.answer(Answer(200, json.dumps({"name": "a", "tags": tags}).encode(), **more))

    def test_pages(self):
        self.registry.on("*", self.page(["a", "b"], '</v2/a/tags/list?last=b>; rel="next"'), times=1)
        self.registry.on("*", self.page(["c"]))
        self.assertEqual(self.tags().ok, {"tags": ["a", "b", "c"]})

    def test_pages_in_a_circle(self):
        self.registry.on("*", self.page(["a"], '</v2/a/tags/list?n=1000>; rel="next"'))
        outcome = self.tags()
        self.assertEqual(outcome.code, "RegistryError", str(outcome))
        self.assertIn("circle", outcome.message)


if __name__ == "__main__":
    unittest.main()
