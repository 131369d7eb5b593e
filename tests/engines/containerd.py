"""containerd and its client ctr on a private machine; containers run on nexcage by --runc-binary."""
import os
import subprocess
import tarfile
import unittest

import engine
import support

IMAGE = "localhost/bb:1"
CONFIG = "/etc/containerd/config.toml"
SOCKET = "/run/containerd/containerd.sock"


class ContainerdCase(engine.EngineCase):
    tools = ("containerd", "ctr", "containerd-shim-runc-v2")

    @classmethod
    def prepare(cls):
        cls.start_daemon('disabled_plugins = ["io.containerd.grpc.v1.cri"]')
        cls.import_image("default")
        # Makes the directories that containerd keeps.
        cls.client("run", "--rm", "--runc-binary", engine.BINARY, *cls.group("warm"), IMAGE, "warm", "true")

    @classmethod
    def start_daemon(cls, settings):
        os.makedirs(os.path.dirname(CONFIG), exist_ok=True)
        with open(CONFIG, "w", encoding="utf-8") as file:
            file.write("version = 2\n" + settings)
        log = open(cls.world.path("containerd.log"), "wb")
        cls.daemon = subprocess.Popen(["containerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        unittest.addModuleCleanup(cls.stop_daemon)
        support.wait_for(lambda: support.is_socket(SOCKET), 20, "containerd's socket")

    @classmethod
    def import_image(cls, namespace, **config):
        layout = cls.world.layout()
        layout.add("1", [support.busybox_layer()], config)
        archive = cls.world.path("image.tar")
        with tarfile.open(archive, "w") as tar:
            tar.add(layout.path, ".")
        cls.client("--namespace", namespace, "image", "import", "--base-name", "localhost/bb", archive)

    @classmethod
    def client(cls, *args):
        answer = cls.world.raw(["ctr", *args], timeout=engine.PATIENCE)
        if answer.code != 0:
            raise AssertionError(str(answer))

    @classmethod
    def stop_daemon(cls):
        cls.daemon.terminate()
        cls.daemon.wait(20)

    @classmethod
    def group(cls, container):
        return ["--cgroup", f"/{cls.world.token}/{container}"]

    def argv(self, verb, *args):
        own = []
        if verb == "run":
            own = ["--runc-binary", engine.BINARY, *self.group(args[args.index(IMAGE) + 1])]
        return ["ctr", verb, *own, *map(str, args)]

    def remove_task(self, container, code):
        """Deletes a stopped task; ctr tells its exit status only in a warning."""
        answer = self.command("task", "rm", container)
        self.assertIn(f"exit with non-zero exit code {code}", answer.err)

    def new(self):
        """An id for a container, which is removed after the test."""
        container = self.world.new_id()

        def remove():
            if container in self.command("task", "ls").out:
                self.world.raw(["ctr", "task", "rm", "--force", container])
            if container in self.command("container", "ls").out:
                self.world.raw(["ctr", "container", "rm", container])

        self.addCleanup(remove)
        return container

    def run_detached(self, *args, options=()):
        container = self.new()
        self.command("run", "-d", *options, IMAGE, container, *args)
        return container

    def task(self, container):
        """(pid, status) of a task."""
        for line in self.command("task", "ls").out.splitlines()[1:]:
            name, pid, status = line.split()
            if name == container:
                return int(pid), status
        return None

    def files(self):
        # ctr forgets the pipes of a detached exec.
        return engine.EngineCase.files() | {path for path in support.tree("/run/containerd")
                                            if not path.startswith("/run/containerd/fifo/")}
