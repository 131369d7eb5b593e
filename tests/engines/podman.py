"""Podman on a private machine, with nexcage as its default runtime."""
import json
import os

import engine
import support

IMAGE = "localhost/bb:1"
# Where the drop-in of docs/engines.md goes. The limits are those of a test machine whose root may not raise them.
CONFIG = "/etc/containers/containers.conf.d/nexcage.conf"


class PodmanCase(engine.EngineCase):
    tools = ("podman", "conmon", "netavark", "iptables")
    kept = frozenset(["/var/lib/containers/storage/overlay"])  # a mount over itself

    @classmethod
    def prepare(cls):
        os.makedirs(os.path.dirname(CONFIG), exist_ok=True)
        name = os.path.basename(engine.BINARY)
        with open(CONFIG, "w", encoding="utf-8") as file:
            file.write(f'''[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[network]
network_backend = "netavark"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "{name}"
runtime_supports_json = ["{name}"]
[engine.runtimes]
{name} = ["{engine.BINARY}"]
''')
        tar = cls.world.path("image.tar")
        with open(tar, "wb") as file:
            file.write(support.busybox_layer())
        for argv in (["podman", "import", "-c", "ENV PATH=/bin", tar, IMAGE],
                     # Makes the directories and mounts that Podman keeps.
                     ["podman", "run", "--rm", cls.parent(), "--network", "bridge", IMAGE, "true"]):
            answer = cls.world.raw(argv)
            if answer.code != 0:
                raise AssertionError(str(answer))

    @classmethod
    def parent(cls):
        return f"--cgroup-parent=/{cls.world.token}"

    def argv(self, verb, *args):
        own = [self.parent(), *(() if any(a.startswith("--network") or a.startswith("--pod=") for a in args)
                                else ("--network=none",))] if verb in ("run", "create") else []
        return ["podman", verb, *own, *map(str, args)]

    def run_detached(self, *args):
        """Starts a container that is removed after the test; returns its id."""
        container = self.command("run", "-d", *args).out.strip()
        self.remove_afterwards(container)
        return container

    def remove_afterwards(self, *containers):
        self.addCleanup(lambda: self.world.raw(["podman", "rm", "-f", "-i", "-t", "0", "-v", *containers]))

    def inspect(self, container):
        return json.loads(self.command("inspect", container).out)[0]

    def pid(self, container):
        return self.inspect(container)["State"]["Pid"]

    def log_has(self, container, word):
        support.wait_for(lambda: word in self.command("logs", container).out, what=f"{word!r} in the log")

    def files(self):
        state = support.tree("/run/containers", "/run/libpod", "/run/crun", "/run/runc", "/run/netns",
                             "/var/lib/containers/storage/overlay-containers")
        return engine.EngineCase.files() | {path for path in state if not path.endswith((".lock", ".pid"))}
