"""Scenarios of documents and blobs: what a registry holds is not what it should be."""
import hashlib

from registry_images import (EMPTY, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Image, Index, attestation, descriptor, digest_of,
                             bomb, dumps, gzipped, noise, tar, zstd, zstd_with_window)
from registry_server import Answer, problem
from scenario import change, say, scenario

PLAIN = tar({"file": b"some text\n" * 10000})
MORE = tar({"more": noise(5000)})


# --- manifests ---


@scenario("InvalidImage", "digest")
def manifest_has_another_digest(stage):
    """asked for by digest, another manifest comes"""
    stage.reference = f"{stage.registry.host}/repo@{stage.image.digest}"
    other = Image(seed=77)
    stage.registry.on("GET manifests", lambda wire, request, good: wire.answer(Answer(200, other.bytes, Content_Type=OCI_MANIFEST)))


@scenario("InvalidImage", "digest")
def digest_header_lies(stage):
    """Docker-Content-Digest is not that of the manifest"""
    stage.registry.on("manifests", change(Docker_Content_Digest=EMPTY))


@scenario(None)
def digest_header_is_garbage(stage):
    """Docker-Content-Digest is no digest: the document's own is what counts"""
    stage.registry.on("manifests", change(Docker_Content_Digest="sha256:../../etc/passwd"))


def document(stage, data, media_type=OCI_MANIFEST):
    """These bytes as the manifest of the tag, with headers that fit."""
    stage.serve(Image()).raw = data if isinstance(data, bytes) else dumps(data)
    image = stage.image
    stage.registry.add("repo", image, "tag")
    stage.registry.repositories["repo"][image.digest] = (media_type, image.bytes)


@scenario("InvalidImage")
def manifest_is_no_json(stage):
    """a manifest that ends in the middle of a word"""
    document(stage, stage.image.bytes[:-30])


@scenario("InvalidImage")
def manifest_is_a_page(stage):
    """200 with a page for people, as captive portals do"""
    stage.registry.on("manifests", say(200, b"<html>Please log in</html>", Content_Type="text/html"))


@scenario("InvalidImage")
def manifest_is_empty(stage):
    """a manifest of no bytes"""
    document(stage, b"")


@scenario("InvalidImage")
def manifest_is_an_array(stage):
    """a manifest that is a list"""
    document(stage, b"[]")


@scenario("InvalidImage")
def duplicate_keys(stage):
    """a manifest with two lists of layers"""
    document(stage, stage.image.bytes[:-1] + b',"layers":[]}')


@scenario("InvalidImage")
def deep_nesting(stage):
    """a manifest with 100,000 arrays in each other"""
    document(stage, stage.image.bytes[:-1] + b',"annotations":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


@scenario("InvalidImage")
def media_type_disagrees(stage):
    """Content-Type says manifest, mediaType says index"""
    document(stage, dict(stage.image.manifest, mediaType=OCI_INDEX))


@scenario("InvalidImage")
def content_type_disagrees(stage):
    """Content-Type says index, the document is a manifest"""
    document(stage, stage.image.bytes, media_type=OCI_INDEX)


@scenario("InvalidImage")
def manifests_and_layers(stage):
    """one document that is an index and a manifest"""
    document(stage, dict(stage.image.manifest, manifests=[stage.image.entry]))


@scenario("InvalidImage")
def unknown_manifest_type(stage):
    """a document of a type that nobody knows"""
    document(stage, dict(stage.image.manifest, mediaType="application/vnd.example.thing.v1+json"), "application/vnd.example.thing.v1+json")


@scenario("Unsupported", "schema 1")
def schema_1(stage):
    """a manifest of Docker's first schema"""
    old = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    document(stage, {"schemaVersion": 1, "name": "repo", "tag": "tag", "architecture": "amd64",
                     "fsLayers": [{"blobSum": EMPTY}], "history": [{"v1Compatibility": "{}"}], "signatures": []}, old)


@scenario("InvalidImage")
def ten_gigabytes_promised(stage):
    """a manifest with a Content-Length of 10 GB"""
    stage.registry.on("manifests", lambda wire, request, good: wire.answer(
        Answer(200, (b" " * 65536 for _ in range(160_000)), Content_Length=10 << 30, Content_Type=OCI_MANIFEST)))
    yield
    stage.test.assertLess(stage.registry.bytes_of(), 16 << 20)


@scenario("InvalidImage")
def ten_gigabytes_streamed(stage):
    """a manifest of 10 GB in chunks, without a length"""
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    stage.registry.on("GET manifests", lambda wire, request, good: wire.answer(
        Answer(200, (chunk for _ in range(160_000)), Transfer_Encoding="chunked", Content_Type=OCI_MANIFEST)))
    yield
    stage.test.assertLess(stage.registry.bytes_of(), 16 << 20)


def with_layer(stage, **fields):
    """The good manifest, its first layer's descriptor changed."""
    layers = [dict(stage.image.manifest["layers"][0], **fields), *stage.image.manifest["layers"][1:]]
    document(stage, dict(stage.image.manifest, layers=layers))


@scenario("InvalidImage", "digest")
def digest_is_a_path(stage):
    """a layer whose digest is a way out of the store"""
    with_layer(stage, digest="sha256:../../../../../../etc/passwd")


@scenario("InvalidImage", "digest")
def digest_of_an_unknown_algorithm(stage):
    """a layer whose digest is md5"""
    with_layer(stage, digest="md5:" + hashlib.md5(b"x", usedforsecurity=False).hexdigest())


@scenario("InvalidImage", "size")
def size_is_negative(stage):
    """a layer of -1 bytes"""
    with_layer(stage, size=-1)


@scenario("InvalidImage", "size")
def size_is_a_text(stage):
    """a layer of "100" bytes"""
    with_layer(stage, size="100")


@scenario("InvalidImage", "size")
def size_is_beyond_64_bits(stage):
    """a layer of 2^64 bytes"""
    with_layer(stage, size=1 << 64)


@scenario("InvalidImage")
def config_is_huge(stage):
    """a config of 1 GB, as the manifest says"""
    manifest = dict(stage.image.manifest)
    manifest["config"] = dict(manifest["config"], size=1 << 30)
    document(stage, manifest)
    yield
    stage.test.assertLess(stage.registry.bytes_of(), 16 << 20)


@scenario("InvalidImage")
def layers_without_end(stage):
    """a manifest of 10,000 layers"""
    document(stage, dict(stage.image.manifest, layers=stage.image.manifest["layers"] * 3334))


@scenario("InvalidImage")
def config_is_no_json(stage):
    """a config of noise"""
    stage.serve(Image().set_config(noise(500)))


@scenario("InvalidImage")
def config_is_no_config(stage):
    """a config that is a list"""
    stage.serve(Image().set_config(b"[1,2]"))


@scenario("InvalidImage")
def artifact_instead_of_an_image(stage):
    """a chart, not a container image"""
    image = Image([]).layer(PLAIN, media_type="application/vnd.cncf.helm.chart.content.v1.tar+gzip").seal()
    image.manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"
    stage.serve(image)


@scenario("InvalidImage", "layer")
def fewer_layers_than_diff_ids(stage):
    """a config that knows of one layer more than the manifest"""
    image = Image()
    image.config["rootfs"]["diff_ids"].append(digest_of(MORE))
    stage.serve(image.seal())


# --- indexes ---


@scenario(None)
def index_of_platforms(stage):
    """an index of three platforms: ours is taken"""
    others = [Image(platform=p, seed=n) for n, p in enumerate(("arm64", "s390x"), 20)]
    stage.serve(Index(others[0], stage.good, others[1]))
    stage.image = stage.good


@scenario(None)
def index_with_attestations(stage):
    """an index with attestations before the image: skipped"""
    made, entry = attestation(stage.good)
    stage.registry.add("repo", made)
    stage.serve(Index(stage.good, entries=[entry, stage.good.entry]))
    stage.image = stage.good


@scenario(None)
def docker_list(stage):
    """Docker's manifest list of schema 2 images"""
    good = Image(docker=True)
    stage.serve(Index(Image(docker=True, platform="s390x", seed=5), good, docker=True))
    stage.image = good


@scenario("ImageNotFound", "amd64", "s390x")
def platform_is_missing(stage):
    """an index without our platform: the error says which there are"""
    stage.serve(Index(Image(platform="s390x"), Image(platform="arm64", seed=2)))


@scenario("ImageNotFound")
def index_is_empty(stage):
    """an index of nothing"""
    stage.serve(Index())


@scenario("InvalidImage", "digest")
def index_that_points_at_itself(stage):
    """every manifest of an index is, when asked for, the index again"""
    entry = dict(stage.good.entry)
    index = stage.serve(Index(entries=[dict(entry, mediaType=OCI_INDEX)]))
    stage.registry.on("GET manifests", lambda wire, request, good: wire.answer(Answer(200, index.bytes, Content_Type=OCI_INDEX)))
    yield
    stage.test.assertLess(len(stage.registry.requests), 20)


@scenario("InvalidImage")
def indexes_without_end(stage):
    """an index in an index, 100 times"""
    inner = stage.good
    for _ in range(100):
        entry = dict(inner.entry, platform=stage.good.entry["platform"])
        inner = Index(inner, entries=[entry])
    stage.serve(inner)
    yield
    stage.test.assertLess(len(stage.registry.requests), 30)


@scenario("ImageNotFound", "404")
def index_names_a_manifest_that_is_not_there(stage):
    """the manifest for our platform is gone"""
    missing = Image(seed=8)
    stage.serve(Index(entries=[missing.entry]))


# --- blobs ---


@scenario("InvalidImage", "digest")
def blob_has_another_digest(stage):
    """a layer of the right size with other bytes, for ever"""
    digest = stage.image.layer_digest(1)
    bad = noise(len(stage.image.blobs[digest]), 99)
    stage.registry.on("blobs " + digest, lambda wire, request, good: wire.answer(request.registry.part_of(bad, request)))


@scenario("InvalidImage", "digest")
def config_has_another_digest(stage):
    """a config of the right size with other bytes"""
    digest = stage.image.manifest["config"]["digest"]
    bad = stage.image.blobs[digest].replace(b"amd64", b"arm64")
    stage.registry.on("GET blobs " + digest, lambda wire, request, good: wire.answer(Answer(200, bad)))


def image_of(stage, plain=PLAIN, **layer):
    return stage.serve(Image([MORE]).layer(plain, **layer).seal())


@scenario("InvalidImage")
def gzip_is_truncated(stage):
    """a layer whose gzip stream ends in the middle; its digest is right"""
    image_of(stage, data=gzipped(PLAIN)[:-40])


@scenario("InvalidImage")
def gzip_checksum_is_wrong(stage):
    """a layer whose gzip checksum is wrong"""
    good = gzipped(PLAIN)
    image_of(stage, data=good[:-8] + b"\0\0\0\0" + good[-4:])


@scenario("InvalidImage")
def gzip_is_garbage(stage):
    """a layer that is said to be gzip and is noise"""
    image_of(stage, data=noise(50_000))


@scenario("InvalidImage")
def gzip_with_garbage_behind(stage):
    """noise after the gzip stream"""
    image_of(stage, data=gzipped(PLAIN) + noise(100))


@scenario("InvalidImage")
def zstd_is_truncated(stage):
    """a layer whose zstd frame ends in the middle"""
    image_of(stage, data=zstd(PLAIN)[:-40], media_type=OCI_LAYER + "+zstd")


@scenario("InvalidImage")
def zstd_checksum_is_wrong(stage):
    """a layer whose zstd checksum is wrong"""
    good = zstd(PLAIN, "--check")
    image_of(stage, data=good[:-4] + bytes(4), media_type=OCI_LAYER + "+zstd")


@scenario("InvalidImage")
def zstd_window_of_gigabytes(stage):
    """a zstd frame that asks for a window of 2 GB"""
    image_of(stage, data=zstd_with_window(PLAIN, 31), media_type=OCI_LAYER + "+zstd")


@scenario("InvalidImage", "diff")
def diff_id_is_wrong(stage):
    """a layer that is good gzip of other bytes than the config says"""
    image_of(stage, data=gzipped(tar({"other": b"x"})))


@scenario("InvalidImage", "diff")
def diff_id_is_wrong_the_second_time(stage):
    """one blob as two layers, of which the config gives the second one another diff ID"""
    image_of(stage, data=gzipped(MORE))


@scenario(None)
def gzip_of_zeros(stage):
    """a layer that becomes 230 times as large, as it says: that is allowed"""
    data, diff_id = bomb(gzipped, 160 << 20)
    stage.serve(Image([MORE]).layer(b"", data=data, diff_id=diff_id).seal())


@scenario("InvalidImage")
def zstd_bomb(stage):
    """a layer of 100 KB that becomes 1 GB"""
    data, diff_id = bomb(zstd, 1 << 30)
    stage.serve(Image([MORE]).layer(b"", data=data, media_type=OCI_LAYER + "+zstd", diff_id=diff_id).seal())


@scenario(None)
def gzip_of_many_members(stage):
    """a layer of five gzip members"""
    image_of(stage, how="members")


@scenario(None)
def zstd_of_many_frames(stage):
    """a layer of five zstd frames with skippable ones between"""
    image_of(stage, how="frames")


@scenario(None)
def plain_layer(stage):
    """a layer without compression"""
    image_of(stage, how="")


@scenario(None)
def schema_2(stage):
    """an image of Docker's second schema"""
    stage.serve(Image(docker=True))


@scenario(None)
def one_layer_twice(stage):
    """two layers with one digest: fetched once"""
    image = stage.serve(Image([PLAIN, PLAIN, MORE]))
    yield
    stage.test.assertLessEqual(len(stage.registry.seen("GET blobs " + image.layer_digest(0))), 1)


@scenario(None)
def fifty_layers(stage):
    """an image of 50 layers"""
    image = stage.serve(Image([tar({f"f{n}": noise(2000, n)}) for n in range(50)]))
    yield
    stage.test.assertLessEqual(stage.registry.bytes_of("GET"), image.wire_size)


@scenario(None)
def empty_layer(stage):
    """a layer of no bytes, which is a tar of nothing"""
    image_of(stage, plain=b"", how="")


@scenario("InvalidImage")
def layer_is_the_config(stage):
    """a layer whose blob is the config"""
    image = Image([MORE])
    image.config["rootfs"]["diff_ids"].append(EMPTY)
    image.seal()
    image.manifest["layers"].append(dict(image.manifest["config"], mediaType=OCI_LAYER))
    stage.serve(image)


@scenario("InvalidImage")
def layer_of_an_unknown_type(stage):
    """a layer of a type that nobody knows"""
    image_of(stage, media_type="application/vnd.example.layer")


@scenario("InvalidImage")
def layer_is_encrypted(stage):
    """a layer that is encrypted (ocicrypt)"""
    image_of(stage, media_type=OCI_LAYER + "+gzip+encrypted")


@scenario("InvalidImage")
def layer_is_compressed_otherwise(stage):
    """a layer whose type says gzip and whose bytes are zstd"""
    image_of(stage, data=zstd(PLAIN))


@scenario(None)
def foreign_layer_that_the_registry_has(stage):
    """a layer that may also be had elsewhere: taken from the registry"""
    other = stage.new_registry()
    image = image_of(stage, media_type="application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
    image.manifest["layers"][-1]["urls"] = [f"{other.url}/foreign"]
    stage.serve(image)
    yield
    stage.test.assertEqual(other.connections, 0)


@scenario("ImageNotFound", "404")
def foreign_layer_that_lies_elsewhere(stage):
    """a layer that only its own address has: an image does not send us to addresses of its choice"""
    other = stage.new_registry()
    image = image_of(stage, media_type="application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
    image.manifest["layers"][-1]["urls"] = [f"{other.url}/foreign"]
    stage.serve(image)
    stage.registry.on("blobs " + image.layer_digest(-1), lambda wire, request, good: wire.answer(problem(404, "BLOB_UNKNOWN")))
    yield
    stage.test.assertEqual(other.connections, 0)


@scenario(None)
def unchanged(stage):
    """the store has this digest already: one HEAD, nothing else"""
    stage.request = {"if_digest": stage.image.digest}
    outcome = yield
    stage.test.assertTrue(outcome.ok["unchanged"])
    stage.test.assertEqual([r.method for r in stage.registry.requests], ["HEAD"])
