"""`update --image` and `--rollback`: what is kept, and that a failure at any step leaves the guest as it was."""
import json
import os
import subprocess
import time
import unittest

import support
from guests import ImageCase, zfs
from pve_tasks import RequestFault, TaskFault

KEPT = ("net0", "mp0", "memory", "hostname", "onboot", "unprivileged")


class UpdateCase(ImageCase):
    """A guest that runs, of guest:1, with data in a volume of its own."""

    ON, MADE_BY = "local", "vzcreate"  # the storage, the task that makes the second guest
    OPTIONS = ()

    def setUp(self):
        super().setUp()
        if self.ON == "tank":
            self.double.cluster.storages["tank"] = zfs()
        if "unprivileged" in str(self.OPTIONS):
            for who in ("nexcage@pve", "nexcage@pve!cli"):
                self.double.access.grant(who, "/", "Sys.Modify")
        self.create("web", "guest:1", "--memory", "64m", "--annotation", "org.nexcage.proxmox.mp0=local:1,mp=/data",
                    "--annotation", "org.nexcage.proxmox.onboot=1", *self.OPTIONS)
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

    def fails(self, fault):
        before, running = dict(self.root_guest().config), self.root_guest().running
        volumes, others = self.picture()[0], set(self.double.cluster.guests)
        self.double.faults.add(fault)
        self.refused("update", "--image", "guest:2", "web")
        self.double.faults.clear()
        guest = self.root_guest()
        self.assertEqual((guest.config, guest.running, self.app(), self.volume("mp0").mark), (before, running, b"app 1\n", self.data))
        self.assertEqual((self.picture()[0], set(self.double.cluster.guests)), (volumes, others))

    def wait_for(self, holds):
        end = time.monotonic() + 10
        while not holds() and time.monotonic() < end:
            time.sleep(0.02)
        self.assertTrue(holds())


class Basics(UpdateCase):
    """What holds in each release, on each storage."""

    def test_update_and_rollback(self):
        before, vmid, root = self.kept(), self.root_guest().vmid, self.root_guest().config["rootfs"]
        self.ok("update", "--image", "guest:2", "web")
        guest = self.root_guest()
        self.assertEqual((guest.vmid, self.kept(), self.volume("mp0").mark), (vmid, before, self.data))
        self.assertEqual((self.app(), guest.running), (b"app 2\n", True))
        if self.VERSION != "8.4":
            self.assertIn("A=new", guest.config["env"].split("\0"))
        self.assertIn("guest:2", guest.config["description"])
        (earlier,) = self.state("web")["earlier"]
        self.assertRegex(earlier["image"] + " " + earlier["digest"], "^.*guest:1 sha256:[0-9a-f]{64}$")
        self.assertEqual([value for key, value in guest.config.items() if key.startswith("unused")], [root.split(",")[0]])
        others = [one for one in self.double.cluster.guests.values() if one is not guest and not one.config.get("template")]
        self.assertEqual(others, [])
        self.ok("update", "--rollback", "web")
        guest = self.root_guest()
        self.assertEqual((guest.vmid, self.kept(), self.volume("mp0").mark), (vmid, before, self.data))
        self.assertEqual((self.app(), guest.running, guest.config["rootfs"]), (b"app 1\n", True, root))
        self.assertEqual([key for key in guest.config if key.startswith("unused")], [])
        self.assertNotIn("earlier", self.state("web"))
        self.assertIn("no earlier root", self.refused("update", "--rollback", "web"))
        self.ok("delete", "--force", "web")
        self.ok("pve", "templates", "prune")
        self.assertEqual((self.picture()[0], self.double.cluster.guests), ([], {}))


class EveryStep(Basics):
    def test_every_task_that_fails(self):
        for kind in ("move_volume", "vzshutdown", "vzstart", self.MADE_BY):
            with self.subTest(kind):
                self.fails(TaskFault(kind, "injected", early=True))

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
            skip = changing[:index].count(line)
            with self.subTest(f"{index}: {line}"):
                self.fails(RequestFault("^" + line.replace("/", "/") + "$", status=500, text="injected", skip=skip))


class Update(EveryStep):
    def test_stopped_guest_stays_stopped(self):
        self.ok("stop", "web")
        self.ok("update", "--image", "guest:2", "web")
        self.assertEqual((self.app(), self.root_guest().running), (b"app 2\n", False))

    def test_old_roots_go(self):
        self.settings["generations"] = None
        for image in ("guest:2", "guest:1", "guest:2"):
            self.ok("update", "--image", image, "web")
        self.assertEqual(sum(key.startswith("unused") for key in self.root_guest().config), 1)

    def test_killed_at_every_step(self):
        """Killed where it has written what it is about to do: the next command takes it back."""
        self.ok("update", "--image", "guest:2", "web")  # the template is there from now on
        self.ok("update", "--rollback", "web")
        before, done = dict(self.root_guest().config), 0
        for step in range(1, 20):
            if not self.kill_at(step, "update", "--image", "guest:2", "web"):
                break
            with self.subTest(step):
                self.nexcage("start", "web")
                if self.app() == b"app 2\n":  # killed when all was done: the record knows it
                    done += 1
                    self.assertEqual(len([key for key in self.root_guest().config if key.startswith("unused")]), 1)
                    self.ok("update", "--rollback", "web")
                guest = self.root_guest()
                self.assertEqual((guest.config, guest.running, self.app()), (before, True, b"app 1\n"))
                self.assertIn("guest:1", self.state("web")["annotations"]["org.nexcage.image"])
                others = [one.vmid for one in self.double.cluster.guests.values() if one is not guest and not one.config.get("template")]
                self.assertEqual(others, [])
        self.assertGreater(step - done, 6)
        self.assertGreater(done, 0)
        self.assertEqual(self.app(), b"app 2\n")

    def edit_record(self, **data):
        """What the record remembers of the guest, as a command that was killed has left it."""
        path = self.path("containers/@guests/web/state.json")
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
        record["backendData"].update(data)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(record, file)

    def spare_volume(self):
        guest = self.root_guest()
        volume = self.double.cluster.allocate("local", guest.vmid, "lxc", 1 << 30, {})
        guest.config["unused0"] = volume
        self.edit_record(root=guest.config["rootfs"].split(",")[0], spare=[volume])
        return volume

    def test_spare_volume_of_another_guest(self):
        """Somebody has made another guest with this VMID, and a volume of it has the name of a spare one: it stays."""
        volume = self.spare_volume()
        self.root_guest().config["description"] = "somebody else's"
        before = dict(self.root_guest().config)
        self.create("next")  # looks for what killed commands have left
        self.ok("delete", "next")
        self.assertEqual(self.root_guest().config, before)
        self.assertIsNotNone(self.double.cluster.volume(volume))
        self.assertNotIn("spare", self.record())

    def test_spare_volume_of_a_guest_that_moved(self):
        volume = self.spare_volume()
        self.double.cluster.nodes["pve2"] = "online"
        self.root_guest().node = "pve2"
        self.refused("start", "web")  # it runs
        self.assertIsNone(self.double.cluster.volume(volume))
        self.assertNotIn("unused0", self.root_guest().config)
        self.assertNotIn("spare", self.record())

    def record(self):
        with open(self.path("containers/@guests/web/state.json"), encoding="utf-8") as file:
            return json.load(file)["backendData"]

    def test_unreadable_settings_do_not_stop_the_way_back(self):
        """The exchange is done and the guest does not start: it gets its settings back although they cannot be read."""
        before, running = dict(self.root_guest().config), self.root_guest().running
        self.double.faults.add(TaskFault("vzstart", "injected", early=True))

        def unreadable():
            self.double.faults.add(RequestFault("GET .*/lxc/[0-9]+/config$", status=500, text="cannot read", times=1))
        self.double.faults.add(RequestFault("POST .*/status/start$", before=unreadable))
        self.assertIn("injected", self.refused("update", "--image", "guest:2", "web"))
        self.ok("start", "web") if not self.root_guest().running else None
        self.assertEqual((self.root_guest().running, self.app()), (running, b"app 1\n"))
        self.ok("create", "--runtime", "proxmox-lxc", "--name", "next", "guest:1")  # takes the rest back
        self.ok("delete", "next")
        self.assertEqual(self.root_guest().config, before)

    def killed_after_the_exchange(self):
        """The guest has its new root, and the command that gave it that is gone without having said so in the record."""
        def kill():
            process.kill()
            process.wait()
        self.double.faults.add(RequestFault("POST .*/status/start$", before=kill, status=500, text="killed"))
        process = subprocess.Popen([support.NEXCAGE, "--config", self.config(), "update", "--image", "guest:2", "web"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        process.wait(60)
        self.double.faults.clear()
        self.assertIn("update", self.record())
        self.assertEqual(self.app(), b"app 2\n")

    def test_later_command_does_not_write_to_a_guest_that_it_cannot_read(self):
        before = dict(self.root_guest().config)
        self.killed_after_the_exchange()
        guest, vmid = dict(self.root_guest().config), self.root_guest().vmid
        for fault in (RequestFault(f"GET .*/lxc/{vmid}/config$", status=500, text="cannot read", times=99), None):
            with self.subTest(str(fault)):
                if fault:
                    self.double.faults.add(fault)
                else:  # somebody else makes a guest with this VMID
                    self.root_guest().config.pop("description")
                    self.root_guest().locked = True
                    guest.pop("description")
                journal = self.record()["update"]
                self.double.requests.clear()
                self.ok("create", "--runtime", "proxmox-lxc", "--name", "next", "guest:1")
                self.ok("delete", "next")
                self.double.faults.clear()
                self.assertEqual([line for line in self.double.requests if f"/lxc/{vmid}" in line and not line.startswith("GET")], [])
                self.assertEqual((self.root_guest().config, self.root_guest().running), (guest, False))
                self.assertEqual(self.record()["update"], journal)
        self.root_guest().locked = False
        self.root_guest().config["description"] = before["description"]
        self.create("next")  # now it can be read
        self.assertEqual((self.root_guest().config, self.root_guest().running), (before, True))

    def test_volume_that_is_detached_meanwhile(self):
        """The owner's volume comes to the place that the new root was to have: it is not taken for that and removed."""
        guest = self.root_guest()
        volume = guest.config["mp0"].split(",")[0]
        self.double.faults.add(RequestFault("POST .*/move_volume$", before=lambda: self.double.lxc.remove_key(guest, "mp0", {})))
        self.assertIn("already in use", self.refused("update", "--image", "guest:2", "web"))
        self.assertEqual((guest.config["unused0"], self.app()), (volume, b"app 1\n"))
        self.assertEqual(self.double.cluster.volume(volume).mark, self.data)
        self.assertNotIn("update", self.record())

    def test_rollback_to_a_root_that_is_gone(self):
        self.ok("update", "--image", "guest:2", "web")
        guest = self.root_guest()
        old = next(value for key, value in guest.config.items() if key.startswith("unused"))
        volumes = self.double.cluster.storages[old.partition(":")[0]].volumes
        volumes.pop(old.partition(":")[2])
        before = dict(guest.config)
        self.assertIn("is gone", self.refused("update", "--rollback", "web"))
        self.assertEqual((self.root_guest().config, self.root_guest().running), (before, True))

    def test_settings_that_an_update_added_go_with_it(self):
        self.root_guest().config.pop("cmode", None)
        self.ok("update", "--image", "guest:2", "web")
        self.ok("update", "--rollback", "web")
        self.assertNotIn("cmode", self.root_guest().config)

    def test_notes_hold_no_variables_of_earlier_roots(self):
        self.ok("update", "--image", "guest:2", "web")
        self.assertNotIn("A=b c", self.root_guest().config["description"])

    def test_root_is_as_large_as_it_was(self):
        self.double.lxc.resize("root@pam", {"vmid": str(self.root_guest().vmid), "node": "pve1", "disk": "rootfs", "size": "9G"})
        self.wait_for(lambda: "size=9G" in self.root_guest().config["rootfs"])
        self.ok("update", "--image", "guest:2", "web")
        self.assertEqual(self.volume("rootfs").size, 9 << 30)
        self.assertIn("size=9G", self.root_guest().config["rootfs"])


class UpdateOnZfs(EveryStep):
    ON, MADE_BY = "tank", "vzclone"

    def test_root_is_as_large_as_it_was(self):
        self.double.lxc.resize("root@pam", {"vmid": str(self.root_guest().vmid), "node": "pve1", "disk": "rootfs", "size": "9G"})
        self.wait_for(lambda: "size=9G" in self.root_guest().config["rootfs"])
        self.ok("update", "--image", "guest:2", "web")
        self.assertIn("size=9G", self.root_guest().config["rootfs"])


class Update91(Basics):
    VERSION = "9.1"


class Update84(Basics):
    VERSION = "8.4"

    def setUp(self):
        self.NETWORK = "name=eth0,bridge=vmbr0"  # addresses need a distribution that the release knows
        super().setUp()


class UpdateOfPrivileged(Basics):
    """A guest without a user namespace: its second root cannot come from the template guest, which has one."""

    ON = "tank"
    OPTIONS = ("--annotation", "org.nexcage.proxmox.unprivileged=0")


del UpdateCase, Basics, EveryStep  # they are no tests of their own

if __name__ == "__main__":
    unittest.main()
