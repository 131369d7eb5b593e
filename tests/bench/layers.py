"""LayerFS' structures against plain ones, work on many layers at once against one call at a time.

The figures are made by two programs of tests/bench: each comparison alternates between the plain way and ours in one
process, 11 rounds after one that warms caches. What is saved is said of the medians; a target that is missed is said to
be missed.
"""
import json
import os
import subprocess

import support
import targets
from registry_images import noise

IMAGES, LAYERS = 100, 10  # no two images share a layer
WHY = {
    "layer objects": "so few pieces come from the allocator's cache of free ones, which is as quick as a pool",
    "metadata cache": "looking for the oldest among 1,000 neighbouring entries takes the processor half a microsecond only; "
                      "a hit costs the same either way",
    "batch": "one call's work is bound by locks of the kernel, or fills the cores already",
    "creation": "most of it is the kernel's mounts, one at a time under its lock",
}


def program(world, name):
    build = os.path.dirname(os.path.dirname(os.path.realpath(world.binary)))
    return os.path.join(build, "tests/bench", name)


def saved(row):
    return 1 - row["ours"]["median"] / row["baseline"]["median"]


def target(row):
    """As of the other groups: how much less it is asked to be."""
    return targets.Target(f"saves >= {row['target']:.0%}", -row["target"], lambda _: -saved(row), why=WHY.get(row["what"], ""))


def show(row):
    text = ""
    if row["target"]:
        met = target(row).judge({})["met"]
        text = f"   target {row['target']:.0%}: {'met' if met else 'MISSED'}"
        text += f" ({WHY[row['what']]})" if not met and row["what"] in WHY else ""
    spread = [f"{row[who]['median']:11.4g}  {row[who]['p10']:9.4g} .. {row[who]['p90']:<9.4g}" for who in ("baseline", "ours")]
    print(f"  {row['name']:58} {spread[0]} {spread[1]} {row['unit']:5} saves {saved(row):6.1%}{text}")


def run(bench, argv, title):
    """Runs a program, shows its rows as they come, and adds them to the bench."""
    print(f"\n{title}   (plain way, p10 .. p90; ours, p10 .. p90)")
    if not os.access(argv[0], os.X_OK):
        print(f"  not measured: {os.path.basename(argv[0])} is not built")
        return
    what = None
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            row = json.loads(line)
            if row["what"] != what:
                what = row["what"]
                print(f" {what}")
            show(row)
            bench.groups.append({
                "title": f"{row['what']}: {row['name']}", "targets": [target(row).judge({})] if row["target"] else [],
                "rows": {"nexcage": row["ours"], "plain": row["baseline"]}, "absent": {}, "unit": row["unit"], "saved": saved(row)})
    if process.returncode:
        print(f"  ended early: status {process.returncode}")


def make_images(world):
    """A store of IMAGES images in {directory}/images, and the directory."""
    directory = world.path("batches")
    os.makedirs(directory)
    images, world_images = os.path.join(directory, "images"), world.path("images")
    world.write_config(images=images, layers=os.path.join(directory, "layers"))
    layout = world.layout()
    for number in range(IMAGES):
        layers = []
        for layer in range(LAYERS):
            tar = support.Tar()
            for name in range(4):
                tar.add(f"i{number}l{layer}f{name}", data=noise(16384, (number * LAYERS + layer) * 4 + name))
            layers.append(tar.finish())
        _, transport = layout.add(f"i{number}", layers)
        answer = world.run("image", "import", transport, "--name", f"bench/i{number}")
        if answer.code:
            raise RuntimeError(str(answer))
    world.write_config(images=world_images)
    return directory


def structures(bench, world):
    run(bench, [program(world, "nx_bench_structures")], "LayerFS' structures")


def batches(bench, world, driver="auto", parts=()):
    libexec = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(world.binary))), "libexec/nexcage")
    run(bench, [program(world, "nx_bench_batches"), make_images(world), libexec, driver, *parts], "Many layers at once, real work on this host")
