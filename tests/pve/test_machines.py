"""Backend proxmox-vm against the double: life cycle in each release, settings, faults; and the machine that the double was given really boots."""
import base64
import json
import os
import shutil
import socket
import subprocess
import time
import unittest

import machine_kernel
import support
from double import least_role
from guests import GuestCase, images
from pve_cluster import Storage
from pve_tasks import RequestFault, TaskFault

MIB = 1 << 20
NETWORK = "name=eth0,bridge=vmbr0,ip=192.0.2.7/24,gw=192.0.2.1"


class MachineCase(GuestCase):
    NETWORK = NETWORK
    PRIVILEGES = ("VM.Config.HWType", "VM.GuestAgent.Unrestricted", "VM.Monitor")

    def setUp(self):
        super().setUp()
        self.poor_token()

    def poor_token(self, *without):
        """The role of the README, and what docs/proxmox.md adds for machines."""
        for who in ("machines@pve", "machines@pve!cli"):
            self.double.access.acl.pop(who, None)
        self.secret = self.double.least_token("machines@pve!cli")
        for who in ("machines@pve", "machines@pve!cli"):
            self.double.access.grant(who, "/vms", *least_role()[0], *(one for one in self.PRIVILEGES if one not in without))
        self.write("token", f"machines@pve!cli={self.secret}\n")

    @classmethod
    def prepare(cls):
        for tool in ("syslinux", "mcopy", "mkfs.vfat"):
            if not shutil.which(tool):
                raise unittest.SkipTest(f"{tool} is not installed")
        cls.kernel = machine_kernel.prepared_kernel()
        images(cls.world)

    def config(self):
        path = super().config()
        with open(path, "a", encoding="utf-8") as file:
            file.write(f'[vm]\nkernel = "{self.kernel}/vmlinuz"\ninitrd = "{self.kernel}/initrd"\nmemory = "256m"\n')
        return path

    def create(self, name, image="guest:1", *options):
        return self.ok("create", "--runtime", "proxmox-vm", "--name", name, *options, image)

    def refuse(self, *options, image="guest:1"):
        before = self.picture()
        said = self.refused("create", "--runtime", "proxmox-vm", "--name", "web", *options, image)
        self.assertEqual(self.picture(), before, said)
        return said

    def volume(self, setting):
        return self.double.cluster.volume(self.guest().config[setting].split(",")[0])


class LifeCycle(MachineCase):
    def test_from_create_to_delete(self):
        before = self.picture()
        self.create("web")
        guest = self.guest()
        self.assertEqual(guest.kind, "qemu")
        self.assertEqual(self.state("web")["status"], "created")
        config = guest.config
        self.assertEqual({key: config[key] for key in ("name", "memory", "cores", "ostype", "agent", "serial0", "vga", "boot", "reboot")},
                         {"name": "web", "memory": "256", "cores": "1", "ostype": "l26", "agent": "1,freeze-fs-on-backup=0",
                          "serial0": "socket", "vga": "serial0", "boot": "order=virtio0", "reboot": "0"})
        self.assertRegex(config["net0"], r"^virtio=BC:24:11(:[0-9A-F]{2}){3},bridge=vmbr0$")
        self.assertIn("serial=nexcage-boot", config["virtio0"])
        self.assertIn("serial=nexcage-root", config["virtio1"])
        self.assertIn("size=4G", config["virtio1"])
        left = [name for name in self.double.cluster.storages["local"].volumes if name.startswith("import/")]
        self.assertEqual(len(left), 1, "the root disk of the image; the machine's own boot disk has gone")
        self.ok("start", "web")
        self.assertTrue(guest.running)
        self.ok("pause", "web")
        self.assertEqual(self.state("web")["status"], "paused")
        self.ok("resume", "web")
        self.assertEqual(self.state("web")["status"], "running")
        self.assertRegex(self.ok("list"), r"web.*running")
        self.assertIn("is running", self.refused("delete", "web"))
        self.ok("stop", "web")
        self.assertFalse(guest.running)
        self.ok("start", "web")
        self.ok("kill", "web", "KILL")
        self.ok("delete", "--force", "web")
        self.ok("pve", "templates", "prune")
        self.assertEqual(self.picture(), before)

    def test_with_a_ticket(self):
        self.double.access.users["root@pam"] = "secret99"
        self.settings.update(user="root@pam", password_file=self.path("password"), token_file=None)
        LifeCycle.test_from_create_to_delete(self)

    def test_an_image_is_uploaded_once(self):
        self.create("one")
        self.create("two")
        roots = [name for name in self.double.uploads if name.endswith("-root.raw")]
        self.assertEqual(len(roots), 1)
        self.assertIn(roots[0].rpartition("/")[2], self.ok("pve", "templates", "list"))
        self.ok("pve", "templates", "prune")
        self.assertIn(roots[0].partition(":")[2], self.double.cluster.storages["local"].volumes, "it is in use")

    def test_limits_and_settings(self):
        self.create("web", "guest:1", "--memory", "512m", "--cpus", "1.5", "--hostname", "box", "--annotation",
                    "org.nexcage.proxmox.onboot=1", "--annotation",
                    "org.nexcage.proxmox.net0=name=lan0,bridge=vmbr0,hwaddr=02:00:00:00:00:01,tag=7,firewall=1", "--annotation",
                    "org.nexcage.proxmox.tags=mine")
        config = self.guest().config
        self.assertEqual((config["memory"], config["cores"], config["cpulimit"], config["name"], config["onboot"]),
                         ("512", "2", "1.5", "box", "1"))
        self.assertEqual(config["net0"], "virtio=02:00:00:00:00:01,bridge=vmbr0,tag=7,firewall=1")
        self.assertRegex(config["tags"], r"^nexcage;nexcage-[0-9a-f]{24};mine$")
        self.ok("update", "--memory", "1g", "--cpu-quota", "200000", "web")
        self.assertEqual((self.guest().config["memory"], self.guest().config["cpulimit"]), ("1024", "2"))
        self.assertIn("/pids", self.refused("update", "--pids-limit", "7", "web"))

    def test_what_is_refused_by_name(self):
        shared = self.path("shared")
        os.mkdir(shared)
        self.assertIn("directory of this host", self.refuse("-v", f"{shared}:/data"))
        self.assertIn("ip6=dhcp", self.refuse("--annotation", "org.nexcage.proxmox.net0=name=eth0,bridge=vmbr0,ip6=dhcp"))
        self.assertIn("has no such setting", self.refuse("--annotation", "org.nexcage.proxmox.mp0=local:1,mp=/x"))
        self.assertIn("control character", self.refuse("--annotation", "org.nexcage.proxmox.startup=a\nhookscript: x"))
        self.assertIn("64.0 MiB", self.refuse("--memory", "32m"))
        self.assertIn("nosuch", self.refuse(image="nobody:1"))
        self.settings["storage"] = "nowhere"
        self.assertIn("no storage", self.refuse())

    def test_processes(self):
        ran = []

        def agent(vmid, command, given):
            ran.append((vmid, command, given))
            return 7, "out \u00e4\u20ac\n".encode() + given, b"err\n"
        self.double.agent = agent
        self.create("web")
        self.assertIn("is not running", self.refused("exec", "web", "/bin/app"))
        self.ok("start", "web")
        done = self.nexcage("exec", "-e", "SECRET=1", "web", "/bin/app", "x")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (7, "out \u00e4\u20ac\n", "err\n"))
        with open(self.path("given"), "w+", encoding="utf-8") as file:
            file.write("\u00fc\u20ac")
            file.seek(0)
            piped = subprocess.run([support.NEXCAGE, "--config", self.config(), "exec", "web", "/bin/app"], stdin=file, capture_output=True,
                                   text=True, check=False)
        self.assertEqual(piped.stdout, "out \u00e4\u20ac\n\u00fc\u20ac")
        self.assertEqual([(vmid, words[0], len(words)) for vmid, words, _ in ran], [(100, "nexcage-exec", 2)] * 2)
        self.assertIn("a terminal", self.refused("exec", "-t", "web", "/bin/app"))
        self.double.agent = None
        self.assertIn("QEMU guest agent is not running", self.refused("exec", "web", "/bin/app"))


class LifeCycle91(MachineCase):
    VERSION = "9.1"
    test_from_create_to_delete = LifeCycle.test_from_create_to_delete
    test_with_a_ticket = LifeCycle.test_with_a_ticket


class LifeCycle84(MachineCase):
    VERSION = "8.4"
    test_from_create_to_delete = LifeCycle.test_from_create_to_delete
    test_with_a_ticket = LifeCycle.test_with_a_ticket
    test_processes = LifeCycle.test_processes


class Updates(MachineCase):
    """Another image for a machine, and back."""

    def setUp(self):
        super().setUp()
        self.create("web", "guest:1", "--memory", "300m")
        self.ok("start", "web")

    def disks(self):
        return [self.guest().config[key].split(",")[0] for key in ("virtio0", "virtio1")]

    def content(self):
        """The root disk has the files of one image or of the other."""
        return "two" if b"app 2" in self.volume("virtio1").data else "one"

    def kept(self):
        return [entry["image"].rpartition("/")[2] for entry in self.state("web").get("earlier", [])]

    def test_another_image_and_back(self):
        guest, before, first = self.guest(), dict(self.guest().config), self.disks()
        self.ok("update", "--image", "guest:2", "web")
        self.assertIs(self.guest(), guest)
        self.assertTrue(guest.running)
        self.assertEqual(self.content(), "two")
        self.assertEqual({key: guest.config[key] for key in ("net0", "memory", "name")}, {key: before[key] for key in ("net0", "memory", "name")})
        self.assertEqual(sorted(value for key, value in guest.config.items() if key.startswith("unused")), sorted(first))
        self.assertIn("serial=nexcage-root", guest.config["virtio1"])
        self.assertEqual(self.kept(), ["guest:1"])
        self.assertEqual(self.state("web")["annotations"]["org.nexcage.image"].rpartition("/")[2], "guest:2")
        self.assertFalse([name for name in self.double.cluster.storages["local"].volumes if name.endswith("-boot.raw")])
        self.ok("update", "--rollback", "web")
        self.assertEqual((self.disks(), self.content(), guest.running, self.kept()), (first, "one", True, []))
        self.assertEqual([key for key in guest.config if key.startswith("unused")], [])
        self.assertEqual({**guest.config, "description": ""}, {**before, "description": ""})
        self.assertIn("no earlier root", self.refused("update", "--rollback", "web"))
        self.ok("stop", "web")
        self.ok("update", "--image", "guest:2", "--generations", "0", "web")
        self.assertFalse(guest.running)
        self.assertEqual((self.content(), self.kept()), ("two", []))
        self.ok("delete", "web")
        self.ok("pve", "templates", "prune")
        self.assertEqual(self.picture(), ([], {}, []))

    def test_a_failure_at_each_step_leaves_it_as_it_was(self):
        guest = self.guest()
        before = (dict(guest.config), self.disks())
        for fault in (TaskFault("imgcopy", "write error"), TaskFault("qmconfig", "lvcreate failed"), TaskFault("resize", "resize failed"),
                      RequestFault("POST /nodes/pve1/qemu/100/config$", status=500, text="busy"), TaskFault("qmstart", "start failed", early=True),
                      TaskFault("qmshutdown", "it hangs", early=True)):
            with self.subTest(fault=getattr(fault, "kind", "request")):
                self.double.faults.add(fault)
                self.refused("update", "--image", "guest:2", "web")
                self.assertEqual(((guest.config, self.disks()), guest.running, self.content()), (before, True, "one"))
                self.assertFalse([name for name in self.double.cluster.storages["local"].volumes if name.endswith("-boot.raw")])

    def test_killed_at_each_step(self):
        guest, first, done = self.guest(), self.disks(), False
        before = dict(guest.config)
        for step in range(1, 30):
            with self.subTest(step=step):
                killed = self.kill_at(step, "update", "--image", "guest:2", "web")
                self.nexcage("start", "web")  # whoever comes next
                if not killed:
                    break
                done = done or self.content() == "two"
                self.assertTrue(guest.running)
                if not done:
                    self.assertEqual((guest.config, self.disks(), self.kept()), (before, first, []))
                    continue
                self.assertEqual((self.content(), self.kept()), ("two", ["guest:1"]))
                self.ok("update", "--rollback", "web")
                done = False
        self.assertGreater(step, 5)
        self.assertEqual((self.content(), self.kept()), ("two", ["guest:1"]))
        self.assertFalse([name for name in self.double.cluster.storages["local"].volumes if name.endswith("-boot.raw")])


class Faults(MachineCase):
    """Each ends with the right error, and nothing is there that was not there before."""

    def test_requests_and_tasks_that_fail(self):
        for fault, words in ((RequestFault("POST /nodes/pve1/storage/local/upload$", status=500, text="no room"), "no room"),
                             (TaskFault("imgcopy", "write error"), "write error"),
                             (TaskFault("qmcreate", "lvcreate failed"), "lvcreate failed"),
                             (TaskFault("resize", "resize failed"), "resize failed"),
                             (RequestFault("PUT /nodes/pve1/qemu/100/resize$", status=500, text="busy"), "busy")):
            with self.subTest(words=words):
                self.double.faults.add(fault)
                self.assertIn(words, self.refuse())

    def test_answers_that_are_lost(self):
        """Nobody knows whether they were carried out: they were."""
        for pattern in ("POST /nodes/pve1/storage/local/upload$", "POST /nodes/pve1/qemu$", "PUT /nodes/pve1/qemu/100/resize$"):
            with self.subTest(pattern=pattern):
                self.double.faults.add(RequestFault(pattern, drop="after"))
                self.refuse()

    def test_vmid_taken_in_between(self):
        before = self.picture()
        self.double.faults.add(RequestFault("POST /nodes/pve1/qemu$",
                                            before=lambda: self.double.cluster.reserve(100, "lxc", "pve1", {"hostname": "other"})))
        self.create("web")
        self.assertEqual(self.state("web")["annotations"]["org.nexcage.guest.vmid"], "101")
        self.ok("delete", "web")
        self.ok("pve", "templates", "prune")
        self.double.cluster.guests.pop(100)
        self.assertEqual(self.picture(), before)

    def test_storage_is_full(self):
        self.double.cluster.storages["small"] = Storage("small", "dir", ("images",), space=64 * MIB)
        self.settings["storage"] = "small"
        self.assertIn("No space left", self.refuse())

    def test_privilege_is_missing(self):
        self.poor_token("VM.Config.HWType")
        self.assertRegex(self.refuse(), r"VM\.Config\.HWType")
        self.assertRegex(self.nexcage("pve", "doctor").stdout, r"/vms +VM\.Config\.HWType")

    def test_killed_at_each_step(self):
        before = self.picture()
        for step in range(1, 20):
            with self.subTest(step=step):
                killed = self.kill_at(step, "create", "--runtime", "proxmox-vm", "--name", "web", "guest:1")
                self.nexcage("delete", "--force", "web")
                self.ok("pve", "templates", "prune")
                self.assertEqual(self.picture(), before)
                if not killed:
                    break
        self.assertGreater(step, 3)

    def test_another_guest_has_its_vmid(self):
        self.create("web")
        self.guest().config["description"] = "mine"
        self.assertIn("no longer the container's", self.refused("start", "web"))
        self.assertIn("no longer the container's", self.refused("delete", "web"))


class Booted(MachineCase):
    """QEMU starts what the double has, as Proxmox VE would: SeaBIOS, the two disks, the agent's port, a serial console."""

    def disk(self, setting):
        volume, path = self.volume(setting), self.path(setting + ".raw")
        with open(path, "wb") as file:
            file.write(volume.data)
            file.truncate(volume.size)
        serial = next(part for part in self.guest().config[setting].split(",") if part.startswith("serial="))
        return ["-drive", f"file={path},if=none,id={setting},format=raw,cache=unsafe", "-device", f"virtio-blk-pci,drive={setting},{serial}"]

    def boot(self):
        self.port = self.path("agent.sock")
        self.console = self.path("console")
        nics = []
        for key in ("net0", "net1"):
            mac = self.guest().config[key].split(",")[0].partition("=")[2]
            # The second one has a server of addresses; nothing is sent to the world behind it.
            nics += ["-netdev", f"user,id={key},restrict={'on' if key == 'net0' else 'off'}", "-device", f"virtio-net-pci,netdev={key},mac={mac}"]
        self.machine = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-machine", "pc", "-m", self.guest().config["memory"], "-nodefaults", "-display", "none",
             "-no-reboot", *self.disk("virtio0"), *self.disk("virtio1"), *nics, "-serial", f"file:{self.console}",
             "-chardev", f"socket,path={self.port},server=on,wait=off,id=qga0", "-device", "virtio-serial",
             "-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0"], stdin=subprocess.DEVNULL)
        self.addCleanup(self.machine.wait)
        self.addCleanup(self.machine.kill)

    def said(self):
        if not os.path.exists(self.console):
            return ""
        with open(self.console, encoding="utf-8", errors="replace") as file:
            return file.read().replace("\r", "")

    def wait_for(self, text):
        end = time.monotonic() + 240
        while text not in self.said():
            self.assertIsNone(self.machine.poll(), self.said())
            self.assertLess(time.monotonic(), end, self.said())
            time.sleep(0.2)

    def ask(self, execute, **arguments):
        """A command of the guest agent's, as Proxmox VE sends it."""
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(120)
            channel.connect(self.port)
            channel.sendall(json.dumps({"execute": execute, "arguments": arguments}).encode() + b"\n")
            return json.loads(channel.makefile("rb").readline())

    def agent(self, _vmid, command, given):
        started = self.ask("guest-exec", path=command[0], arg=command[1:], **{
            "capture-output": True, **({"input-data": base64.b64encode(given).decode()} if given else {})})
        self.assertIn("return", started, started)
        while True:
            status = self.ask("guest-exec-status", pid=started["return"]["pid"])
            self.assertIn("return", status, status)
            status = status["return"]
            if status["exited"]:
                return status.get("exitcode", -1), *(base64.b64decode(status.get(name, "")) for name in ("out-data", "err-data"))
            time.sleep(0.1)

    def test_it_runs(self):
        layout = support.Layout(self.path("layout"))
        config = {"Entrypoint": ["/bin/sh", "-c", "trap 'echo bye; exit 0' TERM; echo $FROM $(id -u) $(pwd) $(hostname); ip addr; cat /etc/resolv.conf; "
                                                  "df -m / | tail -1 | awk '{print \"size\", ($2 > 3000)}'; while :; do sleep 1; done"],
                  "Env": ["PATH=/bin", "FROM=image"], "WorkingDir": "/srv"}
        layout.add("box:1", [support.busybox_layer()], config)
        self.ok("image", "import", "--name", "box:1", f"oci:{layout.path}:box:1")
        self.create("web", "box:1", "--hostname", "box", "--annotation", f"org.nexcage.proxmox.net0={NETWORK}",
                    "--annotation", "org.nexcage.proxmox.net1=name=lan,bridge=vmbr0,ip=dhcp")
        self.ok("start", "web")
        self.boot()
        self.wait_for("image 0 /srv box")
        self.wait_for("size 1")
        self.assertRegex(self.said(), "inet 192.0.2.7/24")
        self.assertRegex(self.said(), r"inet 10.0.2.\d+/24")
        self.assertIn("nameserver 10.0.2.3", self.said())
        self.double.agent = self.agent
        done = self.nexcage("exec", "-e", "WHAT=this one", "--user", "12:34", "--cwd", "/bin", "web", "/bin/sh", "-c",
                            "echo $WHAT $FROM $(id -u) $(id -g) $(pwd); echo no >&2; exit 7")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (7, "this one image 12 34 /bin\n", "no\n"))
        # What Proxmox VE sends for `status/shutdown`.
        with socket.socket(socket.AF_UNIX) as channel:
            channel.connect(self.port)
            channel.sendall(b'{"execute": "guest-shutdown"}\n')
            self.machine.wait(120)
        self.assertIn("bye", self.said())
        self.ok("kill", "web", "KILL")
        self.ok("delete", "web")


if __name__ == "__main__":
    unittest.main()
