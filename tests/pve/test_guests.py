"""nexcage with backend proxmox-lxc against the double: life cycle in each release and on each kind of storage."""
import base64
import gzip
import io
import os
import tarfile
import unittest

from guests import ImageCase, zfs
from pve_cluster import Volume

MIB = 1 << 20


def record_of(env):
    """The launcher's record in the guest's variables, as fields."""
    text = next(entry for entry in env.split("\0") if entry.startswith("NEXCAGE_RUN="))
    return base64.b64decode(text.partition("=")[2]).split(b"\0")


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

    def test_there_is_no_log(self):
        self.create("web")
        self.assertRegex(self.refused("logs", "web"), r"keeps none of a guest's console[\s\S]*on node pve1: pct console 100")

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


del LifeCycleCase  # no tests of its own

if __name__ == "__main__":
    unittest.main()
