"""`nexcage image save` and `image load`: what goes out comes back the same, and other tools read it."""
import gzip
import hashlib
import io
import json
import os
import pty
import shutil
import subprocess
import tarfile
import unittest

import support


@support.needs_root
class Archives(support.Case):
    @classmethod
    def prepare(cls):
        cls.layers = [support.busybox_layer(), support.Tar().add("mark", data=b"one\n").finish()]
        cls.plain = cls.world.import_image([support.Tar().add("plain", data=b"p").finish()], name="example.org/plain:1", compress=False)
        cls.one = cls.world.import_image([cls.layers[1]], name="example.org/one:1")
        cls.two = cls.world.import_image([support.Tar().add("mark", data=b"two\n").finish()], name="two:2")
        cls.here = {image: cls.inspect_in(cls.world, image) for image in (cls.plain, cls.one, cls.two)}

    @staticmethod
    def inspect_in(world, image):
        answer = world.run("image", "inspect", image)
        assert answer.code == 0, str(answer)
        return answer.json()[0]

    def tool(self, *argv, **kwargs):
        if not shutil.which(argv[0]):
            self.skipTest(f"{argv[0]} is not installed")
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, **kwargs)
        self.assertEqual(done.returncode, 0, f"{' '.join(argv)}: {done.stderr}")
        return done.stdout

    def other_world(self):
        world = support.World()
        self.addCleanup(world.destroy)
        return world

    def save(self, *args, name="saved.tar"):
        path = self.world.path(name)
        self.run_ok("image", "save", "-o", path, *args)
        return path

    @staticmethod
    def members(path):
        with tarfile.open(path) as archive:
            return {m.name: archive.extractfile(m).read() for m in archive if m.isreg()}

    def test_oci_archive_keeps_every_digest(self):
        path = self.save("--format", "oci-archive", self.one)
        files = self.members(path)
        for name, data in files.items():
            if name.startswith("blobs/"):
                self.assertEqual(hashlib.sha256(data).hexdigest(), name.rsplit("/", 1)[1])
        manifest = json.loads(files["index.json"])["manifests"][0]
        self.assertEqual(manifest["digest"], self.here[self.one]["digest"])
        self.assertEqual(manifest["annotations"]["org.opencontainers.image.ref.name"], "example.org/one:1")
        self.assertEqual(len(files), 2 + 4, "layout, index, manifest, config and two layers")
        other = self.other_world()
        self.assertEqual(other.run("image", "load", "-i", path).out, "Loaded image: example.org/one:1\n")
        self.assertEqual(self.inspect_in(other, self.one), self.here[self.one])
        self.assertEqual(other.run("run", "--rm", self.one, "cat", "/mark").out, "one\n")

    def test_docker_archive_keeps_image_id_and_diff_ids(self):
        path = self.save(self.one)
        files = self.members(path)
        entry = json.loads(files["manifest.json"])
        self.assertEqual(entry[0]["RepoTags"], ["example.org/one:1"])
        diff_ids = [layer["diffId"].split(":")[1] for layer in self.here[self.one]["layers"]]
        self.assertEqual(entry[0]["Layers"], [diff_id + ".tar" for diff_id in diff_ids])
        for diff_id, plain in zip(diff_ids, self.layers):
            self.assertEqual(files[diff_id + ".tar"], plain)
        other = self.other_world()
        self.assertEqual(other.run("image", "load", path).out, "Loaded image: example.org/one:1\n")
        loaded = self.inspect_in(other, self.one)
        self.assertEqual(loaded["id"], self.here[self.one]["id"])
        self.assertEqual(other.run("image", "verify", self.one).code, 0)

    def test_skopeo_reads_both(self):
        for form in ("oci-archive", "docker-archive"):
            with self.subTest(form=form):
                path, copy = self.save("--format", form, self.one), self.world.path("copy-" + form)
                self.tool("skopeo", "copy", "--insecure-policy", "-q", f"{form}:{path}", f"dir:{copy}")
                with open(os.path.join(copy, "manifest.json"), "rb") as file:
                    data = file.read()
                config = json.loads(data)["config"]["digest"]
                self.assertEqual(config, self.here[self.one]["id"])
                if form == "oci-archive":
                    self.assertEqual("sha256:" + hashlib.sha256(data).hexdigest(), self.here[self.one]["digest"])

    def test_podman_reads_both(self):
        storage = self.world.path("podman")
        podman = ["podman", "--root", storage, "--runroot", storage + "-run", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]
        for form in ("oci-archive", "docker-archive"):
            with self.subTest(form=form):
                path = self.save("--format", form, self.one)
                self.assertIn("example.org/one:1", self.tool(*podman, "load", "-q", "-i", path))
                ids = self.tool(*podman, "images", "--no-trunc", "-q", "example.org/one:1").split()
                self.assertEqual(ids, [self.here[self.one]["id"]])
                self.tool(*podman, "rmi", "-f", "example.org/one:1")

    def test_what_podman_and_skopeo_write(self):
        path = self.world.path("skopeo.tar")
        layout = self.world.layout()
        _, transport = layout.add("v1", self.layers)
        self.tool("skopeo", "copy", "--insecure-policy", "-q", transport, f"oci-archive:{path}:onlyatag")
        other = self.other_world()
        self.assertEqual(other.run("image", "load", "-i", path).out, "Loaded image: localhost/skopeo:onlyatag\n")
        os.remove(path)
        self.tool("skopeo", "copy", "--insecure-policy", "-q", transport, f"docker-archive:{path}:example.org/x:3")
        self.assertEqual(other.run("image", "load", "-i", path).out, "Loaded image: example.org/x:3\n")

    def test_several_images_share_their_layers(self):
        for form in ("oci-archive", "docker-archive"):
            with self.subTest(form=form):
                path = self.save("--format", form, self.one, self.two, self.one)
                alone = self.save("--format", form, self.one, name="alone.tar")
                with tarfile.open(path) as archive:
                    names = archive.getnames()
                self.assertEqual(len(names), len(set(names)))
                self.assertLess(os.path.getsize(path), os.path.getsize(alone) * 1.5)
                other = self.other_world()
                out = other.run("image", "load", "-i", path).out.splitlines()
                self.assertEqual(out, ["Loaded image: example.org/one:1", "Loaded image: docker.io/library/two:2"])
                self.assertEqual(other.run("run", "--rm", "two:2", "cat", "/mark").out, "two\n")

    def test_all_names_of_an_image(self):
        self.run_ok("image", "tag", self.one, "example.org/other:name")
        for form in ("oci-archive", "docker-archive"):
            path = self.save("--format", form, self.one, "example.org/other:name")
            other = self.other_world()
            other.run("image", "load", "-i", path)
            self.assertEqual(self.inspect_in(other, self.one)["names"], ["example.org/one:1", "example.org/other:name"])
        self.run_ok("image", "remove", "example.org/other:name")

    def test_through_a_pipe_and_compressed(self):
        for compress in (bytes, gzip.compress):
            other = self.other_world()
            saved = subprocess.run(self.world.argv("image", "save", self.one), capture_output=True, timeout=60, check=True).stdout
            loaded = subprocess.run(other.argv("image", "load"), input=compress(saved), capture_output=True, timeout=60, check=False)
            self.assertEqual((loaded.returncode, loaded.stdout), (0, b"Loaded image: example.org/one:1\n"), loaded.stderr)
            self.assertEqual(other.run("run", "--rm", self.one, "cat", "/mark").out, "one\n")

    def test_an_image_without_a_name(self):
        path = self.save("--format", "oci-archive", self.here[self.one]["id"][7:19])
        other = self.other_world()
        answer = other.run("image", "load", "-i", path)
        self.assertEqual(answer.out, f"Loaded image: {self.here[self.one]['digest']}\n")
        self.assertEqual(other.run("image", "load", "-q", "-i", path).out, self.here[self.one]["digest"] + "\n")
        self.assertEqual(self.inspect_in(other, self.here[self.one]["digest"])["names"], [])
        self.assertEqual(len(other.run("image", "list", "--format", "json").json()), 1)

    def test_the_same_images_give_the_same_bytes(self):
        for form in ("oci-archive", "docker-archive"):
            with open(self.save("--format", form, self.one, self.plain), "rb") as file:
                first = file.read()
            with open(self.save("--format", form, self.one, self.plain), "rb") as file:
                self.assertEqual(file.read(), first)

    def test_a_damaged_layer_leaves_no_archive(self):
        image = self.world.import_image([support.Tar().add("x", data=os.urandom(5000)).finish()], name="bad:1")
        blob = self.world.path("images/blobs/sha256", self.inspect_in(self.world, image)["layers"][-1]["digest"].split(":")[1])
        with open(blob, "r+b") as file:
            file.seek(2000)
            file.write(b"damage")
        directory = self.world.path("out")
        os.mkdir(directory)
        for form in ("oci-archive", "docker-archive"):
            answer, records = self.world.logged("image", "save", "--format", form, "-o", os.path.join(directory, "x.tar"), image)
            self.assertEqual((answer.code, records[-1]["code"]), (125, "InvalidImage"), str(answer))
            self.assertEqual(os.listdir(directory), [])
        self.run_ok("image", "remove", image)

    def test_all_images_or_none(self):
        files = self.members(self.save("--format", "oci-archive", self.one, self.two))
        for name, data in files.items():
            if name.endswith(self.here[self.two]["layers"][-1]["digest"].split(":")[1]):
                files[name] = data[:-4] + b"oops"
        path = self.world.path("spoiled.tar")
        with tarfile.open(path, "w") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        other = self.other_world()
        answer, records = other.logged("image", "load", "-i", path)
        self.assertEqual((answer.code, records[-1]["code"]), (125, "InvalidImage"), str(answer))
        self.assertEqual(other.run("image", "list", "--format", "json").json(), [])
        self.assertEqual(os.listdir(other.path("images/blobs/sha256")), [])

    def test_what_is_refused(self):
        nothing = self.world.path("nothing.tar")
        with tarfile.open(nothing, "w") as archive:
            archive.addfile(tarfile.TarInfo("etc"))
        truncated = self.world.path("cut.tar")
        with open(self.save(self.one), "rb") as file, open(truncated, "wb") as out:
            out.write(file.read()[:5000])
        for code, words in (("ImageNotFound", ("save", "missing:1")), ("InvalidSpec", ("save", "--format", "zip", self.one)),
                            ("ImageNotFound", ("load", "/nowhere.tar")), ("InvalidImage", ("load", nothing)),
                            ("InvalidImage", ("load", truncated)), ("InvalidSpec", ("load", nothing, "-i", nothing))):
            with self.subTest(words=words):
                answer, records = self.world.logged("image", *words)
                self.assertEqual((answer.code, records[-1]["code"]), (125, code), str(answer))

    def test_no_archive_on_a_terminal(self):
        master, slave = pty.openpty()
        try:
            done = subprocess.run(self.world.argv("image", "save", self.one), stdin=subprocess.DEVNULL, stdout=slave,
                                  stderr=subprocess.PIPE, timeout=60, check=False)
            self.assertEqual(done.returncode, 125)
            self.assertIn(b"--output", done.stderr)
        finally:
            os.close(master)
            os.close(slave)


if __name__ == "__main__":
    unittest.main()
