"""Cold pull to runnable: nexcage, podman and containerd with ctr from one docker-registry in one run, in turns.

Each candidate fetches an image of many small files into an empty store and runs `true` from it. Measured are wall
time, processor time (of the command, its children and the daemon), peak memory and, in a round of their own under
strace, the calls that make data durable.
"""
import contextlib

import figures
import peers
import registry_docker
import support
import targets
from registry_images import Image, noise, write_images

FILES = 5000
NAME = "bench/files:1"
TITLE = f"cold pull to first run, {FILES:,} files, 40 MB, gzip"
TARGETS = [targets.ratio(0.15, "podman"), targets.ratio(0.15, "containerd + ctr"), targets.ratio(0.25, "podman", "cpu"),
           targets.memory(96)]


def image():
    """busybox and FILES files of 8 KB in two layers, 40 MB."""
    layers = [support.busybox_layer()]
    for part in range(2):
        tar = support.Tar()
        for number in range(FILES // 2):
            if number % 50 == 0:
                tar.dir(f"p{part}d{number // 50}")
            tar.add(f"p{part}d{number // 50}/f{number}", data=noise(1000, number) * 8)
        layers.append(tar.finish())
    made = Image(layers)
    made.config["config"] = {"Env": ["PATH=/bin"], "Cmd": ["true"]}
    return made.seal()


def cold_pulls(bench, world, rounds=5):
    """Measures and adds the group to the bench."""
    missing = registry_docker.absent()
    if missing:
        print(f"\n{TITLE}: not measured: {missing}")
        return
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(registry_docker.DockerRegistry(world.path("pull-registry")))
        registry.push(write_images(world.path("pull-image"), {"1": image()})["1"], NAME)
        stack.enter_context(support.crun_can_run())
        engines, absent = peers.all_of(world, stack)
        reference, samples = f"{registry.host}/{NAME}", {}

        def forget(engine):
            engine.cost(engine.remove(reference))
            engine.clean()

        def pull_and_forget(engine):
            cost = engine.cost(engine.pull(reference) + engine.run(reference, "true"))
            forget(engine)
            return cost

        for number in range(rounds + 1):
            for name, cost in peers.turn(engines, absent, pull_and_forget).items():
                if number:  # the first round warms caches
                    samples.setdefault(name, []).append(cost)
        rows = {name: figures.cost_row(costs) for name, costs in samples.items()}
        for name, found in rows.items():
            try:
                found["syncs"] = engines[name].count(peers.SYNCS, engines[name].pull(reference) + engines[name].run(reference, "true"))
                forget(engines[name])
            except RuntimeError as error:  # what does not run under strace
                print(f"{name}: syncs not counted: {str(error)[-200:]}")
        bench.add(TITLE, TARGETS, rows, absent)
