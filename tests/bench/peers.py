"""Engines that fetch, unpack, run and remove images, with stores of their own in the scratch directory: nexcage, Podman,
and containerd with ctr. What one does is a list of commands; what these cost includes the daemon's part."""
import json
import os
import re
import shutil
import subprocess
import time

import measured
import support

SYNCS = "fsync,fdatasync,syncfs,sync,sync_file_range"
REMOVALS = "unlink,unlinkat,rmdir"


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


def turn(engines, absent, work):
    """One round: what the work gives for each engine. Who cannot do it is absent from then on; nexcage must."""
    given = {}
    for name, engine in engines.items():
        if name in absent:
            continue
        try:
            given[name] = work(engine)
        except RuntimeError as error:
            if name == "nexcage":
                raise
            absent[name] = str(error)
    return given


class Peer:
    """What all have. `daemon` is the pid of a process that works for them."""

    daemon = None

    def __init__(self, world):
        self.world, self.env = world, dict(os.environ)

    def cost(self, commands):
        """Wall time in ms, processor time in ms, peak memory in bytes."""
        before = self.daemon_cpu()
        if self.daemon:
            with open(f"/proc/{self.daemon}/clear_refs", "w", encoding="ascii") as file:
                file.write("5")  # the peak begins anew
        began, cpu, memory = time.perf_counter(), 0.0, 0
        for argv in commands:
            used, peak = command(self.world, argv, self.env)
            cpu, memory = cpu + used, max(memory, peak)
        wall = time.perf_counter() - began
        cpu, memory = cpu + self.daemon_cpu() - before, memory + self.daemon_peak()
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

    def count(self, calls, commands):
        """How many of these system calls they make, the daemon's with them; None without strace."""
        if not shutil.which("strace"):
            return None
        log, trace = self.world.path(self.world.new_id()), ["strace", "-f", "-qq", "-e", f"trace={calls}", "-e", "signal=none"]
        watcher = None
        if self.daemon:
            watcher = subprocess.Popen([*trace, "-o", log + ".daemon", "-p", str(self.daemon)], stderr=subprocess.DEVNULL)
            support.wait_for(self.traced, what="strace")
        for number, argv in enumerate(commands):
            command(self.world, [shutil.which("strace"), *trace[1:], "-o", f"{log}.{number}", *argv], self.env)
        if watcher:
            watcher.terminate()
            watcher.wait()
        called = re.compile(r"\d+ +(%s)\(" % calls.replace(",", "|"))
        count = 0
        for name in os.listdir(self.world.dir):
            if name.startswith(os.path.basename(log) + "."):
                with open(self.world.path(name), encoding="utf-8", errors="replace") as file:
                    count += sum(bool(called.match(line)) for line in file)
        return count

    def traced(self):
        with open(f"/proc/{self.daemon}/status", encoding="utf-8") as file:
            return not re.search(r"TracerPid:\s+0\n", file.read())

    def clean(self):
        """Forgets what a removal leaves."""

    def stop(self):
        pass


class Nexcage(Peer):
    def __init__(self, world):
        super().__init__(world)
        if world.run("pull", "--help").code:
            raise RuntimeError("the verb pull is not in this build")

    def pull(self, reference):
        return [self.world.argv("pull", "-q", "--tls-verify=false", reference)]

    def load(self, archive, reference):
        return [self.world.argv("image", "import", "oci-archive:" + archive, "--name", reference),
                self.world.argv("layer", "merge", reference)]

    def run(self, reference, *words):
        return [self.world.argv("run", "--rm", reference, *words)]

    def remove(self, reference):
        return [self.world.argv("image", "remove", reference)]

    def clean(self):
        support.remove_tree(self.world.path("layers"))


class Podman(Peer):
    def __init__(self, world):
        super().__init__(world)
        podman = shutil.which("podman")
        if not podman:
            raise RuntimeError("podman is not installed")
        conf = world.path("containers.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
                       '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n')
        self.env["CONTAINERS_CONF"] = conf
        self.base = [podman, "--root", world.path("podman"), "--runroot", world.path("podman-run"),
                     "--tmpdir", world.path("podman-tmp"), "--runtime", "crun"]

    def pull(self, reference):
        return [[*self.base, "pull", "-q", "--tls-verify=false", reference]]

    def load(self, archive, _reference):
        return [[*self.base, "load", "-q", "-i", archive]]

    def run(self, reference, *words):
        return [[*self.base, "run", "--rm", "--network", "none", reference, *words]]

    def remove(self, reference):
        return [[*self.base, "rmi", "-f", reference]]


class Containerd(Peer):
    def __init__(self, world):
        super().__init__(world)
        for program in ("containerd", "ctr", "runc"):
            if not shutil.which(program):
                raise RuntimeError(f"{program} is not installed")
        settings, self.socket = world.path("containerd.toml"), world.path("containerd.sock")
        with open(settings, "w", encoding="utf-8") as file:
            file.write(f'version = 2\nroot = "{world.path("containerd")}"\nstate = "{world.path("containerd-run")}"\n'
                       'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                       f'[grpc]\n  address = "{self.socket}"\n')
        with open(world.path("containerd.log"), "wb") as log:
            self.process = subprocess.Popen(["containerd", "-c", settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.daemon = self.process.pid
        support.wait_for(lambda: support.is_socket(self.socket), 20, "containerd's socket")
        self.ctr = [shutil.which("ctr"), "--address", self.socket]

    def pull(self, reference):
        return [[*self.ctr, "image", "pull", "--plain-http", reference]]

    def load(self, archive, reference):
        return [[*self.ctr, "image", "import", "--base-name", reference.rpartition(":")[0], archive]]

    def run(self, reference, *words):
        return [[*self.ctr, "run", "--rm", reference, self.world.new_id(), *words]]

    def remove(self, reference):
        return [[*self.ctr, "image", "rm", "--sync", reference]]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


KINDS = {"nexcage": Nexcage, "podman": Podman, "containerd + ctr": Containerd}


def all_of(world, stack):
    """(name -> engine, name -> why it is absent); the stack stops them."""
    there, absent = {}, {}
    for name, make in KINDS.items():
        try:
            there[name] = make(world)
            stack.callback(there[name].stop)
        except RuntimeError as error:
            absent[name] = str(error)
    return there, absent
