"""Images in memory, good and bad, for the registries of the tests. Python's standard library only; zstd by its
program."""
import gzip
import hashlib
import json
import os
import random
import struct
import subprocess

import support

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
EMPTY = "sha256:" + hashlib.sha256(b"").hexdigest()


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def noise(size, seed=1):
    """Bytes that no compression makes smaller, the same ones for the same seed."""
    return random.Random(seed).randbytes(size)


def tar(files):
    """A layer of the given files: name -> bytes."""
    layer = support.Tar()
    for name, data in files.items():
        layer.add(name, data=data)
    return layer.finish()


def gzipped(data):
    return gzip.compress(data, 1, mtime=0)


def gzip_members(data, count=5):
    """gzip of several members, as pigz and stargz write it."""
    step = len(data) // count + 1
    return b"".join(gzipped(data[at:at + step]) for at in range(0, len(data), step))


def zstd(data, *options):
    return subprocess.run(["zstd", "-q", "-1", *options], input=data, capture_output=True, check=True).stdout


def zstd_frames(data, count=5):
    """zstd of several frames with a skippable one before each, as zstd:chunked writes it."""
    step = len(data) // count + 1
    skippable = struct.pack("<II", 0x184D2A53, 11) + b"skip me now"
    return b"".join(skippable + zstd(data[at:at + step]) for at in range(0, len(data), step))


def zstd_with_window(data, power):
    """A zstd frame of raw blocks that asks the reader for a window of 2**power bytes (RFC 8878, 3.1.1)."""
    blocks = [data[at:at + (100 << 10)] for at in range(0, len(data), 100 << 10)]
    frame = [struct.pack("<IBB", 0xFD2FB528, 0, (power - 10) << 3)]
    for number, block in enumerate(blocks):
        frame += [struct.pack("<I", len(block) << 3 | (number == len(blocks) - 1))[:3], block]
    return b"".join(frame)


def bomb(pack, size):
    """`size` zero bytes (a multiple of 16 MiB) packed, and the digest of them unpacked."""
    block, plain = bytes(16 << 20), hashlib.sha256()
    for _ in range(size // len(block)):
        plain.update(block)
    return pack(block) * (size // len(block)), "sha256:" + plain.hexdigest()


def descriptor(media_type, data, **more):
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


def dumps(document):
    return json.dumps(document, separators=(",", ":")).encode()


class Image:
    """An image: its blobs by digest and its manifest. A test changes `config`, `manifest` or `blobs` and calls
    seal() to have the documents follow; or sets `raw` to say what the manifest's bytes are."""

    def __init__(self, layers=None, docker=False, platform="amd64", seed=1):
        self.docker = docker
        self.blobs = {}
        self.raw = None
        self.config = {"architecture": platform, "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["true"]},
                       "rootfs": {"type": "layers", "diff_ids": []}}
        self.manifest = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
                         "config": {}, "layers": []}
        if layers is None:
            layers = [tar({f"small{seed}": b"small %d\n" % seed}), tar({f"large{seed}": noise(300_000, seed)}),
                      tar({f"last{seed}": noise(20_000, seed + 1)})]
        for layer in layers:
            self.layer(layer)
        self.seal()

    def layer(self, plain, how="gzip", data=None, media_type=None, diff_id=None):
        """Adds a layer; `data` is what goes over the wire when it is not what `how` makes of `plain`."""
        if data is None:
            data = {"gzip": gzipped, "zstd": zstd, "members": gzip_members, "frames": zstd_frames, "": bytes}[how](plain)
        suffix = {"members": "gzip", "frames": "zstd"}.get(how, how)
        if media_type is None:
            base, plus = (DOCKER_LAYER, ".") if self.docker else (OCI_LAYER, "+")
            media_type = base + (plus + suffix if suffix else "")
        self.blobs[digest_of(data)] = data
        self.manifest["layers"].append(descriptor(media_type, data))
        self.config["rootfs"]["diff_ids"].append(diff_id or digest_of(plain))
        return self

    def seal(self):
        """Writes the config's blob again and points the manifest at it; returns the image."""
        data = dumps(self.config)
        self.blobs[digest_of(data)] = data
        self.manifest["config"] = descriptor(DOCKER_CONFIG if self.docker else OCI_CONFIG, data)
        return self

    def set_config(self, data):
        """The manifest names these bytes as its config, whatever they are."""
        self.blobs[digest_of(data)] = data
        self.manifest["config"] = descriptor(DOCKER_CONFIG if self.docker else OCI_CONFIG, data)
        return self

    @property
    def media_type(self):
        return self.manifest.get("mediaType", OCI_MANIFEST)

    @property
    def bytes(self):
        return self.raw if self.raw is not None else dumps(self.manifest)

    @property
    def digest(self):
        return digest_of(self.bytes)

    @property
    def entry(self):
        """Its descriptor in an index."""
        return descriptor(self.media_type, self.bytes,
                          platform={"os": self.config["os"], "architecture": self.config["architecture"]})

    @property
    def wire_size(self):
        """What one pull must move: manifest, config and every layer once."""
        needed = {self.manifest["config"]["digest"], *(layer["digest"] for layer in self.manifest["layers"])}
        return len(self.bytes) + sum(len(self.blobs[digest]) for digest in needed)

    def layer_digest(self, number):
        return self.manifest["layers"][number]["digest"]


class Index:
    """Several images, or whatever the entries say, under one name."""

    def __init__(self, *images, docker=False, entries=None):
        self.images = images
        self.manifest = {"schemaVersion": 2, "mediaType": DOCKER_LIST if docker else OCI_INDEX,
                         "manifests": [image.entry for image in images] if entries is None else entries}

    @property
    def media_type(self):
        return self.manifest["mediaType"]

    @property
    def bytes(self):
        return dumps(self.manifest)

    @property
    def digest(self):
        return digest_of(self.bytes)

    @property
    def entry(self):
        return descriptor(self.media_type, self.bytes)


def attestation(image):
    """What buildx puts beside an image: an entry for no platform, whose layers are no file systems."""
    made = Image(layers=[])
    statement = b'{"_type":"https://in-toto.io/Statement/v0.1"}'
    made.layer(b"", data=statement, media_type="application/vnd.in-toto+json")
    made.config.update(architecture="unknown", os="unknown")
    made.seal()
    entry = dict(made.entry, annotations={"vnd.docker.reference.type": "attestation-manifest",
                                          "vnd.docker.reference.digest": image.digest})
    return made, entry


def write_images(path, images):
    """Images and indexes by tag, as directories that skopeo pushes as they are (containers-transports(5), dir:);
    returns its names for them by tag."""
    def put(directory, name, data):
        with open(os.path.join(directory, name), "wb") as file:
            file.write(data)

    def put_blobs(directory, image):
        for digest, data in getattr(image, "blobs", {}).items():
            put(directory, digest.split(":")[1], data)
        for inner in getattr(image, "images", ()):
            put(directory, inner.digest.split(":")[1] + ".manifest.json", inner.bytes)
            put_blobs(directory, inner)

    for tag, image in images.items():
        directory = os.path.join(path, tag)
        os.makedirs(directory)
        put(directory, "version", b"Directory Transport Version: 1.1\n")
        put(directory, "manifest.json", image.bytes)
        put_blobs(directory, image)
    return {tag: f"dir:{path}/{tag}" for tag in images}
