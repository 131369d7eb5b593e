"""`nexcage image`: what can be imported, what other tools read, what is shown and removed."""
import json
import os
import subprocess
import tarfile
import unittest

import support


@support.needs_root
class Images(support.Case):
    @classmethod
    def prepare(cls):
        cls.source = cls.world.layout()
        _, cls.transport = cls.source.add("v1", [support.busybox_layer(), support.Tar().add("mark", data=b"one\n").finish()])
        cls.plain = cls.world.layout()
        _, cls.plain_transport = cls.plain.add("v1", [support.busybox_layer()], compress=False)

    def tool(self, *argv):
        try:
            return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout
        except FileNotFoundError:
            self.skipTest(f"{argv[0]} is not installed")
        except subprocess.CalledProcessError as error:
            self.fail(f"{' '.join(argv)}: {error.stderr}")

    def mark(self, image):
        answer = self.world.run("run", "--rm", image, "cat", "/mark")
        self.assertEqual(answer.code, 0, str(answer))
        return answer.out.strip()

    def test_oci_layout(self):
        self.run_ok("image", "import", self.transport, "--name", "layout:1")
        self.assertEqual(self.mark("layout:1"), "one")
        self.assertEqual(self.mark("docker.io/library/layout:1"), "one")

    def test_uncompressed_layers(self):
        self.run_ok("image", "import", self.plain_transport, "--name", "plain")
        self.run_ok("run", "--rm", "plain", "true")

    def test_oci_archive(self):
        path = self.world.path("image.tar")
        self.tool("skopeo", "copy", "--insecure-policy", "-q", self.transport, f"oci-archive:{path}:inside")
        self.run_ok("image", "import", f"oci-archive:{path}:inside", "--name", "archive")
        self.assertEqual(self.mark("archive"), "one")

    def test_docker_archive(self):
        path = self.world.path("docker.tar")
        self.tool("skopeo", "copy", "--insecure-policy", "-q", self.transport, f"docker-archive:{path}:docker.io/some/thing:3")
        self.run_ok("image", "import", f"docker-archive:{path}", "--name", "docker")
        self.assertEqual(self.mark("docker"), "one")
        self.run_ok("image", "import", f"docker-archive:{path}:docker.io/some/thing:3")
        self.assertEqual(self.mark("some/thing:3"), "one")

    def test_root_file_system(self):
        for suffix, tool in (("", None), (".gz", "gzip"), (".zst", "zstd")):
            with self.subTest(suffix=suffix):
                path = self.world.path("rootfs.tar")
                with open(path, "wb") as file:
                    file.write(support.busybox_layer())
                if tool:
                    self.tool(tool, "-q", "-f", path)
                self.run_ok("image", "import", f"rootfs:{path}{suffix}", "--name", "rootfs", "--cmd", "id", "--user", "user",
                            "--env", "PATH=/bin", "--workdir", "/tmp")
                self.assertIn("uid=1000(user)", self.run_ok("run", "--rm", "rootfs").out)
                self.assertEqual(self.run_ok("run", "--rm", "rootfs", "pwd").out, "/tmp\n")

    def test_other_tools_read_the_store(self):
        self.run_ok("image", "import", self.transport, "--name", "example.org/shared:2")
        store = self.world.path("images")
        with open(os.path.join(store, "oci-layout"), encoding="utf-8") as file:
            self.assertEqual(json.load(file), {"imageLayoutVersion": "1.0.0"})
        with open(os.path.join(store, "index.json"), encoding="utf-8") as file:
            names = [m.get("annotations", {}).get("org.opencontainers.image.ref.name") for m in json.load(file)["manifests"]]
        name = [n for n in names if n and "shared" in n][0]
        copy = self.world.path("copy")
        self.tool("skopeo", "copy", "--insecure-policy", "-q", f"oci:{store}:{name}", f"dir:{copy}")
        self.assertTrue(os.path.exists(os.path.join(copy, "manifest.json")))

    def test_view_of_names_and_tags(self):
        self.run_ok("image", "import", self.transport, "--name", "example.org/a/b:tag")
        view = self.world.path("images/example.org/a/b/tag")
        with open(os.path.join(view, "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        self.assertTrue(os.path.islink(os.path.join(view, "config.json")))
        self.assertFalse(os.path.isabs(os.readlink(os.path.join(view, "manifest.json"))))
        self.assertEqual(len(os.listdir(os.path.join(view, "layers"))), len(manifest["layers"]))
        self.run_ok("image", "remove", "example.org/a/b:tag")
        self.assertFalse(os.path.lexists(view))

    def test_list_inspect_tag_remove(self):
        layout = self.world.layout()
        _, transport = layout.add("x", [support.busybox_layer(), support.Tar().add("only", data=os.urandom(999)).finish()])
        self.run_ok("image", "import", transport, "--name", "first:1")
        self.run_ok("image", "tag", "first:1", "second:2")
        listed = self.run_ok("image", "list", "--format", "json").json()
        text = json.dumps(listed)
        self.assertIn("docker.io/library/first:1", text)
        self.assertIn("docker.io/library/second:2", text)
        self.assertIn("sha256:", json.dumps(self.run_ok("image", "inspect", "first:1").json()))
        self.run_ok("image", "verify", "first:1")
        blobs = set(os.listdir(self.world.path("images/blobs/sha256")))
        self.run_ok("image", "remove", "first:1")
        self.assertEqual(self.world.run("image", "inspect", "first:1").code, 125)
        self.assertEqual(set(os.listdir(self.world.path("images/blobs/sha256"))), blobs, "second:2 still needs them")
        self.run_ok("run", "--rm", "second:2", "true")
        self.run_ok("image", "remove", "second:2")
        self.assertLess(len(os.listdir(self.world.path("images/blobs/sha256"))), len(blobs))

    def test_a_damaged_image_does_not_hold_back_the_removal_of_another(self):
        blobs = self.world.path("images/blobs/sha256")
        layers = [support.Tar().add(name, data=name.encode()).finish() for name in ("one", "two")]
        damaged, removed = [self.world.layout().add("x", [layer]) for layer in layers]
        self.run_ok("image", "import", damaged[1], "--name", "damaged")
        self.run_ok("image", "import", removed[1], "--name", "removed")
        layer = removed[0]["layers"][0]["digest"].split(":")[1]
        manifest = self.run_ok("image", "inspect", "damaged").json()[0]["digest"].split(":")[1]
        kept = damaged[0]["layers"][0]["digest"].split(":")[1]
        with open(os.path.join(blobs, manifest), "w", encoding="utf-8") as file:
            file.write("{}")
        answer = self.run_ok("image", "remove", "removed")
        self.assertIn("warning", answer.err)
        self.assertFalse(os.path.exists(os.path.join(blobs, layer)), "nobody needs it")
        self.assertTrue(os.path.exists(os.path.join(blobs, kept)), "what no removal touches stays")
        self.run_ok("image", "remove", "damaged")

    def test_equal_layers_are_stored_once(self):
        self.run_ok("image", "import", self.plain_transport, "--name", "once:1")
        self.run_ok("run", "--rm", "once:1", "true")
        count = len(os.listdir(self.world.path("images/blobs/sha256")))
        layers = support.tree(self.world.path("layers"))
        _, transport = self.world.layout().add("x", [support.busybox_layer()], {"Cmd": ["ls"]}, compress=False)
        self.run_ok("image", "import", transport, "--name", "once:2")
        self.run_ok("run", "--rm", "once:2", "true")
        self.assertEqual(len(os.listdir(self.world.path("images/blobs/sha256"))), count + 2, "a manifest and a config")
        self.assertEqual(support.tree(self.world.path("layers")), layers)

    def test_imports_at_the_same_time(self):
        transports = []
        for number in range(6):
            layer = support.Tar().add(f"n{number}", data=os.urandom(100000)).finish()
            transports.append(self.world.layout().add("x", [support.busybox_layer(), layer])[1])
        running = [self.world.popen("image", "import", t, "--name", f"parallel{n}", stdin=subprocess.DEVNULL)
                   for n, t in enumerate(transports)]
        self.assertEqual([p.wait(120) for p in running], [0] * 6)
        for number in range(6):
            self.run_ok("image", "verify", f"parallel{number}")

    def test_sources_that_are_not_there(self):
        for source in ("oci:/nowhere:x", self.transport[:-2] + "other", "oci-archive:/nowhere.tar", "nonsense:/x", "rootfs:/nowhere.tar"):
            with self.subTest(source=source):
                answer, records = self.world.logged("image", "import", source, "--name", "nothing")
                self.assertNotEqual(answer.code, 0, str(answer))
                self.assertTrue(records[-1]["msg"])

    def test_127_layers(self):
        layers = [support.Tar().add(f"layers/{n}", data=str(n).encode()).finish() for n in range(1, 127)]
        image = self.world.import_image(layers, name="deep")
        self.assertEqual(self.run_ok("run", "--rm", image, "sh", "-c", "ls /layers | wc -l").out.strip(), "126")

    def test_whiteouts(self):
        first = support.Tar().dir("d").add("d/a", data=b"a").add("d/b", data=b"b").dir("o").add("o/old", data=b"o").finish()
        second = support.Tar().add("d/.wh.a").dir("o").add("o/.wh..wh..opq").add("o/new", data=b"n").finish()
        image = self.world.import_image([first, second], name="whiteouts")
        self.assertEqual(self.run_ok("run", "--rm", image, "ls", "-A", "/d", "/o").out.split(), ["/d:", "b", "/o:", "new"])

    def test_hard_links_across_layers(self):
        first = support.Tar().add("one", data=b"same").finish()
        second = support.Tar().hardlink("two", "one").finish()
        image = self.world.import_image([first, second], name="links")
        self.assertEqual(self.run_ok("run", "--rm", image, "cat", "/two").out, "same")

    def test_types_that_change_between_layers(self):
        first = support.Tar().dir("x").add("x/inner", data=b"1").add("y", data=b"file").finish()
        second = support.Tar().add("x", data=b"now a file").dir("y").add("y/inner", data=b"2").finish()
        image = self.world.import_image([first, second], name="types")
        self.assertEqual(self.run_ok("run", "--rm", image, "cat", "/x", "/y/inner").out, "now a file2")

    def test_large_ids_and_nanoseconds(self):
        tar = support.Tar().add("f", data=b"x", uid=4000000000, gid=3000000000, mtime=1500000000.123456789,
                                pax_headers={"mtime": "1500000000.123456789"})
        tar.add("fifo", tarfile.FIFOTYPE)
        image = self.world.import_image([tar.finish()], name="attributes")
        out = self.run_ok("run", "--rm", image, "stat", "-c", "%u %g %y", "/f").out
        self.assertIn("4000000000 3000000000 2017-07-14 02:40:00.123456789", out)


if __name__ == "__main__":
    unittest.main()
