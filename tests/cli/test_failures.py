"""What goes wrong: the right code, exit status and JSON record, and nothing left behind."""
import json
import os
import subprocess
import unittest

import support

POINTS = ["prestart", "createRuntime", "createContainer", "startContainer"]


@support.needs_root
class Failures(support.Case):
    @classmethod
    def prepare(cls):
        cls.image = cls.world.import_image()
        # Directories that stay for good (state root, locks) exist before the first picture is taken.
        cls.world.run("run", "--rm", cls.image, "true")
        cls.world.run("run", "--bundle", cls.world.bundle(["true"]), cls.world.new_id())

    def refused(self, code, status, *args, words=(), ignore=(), **kwargs):
        """The command fails as it should and the host looks as before."""
        before = self.world.snapshot()
        answer, records = self.world.logged(*args, **kwargs)
        self.assert_error(answer, records, code, status, *words)
        self.assert_same_host(before, ignore)
        return answer, records

    def test_missing_image(self):
        for options, hint in ([], "full name"), (["--pull", "never"], "nexcage pull"):
            _, records = self.refused("ImageNotFound", 125, "run", "--rm", *options, "no-such-image", "true",
                                      words=["no-such-image"])
            self.assertIn(hint, records[-1].get("hint", ""), "the hint says what to do")

    def test_missing_command(self):
        before = self.world.snapshot()
        self.assertEqual(self.world.run("run", "--rm", self.image, "no-such-command").code, 127)
        self.assert_same_host(before)

    def test_missing_bundle(self):
        self.refused("BundleNotFound", 1, "create", "--bundle", self.world.path("nowhere"), self.world.new_id(),
                     words=["nowhere"])

    def broken_bundle(self, text):
        bundle = self.world.bundle(["true"])
        with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
            file.write(text)
        return bundle

    def test_config_json_that_is_no_json(self):
        for text, words in (("{", ["line 1"]), ('{"a": 1,\n "a": 2}', ["line 2"]), ("", []), ("[" * 1000, [])):
            with self.subTest(text=text[:10]):
                self.refused("InvalidJson", 1, "create", "--bundle", self.broken_bundle(text), self.world.new_id(),
                             words=["config.json", *words])

    def test_config_json_with_a_wrong_field(self):
        for change, pointer in (
                (lambda s: s["process"].update(args="sh"), "/process/args"),
                (lambda s: s["process"].update(cwd="relative"), "/process/cwd"),
                (lambda s: s["process"]["user"].update(uid=-1), "/process/user/uid"),
                (lambda s: s["mounts"][0].update(destination=7), "/mounts/0/destination"),
                (lambda s: s.pop("root"), "/root"),
                (lambda s: s["linux"]["namespaces"].append({"type": "nonsense"}), "/linux/namespaces/5/type")):
            spec = support.spec_of(["true"])
            change(spec)
            with self.subTest(pointer=pointer):
                self.refused("InvalidSpec", 1, "create", "--bundle", self.broken_bundle(json.dumps(spec)),
                             self.world.new_id(), words=[pointer])

    def test_wrong_oci_version(self):
        for version in ("0.9.0", "2.0.0", "1", "1.0.x", "one", ""):
            spec = {**support.spec_of(["true"]), "ociVersion": version}
            with self.subTest(version=version):
                self.refused("InvalidSpec", 1, "create", "--bundle", self.broken_bundle(json.dumps(spec)),
                             self.world.new_id(), words=["ociVersion"])

    def test_missing_root_file_system(self):
        bundle = self.world.bundle(["true"], root={"path": "nothing-there"})
        self.refused("InvalidRootfs", 1, "create", "--bundle", bundle, self.world.new_id(), words=["nothing-there"])

    def test_impossible_id(self):
        for name in ("..", "a/b", "", "a b", "x" * 300):
            with self.subTest(id=name):
                before = self.world.snapshot()
                answer = self.world.run("create", "--bundle", self.world.bundle(["true"]), "--", name)
                self.assertNotEqual(answer.code, 0)
                self.assert_same_host(before)

    def test_duplicate_id(self):
        container = self.world.new_id()
        bundle = self.world.bundle(["sleep", "100"])
        self.run_ok("create", "--bundle", bundle, container)
        try:
            self.refused("ContainerExists", 1, "create", "--bundle", bundle, container, words=[container])
            # Before anything is pulled or written: not even the image is looked for.
            self.refused("ContainerExists", 125, "run", "--name", container, "no-such-image", words=[container])
            self.assertEqual(self.status(container), "created")
        finally:
            self.run_ok("delete", "--force", container)

    def test_corrupt_layer(self):
        layout = self.world.layout()
        manifest, transport = layout.add("x", [support.busybox_layer(), support.Tar().add("more", data=b"x" * 5000).finish()])
        digest = manifest["layers"][1]["digest"]
        self.spoil(layout.blob_path(digest))
        _, _ = self.refused("InvalidImage", 125, "image", "import", transport, "--name", "corrupt", words=[digest[7:19]])
        self.assertNotIn("corrupt", self.run_ok("image", "list").out)

    def spoil(self, path):
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 0xff]))

    def test_wrong_diff_id(self):
        layer = support.Tar().add("more", data=b"y").finish()
        _, transport = self.world.layout().add("x", [layer], diff_ids=["sha256:" + "0" * 64])
        self.refused("InvalidImage", 125, "image", "import", transport, "--name", "wrongdiff")

    def test_layer_that_rotted_in_the_store(self):
        layer = support.Tar().add("rot", data=os.urandom(5000)).finish()
        layout = self.world.layout()
        manifest, transport = layout.add("x", [support.busybox_layer(), layer])
        self.run_ok("image", "import", transport, "--name", "rotten")
        hexdigest = manifest["layers"][1]["digest"][7:]
        blob = self.world.path("images/blobs/sha256", hexdigest)
        os.chmod(blob, 0o644)
        self.spoil(blob)
        answer, records = self.world.logged("image", "verify", "rotten")
        self.assert_error(answer, records, "InvalidImage", 125, hexdigest[:12])
        self.refused("InvalidImage", 125, "run", "--rm", "rotten", "true", words=[hexdigest[:12]])
        os.unlink(blob)
        self.refused("InvalidImage", 125, "run", "--rm", "rotten", "true", words=[hexdigest[:12]])
        self.run_ok("image", "remove", "rotten")

    def test_full_disk_while_importing(self):
        self.on_small_disk("images", 3 << 20, self.import_on_full_disk)

    def import_on_full_disk(self):
        layer = support.Tar().add("big", data=os.urandom(8 << 20)).finish()
        _, transport = self.world.layout().add("x", [layer])
        self.refused("FileError", 125, "image", "import", transport, "--name", "big", words=["no space left"])
        self.assertNotIn("big", self.run_ok("image", "list").out)

    def test_full_disk_while_unpacking(self):
        _, transport = self.world.layout().add("x", [
            support.busybox_layer(), support.Tar().add("zeros", data=bytes(16 << 20)).finish()])
        self.run_ok("image", "import", transport, "--name", "zeros")
        self.on_small_disk("layers", 8 << 20, lambda: self.full_disk(125, "zeros"))

    def full_disk(self, status, image):
        before = self.world.snapshot()
        answer, records = self.world.logged("run", "--rm", image, "true")
        self.assertEqual(answer.code, status, str(answer))
        self.assertIn(records[-1]["code"], ("FileError", "LayerError"), str(answer))
        self.assertIn("no space left", records[-1]["msg"])
        self.assert_same_host(before, ignore=[".lock"])

    def test_full_disk_for_containers(self):
        def fill():
            path = self.world.path("full-containers/filler")
            with open(path, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(bytes(65536))
                except OSError:
                    pass
            self.full_disk(125, self.image)
        self.on_small_disk("containers", 1 << 20, fill)

    def on_small_disk(self, which, size, work):
        """Runs work() with one of the directories on a tmpfs of this size."""
        path = self.world.path(f"full-{which}")
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=True)
        try:
            self.world.write_config(**{which: path})
            work()
        finally:
            self.world.write_config()
            subprocess.run(["umount", "-l", path], check=True)

    def test_failing_hooks(self):
        for point in POINTS:
            with self.subTest(hook=point):
                hooks = {point: [{"path": "/bin/sh", "args": ["sh", "-c", "echo reason >&2; exit 3"], "env": ["PATH=/bin"]}]}
                bundle, container = self.world.bundle(["sleep", "100"], hooks=hooks), self.world.new_id()
                self.refused("HookError", 1, "run", "--bundle", bundle, container, words=[point, "3"])

    def test_failing_hook_at_start(self):
        hooks = {"startContainer": [{"path": "/bin/false"}]}
        bundle, container = self.world.bundle(["sleep", "100"], hooks=hooks), self.world.new_id()
        before = self.world.snapshot()
        self.run_ok("create", "--bundle", bundle, container)
        answer, records = self.world.logged("start", container)
        self.assert_error(answer, records, "HookError", 1, "startContainer")
        self.world.run("delete", "--force", container)
        self.assert_same_host(before)

    def test_failing_poststop_is_logged_only(self):
        hooks = {"poststop": [{"path": "/bin/false"}]}
        bundle, container = self.world.bundle(["true"], hooks=hooks), self.world.new_id()
        before = self.world.snapshot()
        self.run_ok("create", "--bundle", bundle, container)
        answer, records = self.world.logged("delete", "--force", container)
        self.assertEqual(answer.code, 0, str(answer))
        self.assertTrue([r for r in records if r["level"] == "warning" and "poststop" in r["msg"]], records)
        self.assert_same_host(before)

    def test_hook_that_takes_too_long(self):
        hooks = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "sleep 100 & wait"], "timeout": 1}]}
        bundle = self.world.bundle(["true"], hooks=hooks)
        before = self.world.snapshot()
        answer, records = self.world.logged("create", "--bundle", bundle, self.world.new_id(), timeout=30)
        self.assertEqual(answer.code, 1, str(answer))
        self.assertIn(records[-1]["code"], ("HookError", "Timeout"))
        self.assertIn("createRuntime", records[-1]["msg"])
        self.assert_same_host(before)

    def test_hook_that_does_not_exist(self):
        bundle = self.world.bundle(["true"], hooks={"createRuntime": [{"path": "/no/such/hook"}]})
        self.refused("HookError", 1, "create", "--bundle", bundle, self.world.new_id(), words=["/no/such/hook"])

    def test_storage_that_is_not_there(self):
        bundle = self.world.bundle(["true"], annotations={"proxmox.storage": "zfs:no/such"})
        self.refused("ConfigError", 1, "create", "--bundle", bundle, self.world.new_id())

    def test_unknown_backend(self):
        self.refused("ConfigError", 1, "create", "--runtime", "nonsense", "--bundle", self.world.bundle(["true"]),
                     self.world.new_id(), words=["nonsense"])

    def test_pid_file_that_cannot_be_written(self):
        self.refused("FileError", 1, "create", "--pid-file", self.world.path("no/dir/pid"), "--bundle",
                     self.world.bundle(["true"]), self.world.new_id())

    def test_interrupted_by_a_signal(self):
        bundle = self.world.bundle(["true"], hooks={"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "100"]}]})
        before = self.world.snapshot()
        process = self.world.popen("create", "--bundle", bundle, self.world.new_id(), stdin=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        support.wait_for(lambda: "sleep" in support.processes().values())
        process.terminate()
        self.assertNotEqual(process.wait(30), 0)
        self.run_ok("list")
        self.assert_same_host(before)


if __name__ == "__main__":
    unittest.main()
