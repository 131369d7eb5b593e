"""nexcage with backend proxmox-lxc against the double: life cycle in each release and on each kind of storage, faults, and
that nothing is left of what failed."""
import atexit
import base64
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
import unittest

import support
from double import least_role
from guests import GuestCase, zfs
from pve_cluster import Storage, Volume
from pve_tasks import RequestFault, TaskFault

MIB = 1 << 20


def record_of(env):
    """The launcher's record in the guest's variables, as fields."""
    text = next(entry for entry in env.split("\0") if entry.startswith("NEXCAGE_RUN="))
    return base64.b64decode(text.partition("=")[2]).split(b"\0")


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


class LifeCycleCase(ImageCase):
    """What holds in each release, on each storage."""

    def test_from_create_to_delete(self):
        before = self.picture()
        self.create("web", "guest:1", "--memory", "64m", "--cpus", "1.5")
        guest = self.guest()
        self.assertEqual(self.state("web")["status"], "created")
        self.assertEqual((guest.config["memory"], float(guest.config["cpulimit"]), guest.config["hostname"]), (64, 1.5, "web"))
        self.assertEqual(guest.config["unprivileged"], 1)
        self.assertIn("nexcage", guest.config["tags"].split(";"))
        self.assertIn("guest:1", guest.config["description"])
        self.assertRegex(guest.config["description"], "sha256:[0-9a-f]{64}")
        self.ok("start", "web")
        self.assertEqual(self.state("web")["status"], "running")
        self.assertRegex(self.ok("list"), rf"web +0 +running +pve1/{guest.vmid} ")
        self.assertRegex(self.ok("pve", "list"), rf"{guest.vmid} +web +pve1 +running")
        self.assertEqual(self.state("web")["annotations"]["org.nexcage.guest.node"], "pve1")
        self.ok("stop", "web")
        self.assertEqual(self.state("web")["status"], "stopped")
        self.ok("start", "web")
        self.assertIn("is running", self.refused("delete", "web"))
        self.ok("delete", "--force", "web")
        # Templates stay, for the next guest of the image.
        volumes, guests, records = self.picture()
        guests = {vmid: config for vmid, config in guests.items() if not config.get("template")}
        self.assertEqual((guests, records), (before[1], []))
        self.assertEqual([name for name in volumes if "vztmpl" not in name and "basevol" not in name], before[0])

    def test_what_it_runs(self):
        self.create("web", "guest:1", "-e", "B=caller", "-e", "odd.name=x")
        config = self.guest().config
        self.assertEqual(config["entrypoint"], "/.nexcage/launch")
        self.assertIn("A=b c", config["env"].split("\0"))
        self.assertIn("B=caller", config["env"].split("\0"))
        fields = record_of(config["env"])
        self.assertEqual(fields[:5], [b"1", b"101", b"102", b"1", b"103"])
        self.assertIn(b"3", fields[6:8])  # SIGQUIT
        self.assertIn(b"it's", fields)
        self.assertIn(b'a "test"', fields)
        self.assertIn(b"odd.name=x", fields)
        self.assertIn(b"/srv/data", fields)

    def test_the_archive_is_the_flat_image(self):
        self.create("web")
        volume = next(name for name in self.double.cluster.storages["local"].volumes if name.startswith("vztmpl/"))
        data = gzip.decompress(self.double.cluster.storages["local"].volumes[volume].data)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            names = tar.getnames()
            self.assertEqual(tar.extractfile("./bin/more").read(), b"more\n")
            self.assertTrue(tar.getmember("./.nexcage/launch").mode & 0o111)
        self.assertNotIn("./gone", names)
        self.assertEqual("./sbin/init" in names, self.VERSION == "8.4")

    def test_images_that_the_product_refuses(self):
        for name in ("scratch:1", "wolfi:1"):
            with self.subTest(name):
                self.create("odd", name)
                self.ok("start", "odd")
                self.ok("delete", "--force", "odd")

    def test_volumes_become_mount_points(self):
        self.create("web", "guest:1", "--annotation", "org.nexcage.proxmox.volumes=2")
        self.assertRegex(self.guest().config["mp0"], r"^[a-z]+:.*,mp=/data,")

    def test_network_mount_point_and_features(self):
        self.create("web", "guest:1", "--annotation", "org.nexcage.proxmox.net0=name=eth0,bridge=vmbr0,tag=7" +
                    (",ip=10.0.0.2/24,gw=10.0.0.1" if self.VERSION != "8.4" else ""),
                    "--annotation", "org.nexcage.proxmox.mp3=local:1,mp=/var/lib/x", "--annotation", "org.nexcage.proxmox.onboot=1",
                    "--annotation", "org.nexcage.proxmox.features=nesting=1")
        config = self.guest().config
        self.assertIn("tag=7", config["net0"])
        self.assertIn("mp=/var/lib/x", config["mp3"])
        self.assertEqual((config["onboot"], config["features"]), (1, "nesting=1"))

    def test_ticket(self):
        self.settings.update(token_file=None, user="nexcage@pve", password_file=self.path("password"))
        self.create("web")
        self.ok("start", "web")
        self.ok("delete", "--force", "web")

    def test_doctor_is_content(self):
        text = self.ok("pve", "doctor")
        self.assertIn(f"Proxmox VE {self.VERSION}", text)
        self.assertNotIn("problem:", text)

    def test_limits_are_changed(self):
        self.create("web", "guest:1", "--memory", "64m")
        self.ok("start", "web")
        self.ok("update", "--memory", str(128 * MIB), "web")
        self.assertEqual(self.guest().config["memory"], 128)


class LifeCycle(LifeCycleCase):
    def test_guest_that_ignores_the_request_to_end(self):
        self.create("web")
        self.ok("start", "web")
        self.guest().ignores_term = True
        self.ok("stop", "--time", "1", "web")
        self.assertFalse(self.guest().running)
        self.ok("start", "web")
        self.ok("kill", "web", "TERM")
        self.assertTrue(self.guest().running)
        # The request to end is still waited for, for a minute.
        self.ok("kill", "web", "KILL")
        self.assertFalse(self.guest().running)

    def test_what_a_removal_asks_for(self):
        self.create("web")
        self.ok("delete", "web")
        asked = [values for key, values in self.double.seen if key == "DELETE /nodes/{node}/lxc/{vmid}"]
        self.assertEqual(asked, [{"force": "1"}])
        self.create("web")
        self.ok("delete", "--purge", "web")
        asked = [values for key, values in self.double.seen if key == "DELETE /nodes/{node}/lxc/{vmid}"]
        self.assertEqual(asked[1:], [{"force": "1", "purge": "1"}])

    def test_one_id_is_one_container(self):
        self.create("web")
        for words in (("create", "--runtime", "lxc", "--name", "web", "guest:1"), ("run", "-d", "--runtime", "lxc", "--name", "web", "guest:1")):
            self.assertIn("exists already", self.refused(*words))
        self.ok("delete", "web")
        os.makedirs(self.path("state/web"))
        self.assertIn("exists already", self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "guest:1"))
        self.assertEqual(self.picture()[2], [])

    def test_run_starts_it(self):
        self.assertEqual(self.ok("run", "-d", "--runtime", "proxmox-lxc", "--name", "web", "guest:1"), "web\n")
        self.assertTrue(self.guest().running)

    def test_the_image_is_uploaded_once(self):
        self.create("one")
        self.create("two")
        self.assertEqual(len(self.double.uploads), 1)

    def test_unknown_user_is_an_error(self):
        before = self.picture()
        self.assertIn("no user", self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "nobody:1"))
        self.assertEqual(self.picture(), before)

    def test_who_gives_the_guest_its_address(self):
        self.create("web")
        self.assertIn("host-managed=1", self.guest().config["net0"])
        self.ok("delete", "web")
        self.create("web", "guest:1", "--annotation", "org.nexcage.proxmox.net0=name=eth0,bridge=vmbr0")
        self.assertNotIn("host-managed", self.guest().config["net0"])
        self.assertIn("ip6=auto", self.refused("create", "--runtime", "proxmox-lxc", "--name", "more", "--annotation",
                                               "org.nexcage.proxmox.net0=name=eth0,bridge=vmbr0,ip6=auto", "guest:1"))

    def test_exec_is_refused_with_the_reason(self):
        self.create("web")
        self.ok("start", "web")
        self.assertIn("the API of Proxmox VE has none for containers", self.refused("exec", "web", "/bin/app"))
        error = self.refused("exec", "--user", "web", "-e", "A=1", "web", "/bin/app")
        self.assertRegex(error, r"the API of Proxmox VE has none for containers[\s\S]*pct exec 100")

    def test_same_id_twice(self):
        self.create("web")
        before = self.picture()
        self.assertIn("exists already", self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "guest:1"))
        self.assertEqual(self.picture(), before)

    def test_templates_are_listed_and_pruned(self):
        self.create("web")
        self.assertIn("yes", self.ok("pve", "templates", "list"))
        self.ok("delete", "web")
        self.ok("pve", "templates", "prune")
        self.assertEqual(self.picture()[0], [])
        self.assertEqual(self.double.cluster.guests, {})

    def test_archives_of_others_are_not_pruned(self):
        volumes = self.double.cluster.storages["local"].volumes
        foreign = [f"vztmpl/{name}" for name in ("nexcage-golden.tar.zst", f"nexcage-{'a' * 24}.tar.zst", f"nexcage-{'g' * 24}.tar.gz",
                                                 f"nexcage-{'a' * 25}.tar.gz", f"nexcage-{'a' * 23}.tar.gz")]
        for name in (*foreign, f"vztmpl/nexcage-{'a' * 24}.tar.gz", f"vztmpl/nexcage-{'b' * 24}-init.tar.gz"):
            volumes[name] = Volume(1, "vztmpl", data=b"x")
        self.assertNotIn("golden", self.ok("pve", "templates", "list"))
        self.ok("pve", "templates", "prune")
        self.assertEqual(sorted(volumes), sorted(foreign))


class LifeCycle91(ImageCase):
    """What 9.2 can do, 9.1 can."""

    VERSION = "9.1"

    test_from_create_to_delete = LifeCycleCase.test_from_create_to_delete
    test_what_it_runs = LifeCycleCase.test_what_it_runs
    test_network_mount_point_and_features = LifeCycleCase.test_network_mount_point_and_features
    test_ticket = LifeCycleCase.test_ticket
    test_who_gives_the_guest_its_address = LifeCycle.test_who_gives_the_guest_its_address


class LifeCycle84(LifeCycleCase):
    VERSION = "8.4"

    def setUp(self):
        super().setUp()
        if not self._testMethodName.startswith("test_addresses"):
            self.settings["network"] = "name=eth0,bridge=vmbr0"

    def test_what_it_runs(self):
        """There is no entrypoint in this release: the template's file says it."""
        self.create("web")
        (volume,) = (one for name, one in self.double.cluster.storages["local"].volumes.items() if name.startswith("vztmpl/"))
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(volume.data))) as tar:
            fields = tar.extractfile("./.nexcage/run").read().split(b"\0")
        self.assertEqual(fields[:5], [b"1", b"101", b"102", b"1", b"103"])
        for text in (b"it's", b'a "test"', b"A=b c", b"/srv/data"):
            self.assertIn(text, fields)

    def test_what_the_release_lacks_is_refused_by_name(self):
        self.assertIn("`entrypoint` and `env`", self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "-e", "B=1", "guest:1"))

    def test_addresses_need_a_known_distribution(self):
        self.assertIn("gives addresses only to distributions it knows",
                      self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "guest:1"))
        self.create("web", "debian:1")
        self.assertEqual(self.guest().config["ostype"], "debian")
        self.ok("delete", "web")
        self.create("web", "suse:1")
        self.assertEqual(self.guest().config["ostype"], "opensuse")


class OnZfs(ImageCase):
    """Guests are linked clones of one template guest."""

    test_from_create_to_delete = LifeCycleCase.test_from_create_to_delete
    test_what_it_runs = LifeCycleCase.test_what_it_runs
    test_volumes_become_mount_points = LifeCycleCase.test_volumes_become_mount_points
    test_network_mount_point_and_features = LifeCycleCase.test_network_mount_point_and_features

    def setUp(self):
        super().setUp()
        self.double.cluster.storages["tank"] = zfs()

    def test_guests_are_linked_clones(self):
        self.create("one")
        self.create("two")
        kinds = [self.double.cluster.guests[vmid].config["rootfs"] for vmid in sorted(self.double.cluster.guests)]
        self.assertEqual(sum("/subvol-" in root for root in kinds), 2, kinds)
        self.assertEqual(sum(task.kind == "vzcreate" for task in self.double.tasks.all.values()), 1)

    test_templates_are_listed_and_pruned = LifeCycle.test_templates_are_listed_and_pruned


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
        self.poor_token("Datastore.Allocate")
        self.assertRegex(self.nexcage("pve", "doctor").stdout, r"/storage/tank +Datastore.Allocate +Datastore.Audit Datastore.AllocateSpace")

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


del LifeCycleCase, FaultCase, ConnectionFaultCase  # no tests of their own

if __name__ == "__main__":
    unittest.main()
