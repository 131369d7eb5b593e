"""Cold pull to runnable: nexcage, podman and containerd with ctr from one docker-registry in one run, in turns.

Each candidate fetches an image of many small files into an empty store and runs `true` from it. Measured are wall
time, processor time (of the command, its children and the daemon), peak memory and, in a round of their own under
strace, the calls that make data durable.
"""
import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import time

import measured
import registry_docker
import support
from registry_images import Image, noise, write_images

FILES = 5000
SYNCS = "fsync,fdatasync,syncfs,sync,sync_file_range"
NAME = "bench/files:1"


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


def command(world, argv, env=None):
    """(seconds of processor, bytes of peak memory) of one command and its children; it must succeed."""
    cost = world.path("cost")
    done = subprocess.run([*measured.prefix(cost), *argv], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: status {done.returncode}: {done.stderr[-400:]}")
    with open(cost, encoding="ascii") as file:
        spent = json.load(file)
    return spent["processor"], spent["memory"]


class Peer:
    """What all have: commands() fetch and run the image, clean() forgets it. `daemon` is the pid of a process that
    works for them."""

    daemon = None

    def __init__(self, world, registry):
        self.world, self.registry = world, registry
        self.reference = f"{registry.host}/{NAME}"
        self.env = dict(os.environ)

    def cycle(self):
        """Wall time in ms, processor time in ms, peak memory in bytes of one cold pull and first run."""
        before = self.daemon_cpu()
        if self.daemon:
            with open(f"/proc/{self.daemon}/clear_refs", "w", encoding="ascii") as file:
                file.write("5")  # the peak begins anew
        began, cpu, memory = time.perf_counter(), 0.0, 0
        for argv in self.commands():
            used, peak = command(self.world, argv, self.env)
            cpu, memory = cpu + used, max(memory, peak)
        wall = time.perf_counter() - began
        cpu, memory = cpu + self.daemon_cpu() - before, memory + self.daemon_peak()
        self.clean()
        return wall * 1000, cpu * 1000, memory

    def daemon_cpu(self):
        if not self.daemon:
            return 0.0
        with open(f"/proc/{self.daemon}/stat", encoding="utf-8") as file:
            return sum(map(int, file.read().rpartition(")")[2].split()[11:15])) / os.sysconf("SC_CLK_TCK")

    def daemon_peak(self):
        if not self.daemon:
            return 0
        with open(f"/proc/{self.daemon}/status", encoding="utf-8") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read()).group(1)) << 10

    def syncs(self):
        """Calls that make data durable, in one cold pull and first run."""
        if not shutil.which("strace"):
            return None
        log, trace = self.world.path(self.world.new_id()), ["strace", "-f", "-qq", "-e", f"trace={SYNCS}", "-e", "signal=none"]
        watcher = None
        if self.daemon:
            watcher = subprocess.Popen([*trace, "-o", log + ".daemon", "-p", str(self.daemon)], stderr=subprocess.DEVNULL)
            support.wait_for(lambda: self.traced(), what="strace")
        for number, argv in enumerate(self.commands()):
            command(self.world, [shutil.which("strace"), *trace[1:], "-o", f"{log}.{number}", *argv], self.env)
        if watcher:
            watcher.terminate()
            watcher.wait()
        self.clean()
        count = 0
        for name in os.listdir(self.world.dir):
            if name.startswith(os.path.basename(log) + "."):
                with open(self.world.path(name), encoding="utf-8", errors="replace") as file:
                    count += sum(bool(re.match(r"\d+ +(\w*sync\w*)\(", line)) for line in file)
        return count

    def traced(self):
        with open(f"/proc/{self.daemon}/status", encoding="utf-8") as file:
            return not re.search(r"TracerPid:\s+0\n", file.read())

    def stop(self):
        pass


class Nexcage(Peer):
    def __init__(self, world, registry):
        super().__init__(world, registry)
        if world.run("pull", "--help").code:
            raise RuntimeError("the verb pull is not in this build")

    def commands(self):
        return [self.world.argv("pull", "-q", "--tls-verify=false", self.reference), self.world.argv("run", "--rm", self.reference, "true")]

    def clean(self):
        command(self.world, self.world.argv("image", "remove", self.reference))
        support.remove_tree(self.world.path("layers"))


class Podman(Peer):
    def __init__(self, world, registry):
        super().__init__(world, registry)
        podman = shutil.which("podman")
        if not podman:
            raise RuntimeError("podman is not installed")
        conf = world.path("pull-containers.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
                       '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n')
        self.env["CONTAINERS_CONF"] = conf
        self.base = [podman, "--root", world.path("pull-podman"), "--runroot", world.path("pull-podman-run"),
                     "--tmpdir", world.path("pull-podman-tmp"), "--runtime", "crun"]

    def commands(self):
        return [[*self.base, "pull", "-q", "--tls-verify=false", self.reference],
                [*self.base, "run", "--rm", "--network", "none", self.reference, "true"]]

    def clean(self):
        command(self.world, [*self.base, "rmi", "-f", self.reference], self.env)


class Containerd(Peer):
    def __init__(self, world, registry):
        super().__init__(world, registry)
        for program in ("containerd", "ctr", "runc"):
            if not shutil.which(program):
                raise RuntimeError(f"{program} is not installed")
        settings, self.socket = world.path("pull-containerd.toml"), world.path("pull-containerd.sock")
        with open(settings, "w", encoding="utf-8") as file:
            file.write(f'version = 2\nroot = "{world.path("pull-containerd")}"\nstate = "{world.path("pull-containerd-run")}"\n'
                       'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                       f'[grpc]\n  address = "{self.socket}"\n')
        with open(world.path("pull-containerd.log"), "wb") as log:
            self.process = subprocess.Popen(["containerd", "-c", settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.daemon = self.process.pid
        support.wait_for(lambda: support.is_socket(self.socket), 20, "containerd's socket")
        self.ctr = [shutil.which("ctr"), "--address", self.socket]

    def commands(self):
        return [[*self.ctr, "image", "pull", "--plain-http", self.reference],
                [*self.ctr, "run", "--rm", self.reference, self.world.new_id(), "true"]]

    def clean(self):
        command(self.world, [*self.ctr, "image", "rm", "--sync", self.reference])

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def show(group):
    print(f"\n{group['title']}   (target: {group['target']})")
    ours = group["rows"].get("nexcage")
    for name, row in group["rows"].items():
        ratio = f"   nexcage is {ours['median'] / row['median']:.2f}x in time, {ours['cpu'] / row['cpu']:.2f}x in processor" \
            if ours and name != "nexcage" else ""
        print(f"  {name:22} {row['median']:8.0f} ms   {row['p10']:.0f} .. {row['p90']:.0f}   processor {row['cpu']:6.0f} ms   "
              f"peak {row['memory'] / (1 << 20):5.0f} MiB   syncs {row['syncs'] if row['syncs'] is not None else '-'}{ratio}")
    for name, reason in group["absent"].items():
        print(f"  {name:22} not measured: {reason[:300]}")


def cold_pulls(bench, world, rounds=5):
    """Measures and adds the group to the bench."""
    group = {"title": f"cold pull to first run, {FILES:,} files, 40 MB, gzip", "unit": "ms", "rows": {}, "absent": {},
             "target": "<= 0.15x of podman 4.3 and of containerd 1.6 in time, <= 0.25x of podman in processor, <= 96 MiB"}
    missing = registry_docker.absent()
    if missing:
        print(f"\n{group['title']}: not measured: {missing}")
        return
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(registry_docker.DockerRegistry(world.path("pull-registry")))
        registry.push(write_images(world.path("pull-image"), {"1": image()})["1"], NAME)
        stack.enter_context(support.crun_can_run())
        peers, samples = {}, {}
        for name, make in (("nexcage", Nexcage), ("podman", Podman), ("containerd + ctr", Containerd)):
            try:
                peers[name] = make(world, registry)
                stack.callback(peers[name].stop)
            except RuntimeError as error:
                group["absent"][name] = str(error)
        for number in range(rounds + 1):
            for name, peer in peers.items():
                if name in group["absent"]:
                    continue
                try:
                    cost = peer.cycle()
                except RuntimeError as error:
                    if name == "nexcage":
                        raise
                    group["absent"][name] = str(error)
                    continue
                if number:  # the first round warms caches
                    samples.setdefault(name, []).append(cost)
        for name, costs in samples.items():
            wall, cpu, memory = zip(*costs)
            try:
                syncs = peers[name].syncs()
            except RuntimeError as error:  # what does not run under strace
                syncs = None
                print(f"{name}: syncs not counted: {str(error)[-200:]}")
            group["rows"][name] = {**bench.row(list(wall)), "cpu": statistics.median(cpu), "memory": max(memory), "syncs": syncs}
    bench.groups.append(group)
    show(group)
