"""`update --image` and `--rollback`: what is kept, and that a failure at any step leaves the guest as it was."""
import unittest

from guests import GuestCase, zfs
from pve_tasks import RequestFault, TaskFault
from test_guests import images

KEPT = ("net0", "mp0", "memory", "hostname", "onboot", "unprivileged")


class Update(GuestCase):
    ON = "local"

    @classmethod
    def prepare(cls):
        images(cls.world)

    def setUp(self):
        super().setUp()
        if self.ON == "tank":
            self.double.cluster.storages["tank"] = zfs()
        self.create("web", "guest:1", "--memory", "64m", "--annotation", "org.nexcage.proxmox.mp0=local:1,mp=/data",
                    "--annotation", "org.nexcage.proxmox.onboot=1")
        self.ok("start", "web")
        self.data = self.volume("mp0").mark

    def root_guest(self):
        return next(guest for guest in self.double.cluster.guests.values() if guest.config.get("hostname") == "web")

    def volume(self, key):
        return self.double.cluster.volume(self.root_guest().config[key].split(",")[0])

    def app(self):
        return self.volume("rootfs").files["/bin/app"][1]

    def kept(self):
        return {key: self.root_guest().config[key] for key in KEPT}

    def test_update_and_rollback(self):
        before, vmid, root = self.kept(), self.root_guest().vmid, self.root_guest().config["rootfs"]
        self.ok("update", "--image", "guest:2", "web")
        guest = self.root_guest()
        self.assertEqual((guest.vmid, self.kept(), self.volume("mp0").mark), (vmid, before, self.data))
        self.assertEqual((self.app(), guest.running), (b"app 2\n", True))
        if self.VERSION != "8.4":
            self.assertIn("A=new", guest.config["env"].split("\0"))
        self.assertIn("guest:2", guest.config["description"])
        self.assertEqual([value for key, value in guest.config.items() if key.startswith("unused")], [root.split(",")[0]])
        others = [one for one in self.double.cluster.guests.values() if one is not guest and not one.config.get("template")]
        self.assertEqual(others, [])
        self.ok("update", "--rollback", "web")
        guest = self.root_guest()
        self.assertEqual((guest.vmid, self.kept(), self.volume("mp0").mark), (vmid, before, self.data))
        self.assertEqual((self.app(), guest.running, guest.config["rootfs"]), (b"app 1\n", True, root))
        self.assertEqual([key for key in guest.config if key.startswith("unused")], [])
        self.assertIn("no earlier root", self.refused("update", "--rollback", "web"))
        self.ok("delete", "--force", "web")
        self.ok("pve", "templates", "prune")
        self.assertEqual((self.picture()[0], self.double.cluster.guests), ([], {}))

    def test_stopped_guest_stays_stopped(self):
        self.ok("stop", "web")
        self.ok("update", "--image", "guest:2", "web")
        self.assertEqual((self.app(), self.root_guest().running), (b"app 2\n", False))

    def test_old_roots_go(self):
        self.settings["generations"] = None
        for image in ("guest:2", "guest:1", "guest:2"):
            self.ok("update", "--image", image, "web")
        self.assertEqual(sum(key.startswith("unused") for key in self.root_guest().config), 1)

    def fails(self, fault):
        before, running = dict(self.root_guest().config), self.root_guest().running
        volumes = [name for name in self.picture()[0] if "vztmpl" not in name and "base" not in name]
        self.double.faults.add(fault)
        self.refused("update", "--image", "guest:2", "web")
        self.double.faults.clear()
        guest = self.root_guest()
        self.assertEqual((guest.config, guest.running, self.app(), self.volume("mp0").mark), (before, running, b"app 1\n", self.data))
        self.assertEqual([name for name in self.picture()[0] if "vztmpl" not in name and "base" not in name], volumes)
        others = [one.vmid for one in self.double.cluster.guests.values() if one is not guest and not one.config.get("template")]
        self.assertEqual(others, [])

    def test_every_request_that_fails(self):
        """Each request of an update, the first to the last that counts, is refused once."""
        self.ok("update", "--image", "guest:2", "web")  # the template is there from now on
        self.ok("update", "--rollback", "web")
        self.double.requests.clear()
        self.ok("update", "--image", "guest:2", "web")
        changing = [line for line in self.double.requests if not line.startswith("GET")]
        self.ok("update", "--rollback", "web")
        last = max(index for index, line in enumerate(changing) if line.endswith("/status/start"))
        for index, line in enumerate(changing[:last + 1]):
            if line.startswith("DELETE"):
                continue  # of the second guest: told as a warning
            skip = changing[:index].count(line)
            with self.subTest(f"{index}: {line}"):
                self.fails(RequestFault("^" + line.replace("/", "/") + "$", status=500, text="injected", skip=skip))

    def test_every_task_that_fails(self):
        kinds = ["move_volume", "vzshutdown", "vzstart", "vzclone" if self.ON == "tank" else "vzcreate"]
        for kind in kinds:
            with self.subTest(kind):
                self.fails(TaskFault(kind, "injected", early=True))


class UpdateOnZfs(Update):
    ON = "tank"


class Update91(Update):
    VERSION = "9.1"


class Update84(Update):
    VERSION = "8.4"


if __name__ == "__main__":
    unittest.main()
