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
import statistics
import subprocess
import sys
import tarfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
import layers  # noqa: E402
import machines  # noqa: E402
import mountable  # noqa: E402
import pulls  # noqa: E402
import support  # noqa: E402  (the black-box tests' scratch world)


def timed(*argv, env=None, check=True):
    """Wall time of one command in milliseconds, without the cost of reading its output."""
    began = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, env or os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
    _, status = os.waitpid(pid, 0)
    spent = (time.perf_counter() - began) * 1000
    if check and status != 0:
        raise RuntimeError(f"{' '.join(argv)}: status {os.waitstatus_to_exitcode(status)}")
    return spent


class Bench:
    def __init__(self, rounds):
        self.rounds = rounds
        self.groups = []

    def group(self, title, target, **candidates):
        """Runs every candidate (name -> function returning milliseconds) in turn, `rounds` times."""
        samples, absent = {n: [] for n in candidates}, {}
        for number in range(self.rounds + 1):
            for name, work in candidates.items():
                if name in absent:
                    continue
                try:
                    spent = work()
                except Exception as error:  # a peer that does not run here is no failure of ours
                    if name.startswith("nexcage"):
                        raise
                    absent[name] = str(error)
                    continue
                if number:  # the first round warms caches
                    samples[name].append(spent)
        rows = {n: self.row(s) for n, s in samples.items() if s}
        self.groups.append({"title": title, "target": target, "rows": rows, "absent": absent, "unit": "ms"})
        self.show(self.groups[-1])

    @staticmethod
    def row(values):
        tenths = statistics.quantiles(values, n=10) if len(values) > 1 else values * 9
        return {"median": statistics.median(values), "p10": tenths[0], "p90": tenths[-1], "rounds": len(values)}

    @staticmethod
    def show(group):
        print(f"\n{group['title']}   (target: {group['target']})")
        ours = [n for n in group["rows"] if n.startswith("nexcage")]
        for name, row in group["rows"].items():
            ratio = ""
            if ours and name not in ours:
                ratio = f"   nexcage is {group['rows'][ours[0]]['median'] / row['median']:.2f}x of it"
            print(f"  {name:34} {row['median']:9.2f} ms   {row['p10']:.2f} .. {row['p90']:.2f}{ratio}")
        for name, reason in group["absent"].items():
            print(f"  {name:34} not measured: {reason[:140]}")
        sys.stdout.flush()


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


class PodmanPeer:
    """podman run --rm of the same tree, with its store and settings in the scratch directory."""

    def __init__(self, world):
        self.podman = shutil.which("podman")
        if not self.podman:
            raise RuntimeError("podman is not installed")
        conf = world.path("containers.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
                       '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n')
        self.env = {**os.environ, "CONTAINERS_CONF": conf}
        self.base = [self.podman, "--root", world.path("podman"), "--runroot", world.path("podman-run"),
                     "--tmpdir", world.path("podman-tmp"), "--runtime", "crun"]
        tar = world.path("bb.tar")
        with open(tar, "wb") as file:
            file.write(support.busybox_layer())
        done = subprocess.run([*self.base, "import", "-c", "ENV PATH=/bin", tar, "localhost/bb:1"], env=self.env,
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())

    def run(self):
        return timed(*self.base, "run", "--rm", "--network", "none", "localhost/bb:1", "true", env=self.env)


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

        bench.group("version", "<= 3 ms", **{
            "nexcage --version": lambda: timed(world.binary, "--version"),
            "crun --version": lambda: peer("--version"),
            "/bin/true": lambda: timed("/bin/true")})
        bench.group("state", "<= 3 ms, at most crun's", **{
            "nexcage state": lambda: timed(*world.argv("state", container)),
            "crun state": lambda: peer("state", container + "c")})
        bench.group("kill with SIGWINCH", "<= 3 ms, at most crun's", **{
            "nexcage kill": lambda: timed(*world.argv("kill", container, "WINCH")),
            "crun kill": lambda: peer("kill", container + "c", "WINCH")})
        many = thousand_times(world, container)
        bench.group("list of one container, of 1,000 running ones", "<= 15 ms with 1,000", **{
            "nexcage list, one": lambda: timed(*world.argv("list")),
            "nexcage list, 1,000": lambda: timed(*world.argv("--root", many, "list"))})
        bench.group("exec true", "-", **{
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

    bench.group("create + start + delete on lxc", "<= 1.0x of lxc-start + lxc-stop -k", **{
        "nexcage, image (overlay)": from_image,
        "nexcage, bundle": oci,
        "lxc-start + lxc-stop -k (overlay)": lxc.cycle})


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
            bench.group(f"create + start + delete on {runtime}", "<= 1.10x of the bare binary", **{
                f"nexcage-{runtime}": ours(runtime), f"{runtime}": bare(runtime)})


def run_rm(bench, world, image):
    try:
        peer = PodmanPeer(world)
        podman = peer.run
    except RuntimeError as error:
        reason = str(error)

        def podman():
            raise RuntimeError(reason)
    with support.crun_can_run():
        bench.group("run --rm IMAGE true", "<= 0.15x of podman 4.3 + crun", **{
            "nexcage run --rm": lambda: timed(*world.argv("run", "--rm", image, "true")),
            "podman run --rm (crun)": podman})


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

    rounds, bench.rounds = bench.rounds, 3
    bench.group("5,000 files, 40 MB, gzip: durable import, verification, unpacking, one run", "-", **{
        "nexcage image import + run --rm": ours,
        "tar -xpzf (not durable)": gnu_tar})
    bench.rounds = rounds


# Of every candidate: state directories, which lie below /run, on a tmpfs.
STATES = ("run", "many", "crun", "bare-crun", "bare-runc", "podman-run", "podman-tmp")


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


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--bin", required=True)
    options.add_argument("--out", required=True)
    options.add_argument("--rounds", type=int, default=15)
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
            verbs(bench, world, image)
            life_cycle(bench, world, image)
            other_runtimes(bench, world)
            run_rm(bench, world, image)
            machines.boots(bench, world, image)
            unpacking(bench, world)
            pulls.cold_pulls(bench, world)
            mountable.measure(bench, world, layers.program(world, "nx_bench_layers"))
            layers.structures(bench, world)
            layers.batches(bench, world)
    finally:
        world.destroy()
        os.makedirs(os.path.dirname(os.path.abspath(given.out)), exist_ok=True)
        with open(given.out, "w", encoding="utf-8") as file:
            json.dump({"machine": facts, "groups": bench.groups}, file, indent=2)
    print(f"\nwritten to {given.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
