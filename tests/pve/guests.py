"""What tests of guests share: a double, a configuration that points to it, an image, and a look at what there is."""
import atexit
import json
import os
import signal
import shutil
import subprocess
import tempfile

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

    def kill_at(self, step, *words):
        """False: it came to its end before that step."""
        process = subprocess.Popen([support.NEXCAGE, "--config", self.config(), *words], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                   env={**os.environ, "NEXCAGE_TESTPOINT": "guest-remembered"})
        for number in range(1, step + 1):
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                process.returncode = os.waitstatus_to_exitcode(status)
                self.assertEqual(process.returncode, 0)
                return False
            os.kill(process.pid, signal.SIGKILL if number == step else signal.SIGCONT)
        process.wait(20)
        return True

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


MADE = []  # the directory with the imported images


def images(world):
    """The store of this world has the images that the tests are about. They are imported once."""
    if not MADE:
        import_images(world)
        MADE.append(tempfile.mkdtemp(prefix="pve-images-"))
        atexit.register(shutil.rmtree, MADE[0])
        shutil.copytree(world.path("images"), MADE[0], dirs_exist_ok=True)
    else:
        shutil.copytree(MADE[0], world.path("images"), dirs_exist_ok=True)


def import_images(world):
    layout = support.Layout(world.path("layout"))
    one = (support.Tar().dir("bin").add("bin/app", data=b"app 1\n", mode=0o755).dir("etc")
           .add("etc/passwd", data=b"root:x:0:0::/:/bin/sh\nweb:x:101:102::/:/bin/sh\n")
           .add("etc/group", data=b"web:x:102:\nmore:x:103:web\n").add("gone", data=b"x").finish())
    two = support.Tar().add(".wh.gone").add("bin/more", data=b"more\n", mode=0o755).finish()
    config = {"Entrypoint": ["/bin/app"], "Cmd": ["it's", 'a "test"'], "Env": ["PATH=/bin", "A=b c"], "User": "web",
              "WorkingDir": "/srv/data", "StopSignal": "SIGQUIT", "Volumes": {"/data": {}}}
    layout.add("guest:1", [one, two], config)
    newer = support.Tar().add("bin/app", data=b"app 2\n", mode=0o755).finish()
    layout.add("guest:2", [one, two, newer], {**config, "Env": ["PATH=/bin", "A=new"], "Cmd": ["two"]})
    layout.add("nobody:1", [one], {**config, "User": "nosuch"})
    layout.add("scratch:1", [support.Tar().add("app", data=b"app\n", mode=0o755).finish()],
               {"Entrypoint": ["/app"], "User": "1000:1000", "Cmd": None})
    layout.add("wolfi:1", [support.Tar().dir("etc").add("etc/os-release", data=b"ID=wolfi\n").add("app", data=b"x", mode=0o755).finish()],
               {"Entrypoint": ["/app"], "WorkingDir": "/not/there", "Cmd": None})
    layout.add("comma:1", [one], {**config, "Volumes": {"/data,ro=0": {}}})
    layout.add("debian:1", [one, support.Tar().add("etc/os-release", data=b"ID=debian\n").finish()], config)
    layout.add("suse:1", [one, support.Tar().add("etc/os-release", data=b'ID="opensuse-leap"\n').finish()], config)
    for tag in ("guest:1", "guest:2", "nobody:1", "scratch:1", "wolfi:1", "comma:1", "debian:1", "suse:1"):
        answer = world.run("image", "import", "--name", tag, f"oci:{layout.path}:{tag}")
        if answer.code:
            raise AssertionError(str(answer))


class ImageCase(GuestCase):
    @classmethod
    def prepare(cls):
        images(cls.world)


def zfs(name="tank", **options):
    return Storage(name, "zfspool", ("rootdir", "images"), **options)
