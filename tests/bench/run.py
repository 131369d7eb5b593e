"""./dev bench: what starting, looking and stopping costs, against peers measured in the same run.

Rounds alternate between the candidates, so that a busy moment hits all of them; medians and the spread
(10th to 90th percentile) are printed, and everything is written as JSON. A peer that cannot run on this
host is left out with the reason. No figure decides anything: the exit status is 0 unless nexcage itself
does not work.
"""
import argparse
import contextlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import archives  # noqa: E402
import layers  # noqa: E402
import machines  # noqa: E402
import mountable  # noqa: E402
import peers  # noqa: E402
import pulls  # noqa: E402
import sharing  # noqa: E402
import support  # noqa: E402  (the black-box tests' scratch world)
import targets  # noqa: E402
from figures import Bench, timed  # noqa: E402


class LxcPeer:
    """The same busybox tree under lxc-start, with liblxc making what nexcage's container has."""

    def __init__(self, world):
        self.path = world.path("lxc")
        self.name = world.token
        root = os.path.join(self.path, self.name, "rootfs")
        os.makedirs(root)
        with tarfile.open(fileobj=io.BytesIO(support.busybox_layer())) as tar:
            tar.extractall(root)
        for name in ("proc", "sys", "dev"):
            os.mkdir(os.path.join(root, name))
        lower, upper = root, os.path.join(self.path, self.name, "upper")
        os.mkdir(upper)
        with open(os.path.join(self.path, self.name, "config"), "w", encoding="utf-8") as file:
            file.write(f"lxc.rootfs.path = overlay:{lower}:{upper}\nlxc.uts.name = cage\nlxc.net.0.type = empty\n"
                       "lxc.apparmor.profile = unconfined\nlxc.autodev = 1\nlxc.pty.max = 1\nlxc.tty.max = 0\n"
                       "lxc.mount.auto = proc:rw sys:ro\nlxc.init.cmd = /bin/sleep 1000\n")
        self.start = shutil.which("lxc-start")
        self.stop = shutil.which("lxc-stop")

    def cycle(self):
        if not self.start:
            raise RuntimeError("lxc is not installed")
        return (timed(self.start, "-P", self.path, "-n", self.name) +
                timed(self.stop, "-P", self.path, "-n", self.name, "-k"))


def thousand_times(world, container):
    """A state root in which one running container stands 1,000 times: each is asked for by itself."""
    root = world.path("many")
    with open(world.path("run", container, "state.json"), encoding="utf-8") as file:
        record = json.load(file)
    for number in range(1000):
        record["id"] = f"{container}-{number}"
        os.makedirs(os.path.join(root, record["id"]), mode=0o700)
        with open(os.path.join(root, record["id"], "state.json"), "w", encoding="utf-8") as file:
            json.dump(record, file)
    return root


def verbs(bench, world, image):
    container = world.new_id()
    bundle = world.bundle(["sleep", "1000"])
    assert world.run("create", "--bundle", bundle, container).code == 0
    world.run("start", container)
    crun = shutil.which("crun")
    crun_root = world.path("crun")
    with support.crun_can_run():
        if crun:
            done = subprocess.run([crun, "--root", crun_root, "run", "-d", "--bundle", bundle, container + "c"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  check=False)
            crun = crun if done.returncode == 0 else None

        def peer(*words):
            if not crun:
                raise RuntimeError("crun runs no container here")
            return timed(crun, "--root", crun_root, *words)

        bench.group("version", [targets.limit(3)], **{
            "nexcage --version": lambda: timed(world.binary, "--version"),
            "crun --version": lambda: peer("--version"),
            "/bin/true": lambda: timed("/bin/true")})
        bench.group("state", [targets.limit(3), targets.ratio(1, "crun state")], **{
            "nexcage state": lambda: timed(*world.argv("state", container)),
            "crun state": lambda: peer("state", container + "c")})
        bench.group("kill with SIGWINCH", [targets.limit(3), targets.ratio(1, "crun kill")], **{
            "nexcage kill": lambda: timed(*world.argv("kill", container, "WINCH")),
            "crun kill": lambda: peer("kill", container + "c", "WINCH")})
        many = thousand_times(world, container)
        bench.group("list of one container, of 1,000 running ones", [targets.limit(15, "nexcage list, 1,000")], **{
            "nexcage list, one": lambda: timed(*world.argv("list")),
            "nexcage list, 1,000": lambda: timed(*world.argv("--root", many, "list"))})
        bench.group("exec true", **{
            "nexcage exec": lambda: timed(*world.argv("exec", container, "true")),
            "crun exec": lambda: peer("exec", container + "c", "true")})
        if crun:
            subprocess.run([crun, "--root", crun_root, "delete", "--force", container + "c"], check=False)
    world.run("delete", "--force", container)


def life_cycle(bench, world, image):
    bundle = world.bundle(["sleep", "1000"])
    lxc = LxcPeer(world)

    def oci():
        name = world.new_id()
        return (timed(*world.argv("create", "--bundle", bundle, name)) + timed(*world.argv("start", name)) +
                timed(*world.argv("delete", "--force", name)))

    def from_image():
        name = world.new_id()
        return (timed(*world.argv("create", "--name", name, image, "sleep", "1000")) +
                timed(*world.argv("start", name)) + timed(*world.argv("delete", "--force", name)))

    peer = "lxc-start + lxc-stop -k (overlay)"
    bench.group("create + start + delete on lxc",
                [targets.ratio(1, peer, ours=ours) for ours in ("nexcage, image (overlay)", "nexcage, bundle")],
                **{"nexcage, image (overlay)": from_image, "nexcage, bundle": oci, peer: lxc.cycle})


def other_runtimes(bench, world):
    """What nexcage adds to crun and runc, whose binaries do the work in both cases."""
    bundle = world.bundle(["sleep", "1000"])

    def bare(runtime):
        path, root = shutil.which(runtime), world.path("bare-" + runtime)

        def cycle():
            if not path:
                raise RuntimeError(f"{runtime} is not installed")
            name = world.new_id()
            return (timed(path, "--root", root, "create", "--bundle", bundle, name) +
                    timed(path, "--root", root, "start", name) +
                    timed(path, "--root", root, "delete", "--force", name))
        return cycle

    def ours(runtime):
        binary = [f"{world.binary}-{runtime}", "--config", world.config]

        def cycle():
            name = world.new_id()
            return (timed(*binary, "create", "--bundle", bundle, name) + timed(*binary, "start", name) +
                    timed(*binary, "delete", "--force", name))
        return cycle

    for runtime in ("crun", "runc"):
        with support.crun_can_run():
            bench.group(f"create + start + delete on {runtime}", [targets.ratio(1.1, runtime), targets.more(1.5, runtime)],
                        **{f"nexcage-{runtime}": ours(runtime), f"{runtime}": bare(runtime)})


def run_rm(bench, world):
    """The same image in three stores."""
    name = "localhost/bb:1"
    archive = archives.write(world, [support.busybox_layer()], {"Env": ["PATH=/bin"]}, name)
    with contextlib.ExitStack() as stack:
        stack.enter_context(support.crun_can_run())
        engines, absent = peers.all_of(world, stack)

        def prepared(engine):
            engine.cost(engine.load(archive, name))
            return lambda: sum(timed(*argv, env=engine.env) for argv in engine.run(name, "true"))

        def not_there(reason):
            def work():
                raise RuntimeError(reason)
            return work

        candidates = {}
        for peer in peers.KINDS:
            label = f"{peer} run --rm"
            try:
                candidates[label] = prepared(engines[peer]) if peer in engines else not_there(absent[peer])
            except RuntimeError as error:
                if peer == "nexcage":
                    raise
                candidates[label] = not_there(str(error))
        bench.group("run --rm IMAGE true, no network",
                    [targets.ratio(0.15, "podman run --rm"), targets.ratio(0.15, "containerd + ctr run --rm")], **candidates)


def unpacking(bench, world):
    """A tree of 5,000 files: import and first mount against GNU tar."""
    tar = support.Tar()
    for number in range(5000):
        if number % 50 == 0:
            tar.dir(f"d{number // 50}")
        tar.add(f"d{number // 50}/f{number}", data=os.urandom(1000) * 8)
    layer = tar.finish()
    archive = world.path("tree.tar")
    with open(archive, "wb") as file:
        file.write(layer)
    _, transport = world.layout().add("x", [support.busybox_layer(), layer])
    subprocess.run(["gzip", "-1", "-k", archive], check=True)
    scratch = world.path("untar")

    def gnu_tar():
        os.makedirs(scratch)
        spent = timed(shutil.which("tar"), "-C", scratch, "-xpf", archive + ".gz")
        shutil.rmtree(scratch)
        return spent

    def ours():
        spent = timed(*world.argv("image", "import", transport, "--name", "tree"))
        spent += timed(*world.argv("run", "--rm", "tree", "true"))
        timed(*world.argv("image", "remove", "tree"))
        support.remove_tree(world.path("layers"))
        return spent

    bench.group("5,000 files, 40 MB, gzip: durable import, verification, one run", rounds=3, **{
        "nexcage image import + run --rm": ours,
        "tar -xpzf (not durable)": gnu_tar})


# Of every candidate: state directories, which lie below /run, on a tmpfs.
STATES = ("run", "many", "crun", "bare-crun", "bare-runc", "podman-run", "podman-tmp", "containerd-run")


@contextlib.contextmanager
def states_on_tmpfs(world):
    paths = [world.path(name) for name in STATES]
    with contextlib.ExitStack() as mounted:
        for path in paths:
            os.mkdir(path, 0o711)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=711", "tmpfs", path], check=True)
            mounted.callback(subprocess.run, ["umount", "--lazy", path], check=False)
        yield


def machine():
    with open("/proc/loadavg", encoding="utf-8") as file:
        load = file.read().split()[:3]
    return {"kernel": platform.release(), "cpus": os.cpu_count(), "load": load,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


PARTS = {
    "verbs": verbs,
    "life": life_cycle,
    "runtimes": lambda bench, world, _: other_runtimes(bench, world),
    "run": lambda bench, world, _: run_rm(bench, world),
    "machines": machines.boots,
    "unpack": lambda bench, world, _: unpacking(bench, world),
    "pull": lambda bench, world, _: pulls.cold_pulls(bench, world),
    "layers": lambda bench, world, _: mountable.measure(bench, world, layers.program(world, "nx_bench_layers")),
    "sharing": lambda bench, world, _: sharing.measure(bench, world),
    "structures": lambda bench, world, _: layers.structures(bench, world),
    "batches": lambda bench, world, _: layers.batches(bench, world),
}


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--bin", required=True)
    options.add_argument("--out", required=True)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("only", nargs="*", choices=[[], *PARTS], metavar="PART", help=" ".join(PARTS))
    given = options.parse_args()
    if os.geteuid() != 0:
        print("bench needs root: containers, mounts and control groups")
        return 0
    world = support.World(binary=os.path.abspath(given.bin))
    bench = Bench(given.rounds)
    facts = machine()
    print(f"kernel {facts['kernel']}, {facts['cpus']} cpus, load {facts['load'][0]}; medians, 10th to 90th percentile")
    try:
        with states_on_tmpfs(world):
            image = world.import_image()
            world.run("run", "--rm", image, "true")
            for part in given.only or PARTS:
                PARTS[part](bench, world, image)
    finally:
        world.destroy()
        os.makedirs(os.path.dirname(os.path.abspath(given.out)), exist_ok=True)
        with open(given.out, "w", encoding="utf-8") as file:
            json.dump({"machine": facts, "groups": bench.groups}, file, indent=2)
    print(f"\nwritten to {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
