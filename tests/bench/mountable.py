"""From a layer to something that can be mounted, mounts of images of many layers, and the removal of an image: each beside what
the bytes alone cost, or what an unpacked tree costs.
"""
import gzip
import hashlib
import os
import random
import shutil
import subprocess
import time

import archives
import support
import targets

FILES, LAYER_COUNTS = 5000, (1, 10, 127)


def tree_tar(files=FILES):
    """A tar of many small files of text that compresses as programs do, some 60 MB."""
    generator, tar = random.Random(7), support.Tar()
    words = [generator.randbytes(generator.randrange(3, 9)).hex().encode() for _ in range(3000)]
    for number in range(files):
        size, data = generator.randrange(200, 24000), bytearray()
        while len(data) < size:
            data += generator.choice(words) + b" "
        tar.add(f"d{number // 50}/f{number}", data=bytes(data[:size]))
    return tar.finish()


class Layer:
    """One gzip layer on the disk, and the ways to get something out of it."""

    def __init__(self, world, program):
        self.program, self.dir, self.files = program, world.path("mountable"), FILES
        os.makedirs(self.dir)
        tar, self.unpacked = tree_tar(), None
        self.tar, self.blob = self.path("layer.tar"), self.path("layer.tar.gz")
        self.diff_id = "sha256:" + hashlib.sha256(tar).hexdigest()
        data = gzip.compress(tar, 6, mtime=0)
        self.digest, self.bytes = "sha256:" + hashlib.sha256(data).hexdigest(), len(tar)
        for path, content in ((self.tar, tar), (self.blob, data)):
            with open(path, "wb") as file:
                file.write(content)

    def path(self, name):
        return os.path.join(self.dir, name)

    def work(self, *words):
        return float(subprocess.run([self.program, *words], capture_output=True, text=True, check=True).stdout)

    def convert(self):
        out = self.path("out")
        os.mkdir(out)
        try:
            return self.work("convert", self.blob, self.digest, self.diff_id, out)
        finally:
            shutil.rmtree(out)

    def unpack(self):
        """GNU tar to the same disk; then it is made durable as an engine has to."""
        out = self.path("tree")
        os.mkdir(out)
        try:
            began = time.perf_counter()
            subprocess.run(["tar", "-xzf", self.blob, "-C", out], check=True)
            self.unpacked = (time.perf_counter() - began) * 1000
            subprocess.run(["sync", "-f", out], check=True)
            return (time.perf_counter() - began) * 1000
        finally:
            shutil.rmtree(out)


def to_mountable(bench, layer):
    bench.group(f"layer -> mountable, {FILES:,} files, {layer.bytes >> 20} MiB, gzip, on the disk; nexcage's is durable",
                [targets.of_slowest(1.25, ("inflating alone", "both digests alone")), targets.ratio(0.1, "tar -xz, sync"),
                 targets.ratio(0.1, "tar -xz, not durable")],
                **{"nexcage": layer.convert, "inflating alone": lambda: layer.work("inflate", layer.blob),
                   "both digests alone": lambda: layer.work("digests", layer.blob, layer.tar), "tar -xz, sync": layer.unpack,
                   "tar -xz, not durable": lambda: layer.unpacked})  # of the same run


def mounts(bench, world, program):
    libexec = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(world.binary))), "libexec/nexcage")
    directory = world.path("many-layers")
    os.makedirs(directory)
    kept = world.path("images")
    world.write_config(images=os.path.join(directory, "images"), layers=os.path.join(directory, "layers"))
    layout, candidates = world.layout(), {}
    for count in LAYER_COUNTS:
        tars = []
        for number in range(count):
            tar = support.Tar()
            tar.add(f"of{count}/f{number}", data=b"%d" % number)
            tars.append(tar.finish())
        _, transport = layout.add(f"m{count}", tars)
        answer = world.run("image", "import", transport, "--name", f"bench/m{count}")
        if answer.code:
            raise RuntimeError(str(answer))
        candidates[f"nexcage, {count} layers"] = lambda name=f"bench/m{count}": float(subprocess.run(
            [program, "mount", directory, libexec, name], capture_output=True, text=True, check=True).stdout)
    world.write_config(images=kept)
    few, many = f"nexcage, {LAYER_COUNTS[0]} layers", f"nexcage, {LAYER_COUNTS[-1]} layers"
    bench.group("mount of an image, each the first of it",
                [*(targets.limit(2, name) for name in candidates), targets.ratio(1.25, few, ours=many)], **candidates)


def measure(bench, world, program):
    if not os.access(program, os.X_OK):
        print(f"\nlayer -> mountable: not measured: {os.path.basename(program)} is not built")
        return
    layer = Layer(world, program)
    to_mountable(bench, layer)
    archives.measure(bench, world, layer)
    mounts(bench, world, program)
