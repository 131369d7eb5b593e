"""`nexcage pull`, `push`, `login` and `run --pull` as people use them, against docker-registry; skopeo and Podman
judge what comes out. The settings are Podman's own files, in a mount namespace of the test's own."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import registry_docker
import support
from registry_auth import Authority, Basic
from registry_docker import PASSWORD, USER, DockerRegistry, TokenServer
from registry_images import Image, Index, noise, tar, write_images
from registry_server import ScriptedRegistry, problem
from scenario import cut

REFUSED = 125


def absent():
    """Why the verbs cannot be tried; None when they can."""
    if not os.access(support.NEXCAGE, os.X_OK):
        return f"{support.NEXCAGE} is not built"
    if subprocess.run([support.NEXCAGE, "pull", "--help"], capture_output=True, check=False).returncode:
        return "the verb pull is not in this build"
    if os.environ.get("NX_SANDBOX") != "1":
        return "needs the sandbox: Podman's settings are replaced"
    return registry_docker.absent()


@unittest.skipIf(absent(), absent())
@support.needs_root
class Verbs(support.Case):
    @classmethod
    def prepare(cls):
        cls.etc = "/etc/containers"
        os.makedirs(cls.etc, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", cls.etc], check=True)
        cls.addClassCleanup(subprocess.run, ["umount", "-l", cls.etc], check=False)
        cls.world.registries_conf = None
        os.environ["HOME"] = cls.world.path("home")
        os.environ["REGISTRY_AUTH_FILE"] = cls.world.path("auth.json")
        os.makedirs(os.environ["HOME"])
        cls.authority = Authority(cls.world.path("ca"))
        base = [support.busybox_layer()]
        first = Image([*base, tar({"mark": b"one\n"})])
        cls.images = {
            "1": first, "2": Image([*base, tar({"mark": b"two\n"})]),
            "zstd": Image(base).layer(tar({"mark": b"zstd\n"}), "zstd").seal(),
            "schema2": Image([*base, tar({"mark": b"docker\n"})], docker=True),
            "index": Index(Image(platform="arm64", seed=3), first),
            "fifty": Image([*base, *(tar({f"l/{n}": b"%d" % n}) for n in range(49))]),
            "large": Image([*base, tar({"large": noise(20_000_000)})]),
        }
        cls.pushable = write_images(cls.world.path("pushed"), cls.images)

    def setUp(self):
        self.settings()
        shutil.rmtree(self.world.path("images/.partial"), ignore_errors=True)
        for name in (os.environ["REGISTRY_AUTH_FILE"],):
            if os.path.exists(name):
                os.unlink(name)

    def write(self, path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def settings(self, registries="", policy=None):
        self.write(f"{self.etc}/registries.conf", registries)
        self.write(f"{self.etc}/policy.json", json.dumps(policy or {"default": [{"type": "insecureAcceptAnything"}]}))

    def registry(self, *tags, **options):
        registry = DockerRegistry(self.world.path(self.world.new_id()), **options)
        self.addCleanup(registry.stop)
        if options.get("tls"):
            registry.certificates = self.authority.trusting
        for tag in tags:
            registry.push(self.pushable[tag], f"some/thing:{tag}", "--all", "--preserve-digests")
        return registry

    def pull(self, registry, tag, *options, **kwargs):
        insecure = [] if registry.scheme == "https" else ["--tls-verify=false"]
        return self.world.run("pull", *insecure, *options, f"{registry.host}/some/thing:{tag}", **kwargs)

    def well(self, answer):
        self.assertEqual(answer.code, 0, str(answer))
        return answer

    def mark(self, name):
        return self.well(self.world.run("run", "--rm", name, "cat", "/mark")).out.strip()

    def clean(self):
        """The store is whole, and skopeo and nexcage agree on that."""
        self.run_ok("system", "check")
        staged = self.world.path("images/.partial")
        left = os.listdir(staged) if os.path.isdir(staged) else []
        self.assertEqual([name for name in left if not name.startswith(".")], [], "something is left over")

    # --- pull ---

    def test_every_kind_of_image(self):
        registry = self.registry(*self.images)
        marks = {"1": "one", "2": "two", "zstd": "zstd", "schema2": "docker", "index": "one"}
        for tag, image in self.images.items():
            with self.subTest(tag):
                said = self.well(self.pull(registry, tag, "-q")).out.split()
                self.assertEqual(len(said), 1, "-q prints the digest and nothing else")
                self.assertIn(said[0], [image.digest, *(one.digest for one in getattr(image, "images", ()))])
                name = f"{registry.host}/some/thing:{tag}"
                if tag in marks:
                    self.assertEqual(self.mark(name), marks[tag])
                if tag == "schema2":
                    continue  # containers/image 5.23 finds no Docker manifest in an OCI layout
                copy = self.world.path(self.world.new_id())
                registry_docker.skopeo("copy", "-q", f"oci:{self.world.path('images')}:{name}", f"dir:{copy}")
        self.clean()

    def test_again_is_one_question(self):
        with ScriptedRegistry() as registry:
            registry.add("some/thing", self.images["1"], "1")
            registry.scheme = "http"
            self.well(self.pull(registry, "1"))
            registry.forget()
            self.well(self.pull(registry, "1"))
            asked = [f"{r.method} {r.kind}" for r in registry.requests]
            self.assertEqual([one for one in asked if one != "GET base"], ["HEAD manifests"])

    def test_progress(self):
        registry = self.registry("1", "large")
        plain = self.well(self.pull(registry, "1", "--progress", "plain"))
        self.assertIn(self.images["1"].layer_digest(1).split(":")[1][:12], plain.err + plain.out)
        lines = self.well(self.pull(registry, "large", "--progress", "json"))
        records = [json.loads(line) for line in (lines.err + lines.out).splitlines() if line.startswith("{")]
        self.assertTrue(records)
        self.assertEqual(self.well(self.pull(registry, "1", "--progress", "none")).err, "")

    def test_htpasswd(self):
        registry = self.registry("1", htpasswd=True)
        answer, records = self.world.logged("pull", "--tls-verify=false", f"{registry.host}/some/thing:1")
        self.assert_error(answer, records, "PermissionDenied", REFUSED, registry.host, "401")
        self.assertIn("nexcage login " + registry.host, self.pull(registry, "1").err)
        self.assertNotEqual(self.pull(registry, "1", "--creds-stdin", stdin=f"{USER}:wrong\n").code, 0)
        self.well(self.pull(registry, "1", "--creds-stdin", stdin=f"{USER}:{PASSWORD}\n"))

    def test_login_and_logout(self):
        registry = self.registry("1", htpasswd=True)
        wrong = self.world.run("login", "--tls-verify=false", "-u", USER, "--password-stdin", registry.host, stdin="wrong")
        self.assertNotEqual(wrong.code, 0, str(wrong))
        self.well(self.world.run("login", "--tls-verify=false", "-u", USER, "--password-stdin", registry.host, stdin=PASSWORD))
        self.assertEqual(os.stat(os.environ["REGISTRY_AUTH_FILE"]).st_mode & 0o777, 0o600)
        self.well(self.pull(registry, "1"))
        # What nexcage wrote, skopeo reads.
        registry_docker.skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/some/thing:1")
        self.well(self.world.run("logout", registry.host))
        self.assertNotEqual(self.pull(registry, "1", "--creds-stdin", stdin=f"{USER}:no").code, 0)

    def test_tokens(self):
        tokens = TokenServer(self.authority)
        self.addCleanup(tokens.stop)
        registry = self.registry("fifty", tokens=tokens)
        self.well(self.pull(registry, "fifty", "--creds-stdin", stdin=f"{USER}:{PASSWORD}\n"))

    def test_tls_with_certs_d(self):
        registry = self.registry("1", tls=self.authority.issue())
        answer, records = self.world.logged("pull", f"{registry.host}/some/thing:1")
        self.assert_error(answer, records, "RegistryError", REFUSED, "certificate", registry.host)
        target = f"{self.etc}/certs.d/{registry.host}"
        os.makedirs(target)
        shutil.copy(self.authority.certificate, target)
        self.well(self.pull(registry, "1"))

    def test_mirror_fails_over(self):
        origin, mirror = self.registry("1", "2"), self.registry("1")
        self.settings(f'[[registry]]\nlocation = "{origin.host}"\ninsecure = true\n'
                      f'[[registry.mirror]]\nlocation = "{mirror.host}"\ninsecure = true\n')
        self.well(self.world.run("pull", f"{origin.host}/some/thing:1"))
        self.assertNotIn("/v2/some/thing/blobs", origin.log().split("PUT")[-1])
        mirror.stop()
        self.well(self.world.run("pull", f"{origin.host}/some/thing:2"))

    def test_blocked_and_rejected(self):
        registry = self.registry("1")
        self.settings(f'[[registry]]\nlocation = "{registry.host}"\nblocked = true\n')
        answer = self.pull(registry, "1")
        self.assertEqual(answer.code, REFUSED)
        self.assertIn("blocked", answer.err)
        self.settings(policy={"default": [{"type": "reject"}]})
        answer = self.pull(registry, "1")
        self.assertEqual(answer.code, REFUSED)
        self.assertIn("reject", answer.err)

    # --- run ---

    def test_run_pulls_what_is_missing(self):
        registry = self.registry("1")
        name = f"{registry.host}/some/thing:1"
        self.settings(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
        answer, records = self.world.logged("run", "--rm", "--pull", "never", name, "true")
        self.assert_error(answer, records, "ImageNotFound", REFUSED, "some/thing")
        answer = self.well(self.world.run("run", "--rm", name, "cat", "/mark"))
        self.assertEqual(answer.out, "one\n")
        # The tag moves: only those who ask see it.
        registry.push(self.pushable["2"], "some/thing:1", "--preserve-digests")
        self.assertEqual(self.mark(name), "one")
        answer = self.well(self.world.run("run", "--rm", "--pull", "newer", name, "cat", "/mark"))
        self.assertEqual(answer.out, "two\n")
        registry.stop()
        self.assertEqual(self.mark(name), "two")
        self.assertEqual(self.well(self.world.run("run", "--rm", "--pull", "newer", name, "cat", "/mark")).out, "two\n")
        self.assertEqual(self.world.run("run", "--rm", "--pull", "always", name, "true").code, REFUSED)

    # --- push ---

    def podman_digest(self, registry, name):
        """The digest that Podman has after pulling it into a store of its own."""
        root = tempfile.mkdtemp(prefix="nxp.")  # Podman takes a --runroot of 50 characters at most
        self.addCleanup(shutil.rmtree, root, ignore_errors=True)
        base = ["podman", "--root", root + "/root", "--runroot", root + "/run", "--tmpdir", root + "/tmp", "--storage-driver", "vfs"]
        env = {key: value for key, value in os.environ.items() if key != "REGISTRY_AUTH_FILE"}  # it must exist for Podman
        done = subprocess.run([*base, "pull", "-q", "--tls-verify=false", f"{registry.host}/{name}"], env=env, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        seen = subprocess.run([*base, "image", "inspect", "--format", "{{.Digest}}", done.stdout.strip()], env=env, capture_output=True, text=True, check=True)
        return seen.stdout.strip()

    def test_push(self):
        registry = self.registry("1", "zstd", "schema2", "fifty")
        target = self.registry()
        for tag in ("1", "zstd", "schema2", "fifty"):
            with self.subTest(tag):
                self.well(self.pull(registry, tag))
                ours, theirs = f"{registry.host}/some/thing:{tag}", f"{target.host}/other/name:{tag}"
                self.run_ok("image", "tag", ours, theirs)
                self.well(self.world.run("push", "--tls-verify=false", theirs))
                self.assertEqual(target.digest(f"other/name:{tag}"), self.images[tag].digest)
                target.pull(f"other/name:{tag}", f"dir:{self.world.path(self.world.new_id())}")
                if shutil.which("podman"):
                    self.assertEqual(self.podman_digest(target, f"other/name:{tag}"), self.images[tag].digest)

    def test_push_what_was_imported(self):
        target = self.registry(htpasswd=True)
        image = self.world.import_image([support.Tar().add("mark", data=b"imported\n").finish()], name=f"{target.host}/made/here:1")
        self.assertEqual(self.world.run("push", "--tls-verify=false", image).code, REFUSED)
        self.well(self.world.run("push", "--tls-verify=false", "--creds-stdin", image, stdin=f"{USER}:{PASSWORD}\n"))
        self.run_ok("image", "remove", image)
        self.well(self.world.run("pull", "--tls-verify=false", "--creds-stdin", image, stdin=f"{USER}:{PASSWORD}\n"))
        self.assertEqual(self.mark(image), "imported")

    # --- faults, as people see them ---

    def faulty(self, **options):
        registry = ScriptedRegistry(**options)
        self.addCleanup(registry.stop)
        registry.scheme = "http"
        registry.add("some/thing", Image([support.busybox_layer(), tar({"large": noise(3_000_000)})]), "1")
        return registry

    def test_errors_name_what_went_wrong(self):
        for status, code, words in ((404, "ImageNotFound", ("some/thing",)), (403, "PermissionDenied", ("403",)), (500, "RegistryError", ("500",))):
            with self.subTest(status=status):
                registry = self.faulty()
                registry.on("*", lambda wire, request, good, status=status: wire.answer(problem(status, "UNKNOWN")))
                answer, records = self.world.logged("pull", "--tls-verify=false", f"{registry.host}/some/thing:1", timeout=200)
                self.assert_error(answer, records, code, REFUSED, registry.host, "some/thing", *words)
        self.clean()

    def test_a_password_is_seen_nowhere(self):
        registry = self.faulty(auth=Basic(password="other"))
        for options in (["--debug"], []):
            answer, records = self.world.logged(*options, "pull", "--tls-verify=false", "--creds-stdin", f"{registry.host}/some/thing:1",
                                                stdin="user:hidden-password\n")
            self.assertNotEqual(answer.code, 0)
            self.assertNotIn("hidden-password", answer.out + answer.err + json.dumps(records))

    def test_interrupted(self):
        """Ctrl-C ends it at once; what came is kept for the next time."""
        registry = self.faulty()
        large = registry.repositories["some/thing"][registry.tags["some/thing", "1"]]
        layer = json.loads(large[1])["layers"][1]["digest"]
        registry.on("GET blobs " + layer, cut(1_000_000, "hang"))
        process = self.world.popen("pull", "--tls-verify=false", f"{registry.host}/some/thing:1", stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        support.wait_for(lambda: registry.bytes_of("GET blobs " + layer) >= 1_000_000, what="a beginning")
        process.send_signal(signal.SIGINT)
        self.assertNotEqual(process.wait(10), 0)
        registry.heal()
        self.well(self.pull(registry, "1"))
        self.clean()

    def test_killed(self):
        """kill -9 of the command: its helper goes with it, the next pull goes on, the store is clean."""
        image = self.images["large"]
        for moment in (0.05, 0.15, 0.3, 0.5, 0.8):
            with self.subTest(moment=moment), ScriptedRegistry(rate=30_000_000) as registry:
                registry.scheme = "http"
                registry.add("some/thing", image, "1")
                process = self.world.popen("pull", "--tls-verify=false", f"{registry.host}/some/thing:1", stdin=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(moment)
                process.kill()
                process.wait()
                support.wait_for(lambda: not [p for p, name in support.processes().items() if name == "image"], what="the helper's end")
                self.well(self.pull(registry, "1"))
                self.assertLessEqual(registry.bytes_of("GET"), 1.05 * image.wire_size)
                self.clean()
                self.run_ok("image", "remove", f"{registry.host}/some/thing:1")


if __name__ == "__main__":
    unittest.main()
