"""nexcage with backend proxmox-lxc against the double: what goes wrong, and that nothing is left of what failed."""
import json
import re
import subprocess
import threading
import unittest

import support
from double import least_role
from guests import ImageCase, zfs
from pve_cluster import Storage
from pve_tasks import RequestFault, TaskFault

MIB = 1 << 20


class FaultCase(ImageCase):
    """What may go wrong in each release, on each storage: the right error, and nothing that was not there before."""

    PRIVILEGES = (("VM.Allocate", "/vms/100"), ("Datastore.AllocateSpace", "/storage/"))

    def fails(self, text, *options):
        """The creation fails with these words and leaves what was there before."""
        before = self.picture()
        error = self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", *options, "guest:1")
        self.assertIn(text, error)
        self.assertEqual(self.picture(), before, error)
        return error

    def poor_token(self, without):
        for who in ("poor@pve", "poor@pve!cli"):
            self.double.access.acl.pop(who, None)
        self.secret = self.double.least_token("poor@pve!cli", without=(without,))
        self.write("token", f"poor@pve!cli={self.secret}\n")

    def test_task_that_fails_late(self):
        self.double.faults.add(TaskFault("vzcreate", "unable to create CT - something at the end"))
        self.fails("something at the end")

    def test_upload_that_fails(self):
        self.double.faults.add(TaskFault("imgcopy", "import failed: disk is gone"))
        self.fails("disk is gone")

    def test_storage_full(self):
        for storage in self.double.cluster.storages.values():
            storage.space = 1024 * MIB
        self.fails("No space left on device")

    def test_vmid_taken_in_between(self):
        def steal():
            self.double.cluster.reserve(100, "lxc", "pve1", {"hostname": "other"})
        self.double.faults.add(RequestFault("POST /nodes/pve1/lxc$", before=steal))
        self.create("web")
        self.assertEqual(set(self.double.cluster.guests), {100, 101})
        self.ok("delete", "web")
        self.assertEqual(set(self.double.cluster.guests), {100})

    def test_template_deleted_behind_our_back(self):
        self.create("one")

        def remove():
            volumes = self.double.cluster.storages["local"].volumes
            for name in [name for name in volumes if name.startswith("vztmpl/")]:
                del volumes[name]
        self.double.faults.add(RequestFault("POST /nodes/pve1/lxc$", before=remove))
        self.create("two")
        self.assertEqual(len(self.double.uploads), 2)

    def test_missing_privilege_is_named_with_its_path(self):
        for privilege, path in self.PRIVILEGES:
            with self.subTest(privilege):
                self.poor_token(privilege)
                self.assertIn(path, self.fails(privilege))
                text = self.nexcage("pve", "doctor").stdout
                self.assertRegex(text, rf"{path.removesuffix('/100')}\S* +[^ ]*{privilege}")
                self.assertRegex(text, rf"pveum role add Nexcage .*{privilege}")
                self.assertIn("VM.Audit", text)  # one that is there

    def test_answer_that_is_lost(self):
        """The guest is made and nobody tells us: it does not stay."""
        self.double.faults.add(RequestFault("POST /nodes/pve1/lxc$", drop="after"))
        self.fails("POST /nodes/pve1/lxc")


class ConnectionFaultCase(FaultCase):
    """What may go wrong on the way to the cluster: no release differs in it."""

    REMEMBERED = ["web"]  # when the first guest cannot be removed again

    def use_ticket(self):
        self.settings.update(token_file=None, user="nexcage@pve", password_file=self.path("password"))

    def test_node_down(self):
        self.double.cluster.nodes["pve1"] = "offline"
        self.settings["node"] = "pve1"
        self.fails("No route to host")

    def test_node_away_for_a_moment_in_mid_task(self):
        nodes = self.double.cluster.nodes
        self.double.faults.add(TaskFault("vzcreate", seconds=1))

        def down():
            nodes["pve1"] = "offline"
            threading.Timer(2, lambda: nodes.update(pve1="online")).start()
        self.double.faults.add(RequestFault("GET /nodes/pve1/tasks/.*vzcreate.*/status", before=down))
        self.create("web")

    def test_changed_certificate(self):
        self.settings.update(ca_file=None, fingerprint=self.double.fingerprint())
        self.create("old")
        self.double.new_certificate()
        self.fails("is not the pinned one")
        self.assertIn("is not the pinned one", self.refused("state", "old"))

    def test_certificate_that_changes_in_mid_task(self):
        """What was made goes when the new one is accepted."""
        before = self.picture()
        self.settings.update(ca_file=None, fingerprint=self.double.fingerprint())
        self.double.faults.add(RequestFault("POST /nodes/pve1/lxc(/[0-9]+/clone)?$", before=self.double.new_certificate, drop="after"))
        self.assertRegex(self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "guest:1"),
                         "is not the pinned one|does not match pinned public key")
        self.assertEqual(self.picture()[2], self.REMEMBERED)
        self.settings["fingerprint"] = self.double.fingerprint()
        for name in self.REMEMBERED:
            self.ok("delete", "--force", name)
        self.ok("pve", "templates", "prune")
        self.assertEqual(self.picture(), before)

    def test_clock_that_is_set(self):
        """The ticket is old from one moment to the next: another log-in, and it goes on."""
        self.use_ticket()

        def set_clock():
            self.double.access.clock_skew = 3 * 3600
        self.double.faults.add(RequestFault("POST /nodes/pve1/lxc", before=set_clock))
        self.create("web")

    def test_clocks_that_differ(self):
        self.use_ticket()
        self.double.access.skew_of_checks = -3600
        self.fails("clocks of the nodes differ")

        def differ():
            self.double.access.skew_of_checks = 3 * 3600
        self.double.access.skew_of_checks = 0
        before = self.picture()
        self.double.faults.add(RequestFault("GET /nodes/pve1/tasks/.*(vzcreate|vzclone).*/status", before=differ))
        self.assertIn("clocks of the nodes differ", self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "guest:1"))
        self.double.access.skew_of_checks = 0
        self.ok("delete", "--force", "web")
        self.ok("pve", "templates", "prune")
        self.assertEqual(self.picture(), before)


class Faults(ConnectionFaultCase):
    PRIVILEGES = (*FaultCase.PRIVILEGES, ("VM.Config.Network", "/vms/100"), ("VM.Config.Options", "/vms/100"),
                  ("Datastore.AllocateTemplate", "/storage/local"), ("SDN.Use", "/sdn/zones/localnetwork/vmbr0"))

    def test_doctor_and_readme_name_the_same_privileges(self):
        """One command for a role that is there and one that is not; nothing that guests do not need."""
        self.poor_token("Sys.Audit")
        text = self.nexcage("pve", "doctor").stdout
        found = re.search(r'^ *pveum role add Nexcage --privs "([^"]+)" \|\| pveum role modify Nexcage --append 1 --privs "([^"]+)"$', text, re.M)
        self.assertEqual(sorted(found[1].split()), sorted(least_role()[0]))
        self.assertEqual(found[1], found[2])

    def test_creation_that_fails_at_its_last_step(self):
        self.double.cluster.storages["tank"] = zfs()
        self.create("first")
        self.ok("delete", "first")
        before = self.picture()
        self.double.faults.add(RequestFault("PUT /nodes/pve1/lxc/[0-9]+/config$", status=500, text="injected"))
        self.fails("injected")
        self.assertEqual(self.picture(), before)
        self.double.faults.add(TaskFault("vzclone", "late"))
        self.fails("late")
        self.assertEqual(self.picture(), before)

    def test_template_guest_that_cannot_be_finished(self):
        self.double.cluster.storages["tank"] = zfs()
        self.double.faults.add(RequestFault("POST /nodes/pve1/lxc/[0-9]+/template$", status=500, text="injected"))
        self.fails("injected")
        self.assertEqual(self.double.cluster.guests, {})
        self.create("web")

    def test_killed_while_the_template_is_made(self):
        self.double.cluster.storages["tank"] = zfs()
        killed = []

        def kill():
            killed.append(process.kill())
        self.double.faults.add(RequestFault("POST /nodes/pve1/lxc/[0-9]+/template$", before=kill, status=500, text="killed"))
        process = subprocess.Popen([support.NEXCAGE, "--config", self.config(), "create", "--runtime", "proxmox-lxc", "--name", "web", "guest:1"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        process.wait(120)
        self.assertEqual(len(killed), 1)
        self.assertEqual([guest.config.get("template") for guest in self.double.cluster.guests.values()], [None])
        self.create("web")
        self.assertEqual(sum(not guest.config.get("template") for guest in self.double.cluster.guests.values()), 1)
        self.ok("delete", "web")
        self.ok("pve", "templates", "prune")
        self.assertEqual((self.picture()[0], self.double.cluster.guests), ([], {}))

    def test_template_that_somebody_else_has_made(self):
        """Its tags say it is ours, its notes do not: nothing is made of it, and it is not removed."""
        self.double.cluster.storages["tank"] = zfs()
        self.create("one")
        base = next(guest for guest in self.double.cluster.guests.values() if guest.config.get("template"))
        base.config["description"] = "somebody else's"
        self.create("two")
        self.assertEqual(sum(bool(guest.config.get("template")) for guest in self.double.cluster.guests.values()), 2)
        self.ok("delete", "one")
        self.ok("delete", "two")
        self.ok("pve", "templates", "prune")
        self.assertEqual(list(self.double.cluster.guests), [base.vmid])

    def test_template_that_is_locked(self):
        self.double.cluster.storages["tank"] = zfs()
        self.create("one")
        self.double.faults.add(RequestFault("POST /nodes/pve1/lxc/[0-9]+/clone$", status=500, text="CT is locked (disk)"))
        self.create("two")

    def test_configured_range_without_the_right_to_look(self):
        self.settings.update(vmid_first=200, vmid_last=201)
        self.double.faults.add(RequestFault("GET /cluster/nextid$", status=500, text="no quorum"))
        self.fails("no quorum")
        self.create("web")
        self.assertEqual(self.guest().vmid, 200)

    def test_btrfs_has_images(self):
        self.double.cluster.storages["pool"] = Storage("pool", "btrfs", ("rootdir", "images"))
        self.settings["storage"] = "pool"
        self.create("web")
        self.assertTrue(self.guest().config["rootfs"].split(",")[0].endswith(".raw"))
        self.ok("update", "--image", "guest:2", "web")

    def test_storages_of_this_machine_are_refused(self):
        self.fails("on a storage of its cluster", "--storage", "dir:/srv")
        self.create("web", "guest:1", "--storage", "local")

    def test_options_that_a_guest_cannot_have(self):
        for options in (("--dns", "10.0.0.1"), ("--dns-search", "example"), ("--add-host", "a:10.0.0.1"), ("--storage-size", "5g"),
                        ("--raw", "ext4"), ("--layerfs", "copy"), ("--read-only", "--tmpfs-upper", "1g"), ("--publish", "80")):
            with self.subTest(options):
                self.fails(options[-2] if len(options) > 1 else options[0], *options)

        for options in (("--no-pivot",), ("--no-new-keyring",)):
            with self.subTest(options):
                self.fails(options[0], *options)
        before = self.picture()
        for words, option in ((("--systemd-cgroup", "create"), "--systemd-cgroup"), (("--cgroup-manager", "disabled", "create"), "--cgroup-manager"),
                              (("run", "-d", "-i"), "--interactive")):
            with self.subTest(option):
                self.assertIn(option, self.refused(*words, "--runtime", "proxmox-lxc", "--name", "web", "guest:1"))
                self.assertEqual(self.picture(), before)

    def test_no_network(self):
        self.create("web", "guest:1", "--network", "none")
        self.assertFalse([key for key in self.guest().config if key.startswith("net")])

    def test_limits_that_there_are_no_settings_for(self):
        self.create("web")
        self.ok("start", "web")
        for option, value in (("--cpuset-cpus", "0"), ("--memory-reservation", "16m"), ("--pids-limit", "9"), ("--cpu-idle", "1")):
            with self.subTest(option):
                self.assertIn("no such setting", self.refused("update", option, value, "web"))
        self.assertIn("cannot be combined", self.refused("update", "--image", "guest:2", "--memory", "64m", "web"))
        self.assertIn("can only ask a guest to end", self.refused("kill", "web", "INT"))

    def test_values_of_variables_are_not_logged(self):
        done = self.nexcage("--debug", "create", "--runtime", "proxmox-lxc", "--name", "web", "-e", "PASSWORD=hunter2", "guest:1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("PASSWORD=...", done.stderr)
        self.assertNotIn("hunter2", done.stderr)

    def test_volume_with_a_comma(self):
        error = self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "--annotation", "org.nexcage.proxmox.volumes=1", "comma:1")
        self.assertIn("comma", error)

    def test_guest_that_became_another(self):
        self.create("web")
        self.guest().config["description"] = "somebody else's"
        self.assertIn("no longer the container's", self.refused("delete", "web"))
        self.assertEqual(len(self.picture()[2]), 1)
        # The record may go; the guest is left alone.
        self.ok("delete", "--force", "web")
        self.assertEqual((len(self.double.cluster.guests), self.picture()[2]), (1, []))

    def test_guest_that_moved_to_another_node(self):
        self.create("web")
        self.double.cluster.nodes["pve2"] = "online"
        self.guest().node = "pve2"
        self.assertEqual(self.state("web")["status"], "created")
        self.ok("start", "web")
        with open(self.path("containers/@guests/web/state.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["backendData"]["node"], "pve2")
        # A node that is down has lost its guests to another.
        self.double.cluster.nodes["pve2"], self.guest().node = "offline", "pve1"
        self.assertEqual(self.state("web")["status"], "running")
        self.ok("delete", "--force", "web")
        self.assertEqual([guest for guest in self.double.cluster.guests.values() if not guest.config.get("template")], [])

    def test_another_guest_is_left_alone_by_every_verb(self):
        self.create("web")
        self.ok("start", "web")
        guest = self.guest()
        guest.config["description"] = "somebody else's"
        before = self.picture()
        for words in (("state", "web"), ("start", "web"), ("stop", "web"), ("kill", "web", "KILL"), ("exec", "web", "/bin/app"),
                      ("update", "--memory", str(128 * MIB), "web"), ("update", "--image", "guest:2", "web"),
                      ("update", "--rollback", "web"), ("delete", "web")):
            with self.subTest(words[0]):
                self.assertIn("no longer the container's", self.refused(*words))
        self.assertTrue(guest.running)
        self.assertEqual(self.picture(), before)

    def test_guest_deleted_behind_our_back(self):
        self.create("web")
        self.double.cluster.guests.clear()
        self.ok("delete", "--force", "web")
        self.assertEqual(self.picture()[2], [])

    def test_removal_that_something_else_is_missing_for(self):
        """"does not exist" is said of a storage, too: the guest is there, and so is its record."""
        self.create("web")
        self.double.faults.add(TaskFault("vzdestroy", "storage 'x' does not exist", early=True))
        self.assertIn("storage 'x' does not exist", self.refused("delete", "web"))
        self.assertEqual((len(self.double.cluster.guests), self.picture()[2]), (1, ["web"]))
        guest = self.guest()

        def remove():
            self.double.cluster.destroy(guest)
        self.double.faults.add(RequestFault("DELETE /nodes/pve1/lxc/[0-9]+$", before=remove))
        self.ok("delete", "web")
        self.assertEqual((self.double.cluster.guests, self.picture()[2]), ({}, []))

    def test_what_only_root_may_do(self):
        self.fails("root@pam", "-v", "/srv:/srv")

    def test_control_characters(self):
        self.fails("control character", "--annotation", "org.nexcage.proxmox.net0=name=eth0,bridge=vmbr0\nlxc.hook.start: /x")


class Faults91(FaultCase):
    VERSION = "9.1"


class Faults84(FaultCase):
    VERSION, NETWORK = "8.4", "name=eth0,bridge=vmbr0"


class FaultsOnZfs(ConnectionFaultCase):
    REMEMBERED = []  # the first one is the template's, which its mark remembers

    def setUp(self):
        super().setUp()
        self.double.cluster.storages["tank"] = zfs()

    def test_doctor_looks_at_the_storage_of_the_roots(self):
        self.poor_token("Datastore.AllocateSpace")
        self.assertRegex(self.nexcage("pve", "doctor").stdout, r"/storage/tank +Datastore.AllocateSpace +Datastore.Audit")

    def test_vmid_taken_in_between(self):
        def steal():
            self.double.cluster.reserve(101, "lxc", "pve1", {"hostname": "other"})
        self.double.faults.add(RequestFault("POST /nodes/pve1/lxc/100/clone$", before=steal))
        self.create("web")
        self.assertEqual(set(self.double.cluster.guests), {100, 101, 102})
        self.ok("delete", "web")
        self.assertEqual(set(self.double.cluster.guests), {100, 101})

    def test_template_deleted_behind_our_back(self):
        self.create("one")
        self.ok("delete", "one")

        def remove():
            self.double.cluster.destroy(self.double.cluster.guests[100])
        self.double.faults.add(RequestFault("POST /nodes/pve1/lxc/100/clone$", before=remove))
        self.create("two")
        self.assertEqual(sorted(bool(guest.config.get("template")) for guest in self.double.cluster.guests.values()), [False, True])


del FaultCase, ConnectionFaultCase  # no tests of their own

if __name__ == "__main__":
    unittest.main()
