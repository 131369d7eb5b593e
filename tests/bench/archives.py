"""From an archive on the disk to an image that can be mounted, and its removal: nexcage, Podman and containerd in turns,
without a network. All do the same: the image is in the engine's store, and its layer is in the form that a container is
made from. What an unpacked tree costs without an engine is beside it.
"""
import contextlib
import os
import shutil
import subprocess
import tarfile
import time

import figures
import peers
import support
import targets

NAME = "localhost/tree:1"


def write(world, layers, config=None, name=NAME):
    """An oci-archive of this image; its path."""
    layout = world.layout()
    layout.add(name, layers, config)
    path = layout.path + ".tar"
    with tarfile.open(path, "w") as tar:
        for entry in sorted(os.listdir(layout.path)):
            tar.add(os.path.join(layout.path, entry), entry)
    return path


class Tree:
    """GNU tar and rm on the same disk, with nobody's store."""

    def __init__(self, world, blob):
        self.blob, self.path = blob, world.path("plain-tree")

    def unpack(self):
        os.mkdir(self.path)
        subprocess.run(["tar", "-xzf", self.blob, "-C", self.path], check=True)

    def remove(self):
        began, before = time.perf_counter(), os.times()
        subprocess.run(["rm", "-rf", self.path], check=True)
        after = os.times()
        return ((time.perf_counter() - began) * 1000,
                (after.children_user + after.children_system - before.children_user - before.children_system) * 1000, 0)

    def count(self):
        log = self.path + ".calls"
        subprocess.run(["strace", "-f", "-qq", "-o", log, "-e", f"trace={peers.REMOVALS}", "rm", "-rf", self.path], check=True)
        with open(log, encoding="utf-8", errors="replace") as file:
            return sum("(" in line for line in file)


def measure(bench, world, layer, rounds=5):
    """`layer`: mountable.Layer."""
    with open(layer.tar, "rb") as file:
        archive = write(world, [file.read()])
    small = write(world, [support.Tar().add("one", data=b"1").finish()], name="localhost/small:1")
    tree, loads, removals = Tree(world, layer.blob), {}, {}
    with contextlib.ExitStack() as stack:
        engines, absent = peers.all_of(world, stack)
        for number in range(rounds + 1):
            costs = peers.turn(engines, absent, lambda engine: (engine.cost(engine.load(archive, NAME)),
                                                                engine.cost(engine.remove(NAME))))
            for name, (loaded, removed) in costs.items():
                if number:  # the first round warms caches
                    loads.setdefault(name, []).append(loaded)
                    removals.setdefault(name, []).append(removed)
            tree.unpack()
            removed = tree.remove()
            if number:
                removals.setdefault("rm -rf of the unpacked tree", []).append(removed)
        bench.add(f"oci-archive on the disk -> in the store and mountable, {layer.files:,} files, one gzip layer; nexcage's is durable",
                  [targets.ratio(0.15, "podman"), targets.ratio(0.15, "containerd + ctr"), targets.ratio(0.25, "podman", "cpu")],
                  {name: figures.cost_row(costs) for name, costs in loads.items()}, absent)
        rows = {name: figures.cost_row(costs) for name, costs in removals.items()}
        count(engines, rows, tree, archive, small)
        bench.add(f"delete of that image of {layer.files:,} files, with what was made of its layers",
                  [WALKS_NO_TREE], rows, absent)


def count(engines, rows, tree, archive, small):
    """Adds to the rows how many names a removal takes away."""
    if not shutil.which("strace"):
        return
    for name, engine in engines.items():
        if name not in rows:
            continue
        try:
            engine.cost(engine.load(archive, NAME))
            rows[name]["removals"] = engine.count(peers.REMOVALS, engine.remove(NAME))
        except RuntimeError as error:
            print(f"{name}: removals not counted: {str(error)[-200:]}")
    ours = engines["nexcage"]
    ours.cost(ours.load(small, "localhost/small:1"))
    rows["nexcage"]["removals of one file"] = ours.count(peers.REMOVALS, ours.remove("localhost/small:1"))
    tree.unpack()
    rows["rm -rf of the unpacked tree"]["removals"] = tree.count()


def grown(rows):
    found = rows["nexcage"]
    return found["removals"] - found["removals of one file"] if "removals" in found else None


WALKS_NO_TREE = targets.Target("unlinks no more names than of an image of one file", 0, grown, "{:+d}")
