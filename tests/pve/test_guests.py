"""nexcage with backend proxmox-lxc against the double: life cycle in each release and on each kind of storage, faults, and
that nothing is left of what failed."""
import base64
import gzip
import io
import tarfile
import unittest

import support
from guests import GuestCase, zfs
from pve_tasks import RequestFault, TaskFault

MIB = 1 << 20


def record_of(env):
    """The launcher's record in the guest's variables, as fields."""
    text = next(entry for entry in env.split("\0") if entry.startswith("NEXCAGE_RUN="))
    return base64.b64decode(text.partition("=")[2]).split(b"\0")


def images(world):
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
    for tag in ("guest:1", "guest:2", "nobody:1", "scratch:1", "wolfi:1"):
        answer = world.run("image", "import", "--name", tag, f"oci:{layout.path}:{tag}")
        if answer.code:
            raise AssertionError(str(answer))


class LifeCycle(GuestCase):
    @classmethod
    def prepare(cls):
        images(cls.world)

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
        self.assertIn("web", self.ok("list"))
        self.assertIn("web", self.ok("pve", "list"))
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

    def test_run_starts_it(self):
        self.assertEqual(self.ok("run", "-d", "--runtime", "proxmox-lxc", "--name", "web", "guest:1"), "web\n")
        self.assertTrue(self.guest().running)

    def test_what_it_runs(self):
        if self.VERSION == "8.4":
            self.skipTest("no entrypoint in this release: the template's file says what runs")
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

    def test_the_image_is_uploaded_once(self):
        self.create("one")
        self.create("two")
        self.assertEqual(len(self.double.uploads), 1)

    def test_images_that_the_product_refuses(self):
        for name in ("scratch:1", "wolfi:1"):
            with self.subTest(name):
                self.create("odd", name)
                self.ok("start", "odd")
                self.ok("delete", "--force", "odd")

    def test_unknown_user_is_an_error(self):
        before = self.picture()
        self.assertIn("no user", self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "nobody:1"))
        self.assertEqual(self.picture(), before)

    def test_volumes_become_mount_points(self):
        self.create("web", "guest:1", "--annotation", "org.nexcage.proxmox.volumes=2")
        self.assertRegex(self.guest().config["mp0"], r"^[a-z]+:.*,mp=/data,")

    def test_network_mount_point_and_features(self):
        self.create("web", "guest:1", "--annotation", "org.nexcage.proxmox.net0=name=eth0,bridge=vmbr0,tag=7,ip=10.0.0.2/24,gw=10.0.0.1",
                    "--annotation", "org.nexcage.proxmox.mp3=local:1,mp=/var/lib/x", "--annotation", "org.nexcage.proxmox.onboot=1",
                    "--annotation", "org.nexcage.proxmox.features=nesting=1")
        config = self.guest().config
        self.assertIn("tag=7", config["net0"])
        self.assertIn("mp=/var/lib/x", config["mp3"])
        self.assertEqual((config["onboot"], config["features"]), (1, "nesting=1"))

    def test_exec_is_refused_with_the_reason(self):
        self.create("web")
        self.ok("start", "web")
        self.assertIn("the API of Proxmox VE has none for containers", self.refused("exec", "web", "/bin/app"))

    def test_same_id_twice(self):
        self.create("web")
        before = self.picture()
        self.assertIn("exists already", self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "guest:1"))
        self.assertEqual(self.picture(), before)

    def test_ticket(self):
        self.settings.update(token_file=None, user="nexcage@pve", password_file=self.path("password"))
        self.create("web")
        self.ok("start", "web")
        self.ok("delete", "--force", "web")

    def test_doctor_is_content(self):
        text = self.ok("pve", "doctor")
        self.assertIn(f"Proxmox VE {self.VERSION}", text)
        self.assertNotIn("problem:", text)

    def test_templates_are_listed_and_pruned(self):
        self.create("web")
        self.assertIn("yes", self.ok("pve", "templates", "list"))
        self.ok("delete", "web")
        self.ok("pve", "templates", "prune")
        self.assertEqual(self.picture()[0], [])
        self.assertEqual(self.double.cluster.guests, {})

    def test_limits_are_changed(self):
        self.create("web", "guest:1", "--memory", "64m")
        self.ok("start", "web")
        self.ok("update", "--memory", str(128 * MIB), "web")
        self.assertEqual(self.guest().config["memory"], 128)


class LifeCycle91(LifeCycle):
    VERSION = "9.1"


class LifeCycle84(LifeCycle):
    VERSION = "8.4"

    def test_what_the_release_lacks_is_refused_by_name(self):
        self.assertIn("`entrypoint` and `env`", self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "-e", "B=1", "guest:1"))


class OnZfs(LifeCycle):
    """Guests are linked clones of one template guest."""

    STORAGES = ()

    def setUp(self):
        super().setUp()
        self.double.cluster.storages["tank"] = zfs()

    def test_guests_are_linked_clones(self):
        self.create("one")
        self.create("two")
        kinds = [self.double.cluster.guests[vmid].config["rootfs"] for vmid in sorted(self.double.cluster.guests)]
        self.assertEqual(sum("/subvol-" in root for root in kinds), 2, kinds)
        self.assertEqual(sum(task.kind == "vzcreate" for task in self.double.tasks.all.values()), 1)


class Faults(GuestCase):
    @classmethod
    def prepare(cls):
        images(cls.world)

    def fails(self, text, *options):
        """The creation fails with these words and leaves what was there before, templates aside."""
        before = self.picture()
        error = self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", *options, "guest:1")
        self.assertIn(text, error)
        volumes, guests, records = self.picture()
        self.assertEqual((guests, records), (before[1], before[2]), error)
        self.assertEqual([name for name in volumes if "vztmpl" not in name], [name for name in before[0] if "vztmpl" not in name])
        return error

    def test_task_that_fails_late(self):
        self.double.faults.add(TaskFault("vzcreate", "unable to create CT - something at the end"))
        self.fails("something at the end")

    def test_upload_that_fails(self):
        self.double.faults.add(TaskFault("imgcopy", "import failed: disk is gone"))
        self.fails("disk is gone")

    def test_storage_full(self):
        self.double.cluster.storages["local"].space = 1 * MIB * 1024
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

    def test_missing_privilege(self):
        self.secret = self.double.least_token("poor@pve!cli", without=("VM.Allocate",))
        self.write("token", f"poor@pve!cli={self.secret}\n")
        self.fails("Permission check failed")
        text = self.nexcage("pve", "doctor").stdout
        self.assertIn("VM.Allocate", text)
        self.assertIn("pveum role add", text)

    def test_missing_privilege_is_named_with_its_path(self):
        self.secret = self.double.least_token("poor@pve!cli", without=("VM.Config.Network",))
        self.write("token", f"poor@pve!cli={self.secret}\n")
        self.assertRegex(self.fails("VM.Config.Network"), r"/vms/100")

    def test_node_down(self):
        self.double.cluster.nodes["pve1"] = "offline"
        self.settings["node"] = "pve1"
        self.fails("No route to host")

    def test_node_down_in_mid_task(self):
        def down():
            self.double.cluster.nodes["pve1"] = "offline"
        self.double.faults.add(TaskFault("vzcreate", vanish=True))
        self.double.faults.add(RequestFault("GET /nodes/pve1/tasks/.*vzcreate.*/status", status=500, text="node is gone"))
        error = self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "guest:1")
        self.assertIn("node is gone", error)

    def test_changed_certificate(self):
        self.settings.update(ca_file=None, fingerprint=self.double.fingerprint())
        self.create("web")
        self.double.new_certificate()
        self.assertIn("is not the pinned one", self.refused("state", "web"))

    def test_guest_that_became_another(self):
        self.create("web")
        self.guest().config["description"] = "somebody else's"
        self.assertIn("no longer the container's", self.refused("delete", "--force", "web"))
        self.assertEqual(len(self.double.cluster.guests), 1)

    def test_guest_deleted_behind_our_back(self):
        self.create("web")
        self.double.cluster.guests.clear()
        self.ok("delete", "--force", "web")
        self.assertEqual(self.picture()[2], [])

    def test_what_only_root_may_do(self):
        self.fails("root@pam", "-v", "/srv:/srv")

    def test_control_characters(self):
        self.fails("control character", "--annotation", "org.nexcage.proxmox.net0=name=eth0,bridge=vmbr0\nlxc.hook.start: /x")


if __name__ == "__main__":
    unittest.main()
