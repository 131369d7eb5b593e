"""Images written by somebody who means harm: nothing outside the container's root is touched, and the
image is refused, or what it does stays inside."""
import json
import os
import tarfile
import unittest

import support


@support.needs_root
class Malicious(support.Case):
    @classmethod
    def prepare(cls):
        # The canary: what stands at the names that hostile entries aim at.
        cls.canary = cls.world.path("canary")
        os.makedirs(cls.canary)
        cls.write(os.path.join(cls.canary, "secret"), "canary")
        cls.good = cls.world.import_image(name="good")
        cls.world.run("run", "--rm", cls.good, "true")

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def picture(self):
        """Names, content and attributes of everything around the canary, and of /etc/passwd."""
        found = {}
        for directory, _, files in os.walk(self.canary):
            for name in [".", *files]:
                path = os.path.join(directory, name)
                info = os.lstat(path)
                content = open(path, "rb").read() if os.path.isfile(path) else b""
                found[path] = (content, info.st_mode, info.st_uid, info.st_gid, info.st_nlink, info.st_mtime_ns)
        info = os.lstat("/etc/passwd")
        found["/etc/passwd"] = (info.st_ino, info.st_nlink, info.st_mtime_ns, info.st_mode)
        found["/"] = sorted(os.listdir("/"))
        found["tmp"] = sorted(n for n in os.listdir(self.world.dir) if not n.startswith(("layout", "log")))
        return found

    def attack(self, tar, *command, config=None, base=True, contained=None):
        """Imports and runs the image. Refused with a message, or contained: then contained(answer) says
        whether what came out is harmless. In both cases nothing outside has changed."""
        before, host = self.picture(), self.world.snapshot()
        layers = ([support.busybox_layer()] if base else []) + ([tar.finish()] if tar else [])
        _, transport = self.world.layout().add("x", layers, config)
        answer, records = self.world.logged("image", "import", transport, "--name", "evil")
        refused = answer.code != 0
        if not refused:
            answer, records = self.world.logged("run", "--rm", "evil", *(command or ("true",)))
        self.assertEqual(self.picture(), before, f"something outside was touched\n{answer}")
        if refused or answer.code == 125:
            errors = [r for r in records if r["level"] == "error"]
            self.assertTrue(errors and errors[-1]["msg"], f"refused without a message\n{answer}")
            self.assertIn(errors[-1]["code"], (
                "InvalidImage", "LayerError", "InvalidRootfs", "InvalidSpec", "Unsupported", "FileError", "LXCError"))
        elif contained:
            contained(answer)
        else:
            self.assertEqual(answer.code, 0, str(answer))
        self.world.run("image", "remove", "evil")
        self.assert_same_host(host, ignore=["/images/", "/layers/"])
        return refused or answer.code == 125, answer

    def is_gone(self, path):
        self.assertFalse(os.path.lexists(path), path)

    def test_absolute_name(self):
        target = os.path.join(self.canary, "absolute")
        self.attack(support.Tar().add(target, data=b"evil"))
        self.is_gone(target)

    def test_dot_dot_names(self):
        for name in ("../../../../../../../../..", "a/../../../../../../../../.."):
            with self.subTest(name=name):
                target = os.path.join(self.canary, "dotdot")
                self.attack(support.Tar().dir("a").add(name + target, data=b"evil"))
                self.is_gone(target)

    def test_parent_is_a_symlink_to_the_host(self):
        self.attack(support.Tar().symlink("link", self.canary).add("link/secret", data=b"overwritten"))
        self.attack(support.Tar().symlink("link", "../" * 20 + self.canary[1:]).add("link/new", data=b"evil"))

    def test_parent_is_a_symlink_of_a_lower_layer(self):
        before = self.picture()
        lower = support.Tar().symlink("link", self.canary).finish()
        upper = support.Tar().add("link/new", data=b"evil").add("link/.wh.secret").finish()
        _, transport = self.world.layout().add("x", [support.busybox_layer(), lower, upper])
        self.world.run("image", "import", transport, "--name", "evil2")
        self.world.run("run", "--rm", "evil2", "true")
        self.assertEqual(self.picture(), before)

    def test_hard_link_to_a_host_file(self):
        for target in (os.path.join(self.canary, "secret"), "../" * 20 + os.path.join(self.canary, "secret")[1:]):
            with self.subTest(target=target):
                refused, answer = self.attack(
                    support.Tar().hardlink("stolen", target), "sh", "-c", "cat /stolen; echo evil > /stolen",
                    contained=lambda a: self.assertNotIn("canary", a.out))
                self.assertNotIn("canary", answer.out)

    def test_hard_link_through_a_symlink(self):
        tar = support.Tar().symlink("link", self.canary).hardlink("stolen", "link/secret")
        _, answer = self.attack(tar, "cat", "/stolen", contained=lambda a: self.assertNotIn("canary", a.out))
        self.assertNotIn("canary", answer.out)

    def test_whiteouts_that_point_outside(self):
        for name in ("../" * 12 + self.canary[1:] + "/.wh.secret", ".wh..", ".wh...", self.canary + "/.wh..wh..opq", ".wh."):
            with self.subTest(name=name):
                self.attack(support.Tar().add(name))

    def test_root_is_a_symlink_or_a_file(self):
        for kind in (tarfile.SYMTYPE, tarfile.REGTYPE):
            with self.subTest(kind=kind):
                self.attack(support.Tar().add("./", kind, linkname=self.canary), contained=lambda a: None)

    def test_directories_that_the_runtime_fills_are_symlinks(self):
        for name in ("dev", "proc", "sys", "tmp", "run", "var", "dev/pts"):
            for target in (self.canary, "/" + "../" * 8 + self.canary[1:], "/etc", "/proc/self/cwd"):
                with self.subTest(name=name, target=target):
                    tar = support.Tar()
                    if "/" in name:
                        tar.dir(os.path.dirname(name))
                    if name == "tmp":
                        tar.add(".wh.tmp")
                    self.attack(tar.symlink(name, target), "sh", "-c", "ls / >/dev/null; echo x > /dev/null",
                                contained=lambda a: None)

    def test_bind_target_is_a_symlink(self):
        before = self.picture()
        _, transport = self.world.layout().add("x", [
            support.busybox_layer(), support.Tar().symlink("mnt", self.canary).finish()])
        self.run_ok("image", "import", transport, "--name", "bind")
        os.makedirs(self.world.path("given"), exist_ok=True)
        before = self.picture()
        self.world.run("run", "--rm", "-v", f"{self.world.path('given')}:/mnt/secret", "bind", "true")
        self.world.run("run", "--rm", "-v", f"{self.world.path('given')}:/mnt/new/dir", "bind", "true")
        self.assertEqual(self.picture(), before)

    def test_workdir_is_a_symlink(self):
        self.attack(support.Tar().symlink("w", self.canary), "pwd", config={"WorkingDir": "/w/made-by-image"},
                    contained=lambda a: None)
        self.is_gone(os.path.join(self.canary, "made-by-image"))

    def test_workdir_of_the_host_by_descriptor(self):
        for number in range(3, 12):
            with self.subTest(fd=number):
                self.attack(None, "sh", "-c", "cat ../../../../../../../etc/hostname; true",
                            config={"WorkingDir": f"/proc/self/fd/{number}"},
                            contained=lambda a: self.assertEqual(a.out, "", "the host's file was read"))

    def test_control_characters_in_env(self):
        for env in ("A=1\nlxc.mount.entry = / mnt none bind 0 0", "A=\x1b[2J", "A=1\r\nB=2", "B\nAD=1"):
            with self.subTest(env=env):
                def contained(answer):
                    self.assertEqual(answer.code, 0)
                    self.assertNotIn("HOST", answer.out)
                self.attack(None, "sh", "-c", "ls /mnt 2>/dev/null && echo HOST; true", config={"Env": ["PATH=/bin", env]},
                            contained=contained)

    def test_env_with_a_nul_or_without_a_name(self):
        for env in ("A=\x00B=1", "=1", ""):
            with self.subTest(env=env):
                self.attack(None, "true", config={"Env": ["PATH=/bin", env]}, contained=lambda a: None)

    def test_control_characters_in_messages_do_not_reach_the_terminal(self):
        layout = self.world.layout()
        _, transport = layout.add("x", [support.busybox_layer()], {"User": "\x1b[31mred\nnewline"})
        answer = self.world.run("image", "import", transport, "--name", "colours")
        if answer.code == 0:
            answer = self.world.run("run", "--rm", "colours", "true")
        self.assertEqual(answer.code, 125, str(answer))
        self.assertNotIn("\x1b", answer.err)

    def test_users_that_do_not_exist(self):
        for user in ("nobody-of-that-name", "root:no-such-group", "4294967296", "-1", "1:-1", "1 2", "0x0", ":", "4294967295"):
            with self.subTest(user=user):
                _, transport = self.world.layout().add("x", [support.busybox_layer()], {"User": user})
                answer = self.world.run("image", "import", transport, "--name", "user")
                if answer.code == 0:
                    answer, records = self.world.logged("run", "--rm", "user", "id")
                    self.assertEqual(answer.code, 125, str(answer))
                    self.assertIn(user.split(":")[-1].strip() or user, records[-1]["msg"])
                self.assertNotIn("uid=0", answer.out)

    def test_passwd_is_a_symlink_to_the_host(self):
        tar = support.Tar().add("etc/.wh.passwd").symlink("etc/passwd", self.canary + "/passwd")
        self.write(os.path.join(self.canary, "passwd"), "hostonly:x:4242:4242::/:/bin/sh\n")
        try:
            _, answer = self.attack(tar, "id", config={"User": "hostonly"},
                                    contained=lambda a: self.assertNotIn("4242", a.out))
            self.assertNotIn("4242", answer.out)
        finally:
            os.unlink(os.path.join(self.canary, "passwd"))

    def test_passwd_is_a_fifo(self):
        tar = support.Tar().add("etc/.wh.passwd").add("etc/passwd", tarfile.FIFOTYPE)
        self.attack(tar, "id", config={"User": "user"}, contained=lambda a: None)

    def test_overlay_attributes_from_an_image(self):
        for key in ("trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.redirect"):
            with self.subTest(xattr=key):
                headers = {f"SCHILY.xattr.{key}": self.canary}
                refused, answer = self.attack(support.Tar().dir("d", pax_headers=headers), "ls", "/d",
                                              contained=lambda a: self.assertNotIn("secret", a.out))
                if key.startswith("trusted"):
                    self.assertTrue(refused, f"trusted.overlay from an image must be refused\n{answer}")

    def test_device_nodes_of_the_host_disk_are_useless(self):
        tar = support.Tar().add("disk", tarfile.BLKTYPE, devmajor=254, devminor=0).add("kmem", tarfile.CHRTYPE, devmajor=1, devminor=1)
        def contained(answer):
            self.assertNotEqual(answer.code, 0, "a device of the host could be opened")
        self.attack(tar, "sh", "-c", "head -c 1 /disk || head -c 1 /kmem", contained=contained)

    def test_setuid_file_stays_inside(self):
        self.attack(support.Tar().add("bin/su2", data=b"#!/bin/sh\n", mode=0o6755))
        for directory, _, _ in os.walk(self.world.path("layers")):
            if os.stat(directory).st_mode & 0o005 == 0:
                return  # somebody above keeps strangers out
        self.fail("users of the host can reach set-user-ID files of images")

    def test_manifest_that_lies(self):
        layout = self.world.layout()
        manifest, _ = layout.add("x", [support.busybox_layer()])
        for change in ({"layers": []}, {"manifests": []}, {"schemaVersion": 1}, {"config": manifest["layers"][0]},
                       {"layers": [{**manifest["layers"][0], "size": 5}]},
                       {"layers": [{**manifest["layers"][0], "digest": "sha256:../../../../etc/passwd"}]},
                       {"layers": [{**manifest["layers"][0], "size": -1}]}):
            with self.subTest(change=str(change)[:60]):
                bad = {**manifest, **change}
                layout.index = [{**layout.blob(bad, manifest["mediaType"]),
                                 "annotations": {"org.opencontainers.image.ref.name": "bad"}}]
                layout._write("index.json", {"schemaVersion": 2, "manifests": layout.index})
                answer, records = self.world.logged("image", "import", f"oci:{layout.path}:bad", "--name", "bad")
                self.assert_error(answer, records, "InvalidImage", answer.code or 1)
                self.assertNotEqual(answer.code, 0)

    def test_duplicate_keys_in_a_manifest(self):
        layout = self.world.layout()
        manifest, _ = layout.add("x", [support.busybox_layer()])
        text = json.dumps(manifest)
        data = (text[:-1] + ', "schemaVersion": 2}').encode()
        layout.index = [{**layout.blob(data, manifest["mediaType"]),
                         "annotations": {"org.opencontainers.image.ref.name": "twice"}}]
        layout._write("index.json", {"schemaVersion": 2, "manifests": layout.index})
        answer, records = self.world.logged("image", "import", f"oci:{layout.path}:twice", "--name", "twice")
        self.assertNotEqual(answer.code, 0, str(answer))
        self.assertIn(records[-1]["code"], ("InvalidImage", "InvalidJson"))

    def test_names_that_are_no_references(self):
        _, transport = self.world.layout().add("x", [support.busybox_layer()])
        for name in ("../../etc", "a/../b", "lower/UPPER", "a:b:c", "/abs", "a\nb", "-rf"):
            with self.subTest(name=name):
                before = self.picture()
                self.assertNotEqual(self.world.run("image", "import", transport, "--name=" + name).code, 0)
                self.assertEqual(self.picture(), before)

    def test_bomb_of_zeros_is_stopped_or_survived(self):
        self.attack(support.Tar().add("zeros", data=bytes(64 << 20)), "true")


if __name__ == "__main__":
    unittest.main()
