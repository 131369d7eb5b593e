"""What tests of guests share: a double, a configuration that points to it, an image, and a look at what there is."""
import json
import os
import subprocess

import support
from double import Double
from pve_cluster import Storage

NETWORK = "name=eth0,bridge=vmbr0,ip=dhcp"


class GuestCase(support.Case):
    VERSION = "9.2"
    STORAGES = ()
    NETWORK = NETWORK

    def setUp(self):
        self.double = Double(self.VERSION)
        self.addCleanup(self.double.stop)
        for storage in self.STORAGES:
            self.double.cluster.storages[storage.name] = storage
        self.directory = self.world.path(self.world.new_id())
        os.makedirs(self.directory)
        self.secret = self.double.least_token()
        self.write("token", f"nexcage@pve!cli={self.secret}\n")
        self.write("password", "secret99\n")
        self.settings = {"hosts": f"127.0.0.1:{self.double.port}", "token_file": self.path("token"),
                         "ca_file": self.double.ca_file, "network": self.NETWORK}

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text, mode=0o600):
        with os.fdopen(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def config(self):
        lines = [f"{key} = {json.dumps(value)}" for key, value in self.settings.items() if value is not None]
        self.write("config.toml", "\n".join([
            "[runtime]", f'root = "{self.path("state")}"', "[storage]", f'images = "{self.world.path("images")}"',
            f'containers = "{self.path("containers")}"', f'layers = "{self.path("layers")}"', "[proxmox]", *lines]) + "\n")
        return self.path("config.toml")

    def nexcage(self, *words, env=None):
        return subprocess.run([support.NEXCAGE, "--config", self.config(), *words], capture_output=True, text=True, check=False,
                              timeout=180, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL)

    def ok(self, *words, **options):
        done = self.nexcage(*words, **options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def refused(self, *words, **options):
        done = self.nexcage(*words, **options)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr

    def create(self, name, image="guest:1", *options):
        return self.ok("create", "--runtime", "proxmox-lxc", "--name", name, *options, image)

    def state(self, name):
        return json.loads(self.ok("state", name))

    def guest(self):
        """The only guest that is no template."""
        found = [one for one in self.double.cluster.guests.values() if not one.config.get("template")]
        self.assertEqual(len(found), 1, {one.vmid: one.config for one in found})
        return found[0]

    def picture(self):
        """Everything that the cluster has and our own directory of guests."""
        cluster = self.double.cluster
        volumes = sorted(f"{storage.name}:{name}" for storage in cluster.storages.values() for name in storage.volumes)
        guests = {vmid: {key: value for key, value in guest.config.items()} for vmid, guest in cluster.guests.items()}
        records = self.path("containers/@guests")
        return volumes, guests, sorted(os.listdir(records)) if os.path.isdir(records) else []

    def tearDown(self):
        self.assertEqual(self.double.problems, [])


def zfs(name="tank", **options):
    return Storage(name, "zfspool", ("rootdir", "images"), **options)
