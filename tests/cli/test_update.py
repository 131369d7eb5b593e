"""`update --image` and `--rollback`: another root for a container that stays what it is; a failure or a kill at
any step leaves the one or the other."""
import json
import os
import signal
import subprocess
import unittest

import support
from test_restart import OverBackend, on_backends

# Says which root it has, then serves until it is stopped by the signal that its image names.
SERVICE = "cat /version; trap 'exit 5' {signal}; while :; do sleep 0.05; done"
VERSIONS = {
    "one": {"Env": ["PATH=/bin", "FROM=one"], "WorkingDir": "/in-one", "StopSignal": "SIGTERM", "Volumes": {"/data": {}, "/srv/more": {}}},
    "two": {"Env": ["PATH=/bin", "FROM=two"], "WorkingDir": "/in-two", "StopSignal": "SIGUSR1", "User": "user"},
    "three": {"Env": ["PATH=/bin", "FROM=three"], "StopSignal": "SIGTERM"},
}
BROKEN = {
    "no-command": ({"Cmd": ["/no/such/command"]}, "no such"),
    "no-user": ({"Cmd": ["sh"], "User": "nobody-knows"}, "nobody-knows"),
    "bad-directory": ({"Cmd": ["sh"], "WorkingDir": "relative"}, "cwd"),
}


class OverImages(OverBackend):
    @classmethod
    def prepare(cls):
        super().prepare()
        for version, config in VERSIONS.items():
            command = SERVICE.format(signal=config["StopSignal"].removeprefix("SIG"))
            layer = support.Tar().add("version", data=version.encode() + b"\n").dir("data").add("data/default", data=version.encode()).finish()
            cls.world.import_image([layer], name=f"app:{version}", config={"Cmd": ["sh", "-c", command], **config})
        for name, (config, _) in BROKEN.items():
            cls.world.import_image(name=f"app:{name}", config=config)
        for version in [*VERSIONS, "no-command"]:
            cls.world.run("layer", "merge", f"app:{version}")
        answer = cls.world.run("run", "-d", "--runtime", cls.backend, "--name", "warm", "app:one")
        if answer.code != 0:
            raise AssertionError(str(answer))
        for words in ("update", "--image", "app:two", "warm"), ("delete", "--force", "warm"):
            answer = cls.world.run(*words)
            if answer.code != 0:
                raise AssertionError(str(answer))

    def service(self, version="one", *options):
        container = self.world.new_id()
        self.run_ok("run", "-d", "--runtime", self.backend, "--name", container, *options, f"app:{version}")
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.started(container, version)
        return container

    def inside(self, container, *command):
        return self.run_ok("exec", container, *command).out.strip()

    def write(self, container, text, *paths):
        for path in paths:
            self.run_ok("exec", "--user", "0", container, "sh", "-c", f"echo {text} > {path}")

    def has(self, container, path):
        return self.world.run("exec", container, "test", "-e", path).code == 0

    def version(self, container):
        """What it runs with now."""
        return self.inside(container, "cat", "/version")

    def earlier(self, container):
        """Images of the roots that can be brought back, newest first."""
        return [one["image"].rpartition(":")[2] for one in self.run_ok("state", container).json().get("earlier", [])]

    def spec(self, container):
        with open(self.bundle(container, "config.json"), encoding="utf-8") as file:
            return json.load(file)

    def broken(self, *names):
        before = self.world.snapshot()
        container = self.service()
        self.write(container, "first", "/own")
        for name in names:
            with self.subTest(name):
                answer = self.world.run("update", "--image", f"app:{name}", container)
                self.assertEqual(answer.code, 1, str(answer))
                self.assertIn(BROKEN[name][1], answer.err.lower())
                self.assertEqual((self.status(container), self.inside(container, "cat", "/version", "/own"), self.earlier(container)),
                                 ("running", "one\nfirst", []))
        self.run_ok("delete", "--force", container)
        self.assert_same_host(before)

    def refused(self, code, *args, words=(), status=1):
        answer, records = self.world.logged("update", *args)
        self.assert_error(answer, records, code, status, *words)
        return answer


@on_backends("lxc", "crun", "runc")
class Update(OverImages):
    def test_another_image_and_back(self):
        before = self.world.snapshot()
        shared = self.world.path("shared" + self.world.new_id())
        os.mkdir(shared)
        container = self.service("one", "-v", f"{shared}:/shared", "-e", "OWN=kept", "--hostname", "box", "--memory", "64m",
                                 "--annotation", "my.own=kept", "--pids-limit", "60")
        created = self.run_ok("state", container).json()["created"]
        self.write(container, "first", "/own", "/data/own", "/shared/own")
        self.run_ok("exec", container, "rm", "/data/default")
        self.run_ok("update", "--image", "app:two", container)

        self.started(container, "two")
        state = self.run_ok("state", container).json()
        self.assertEqual((state["status"], state["created"], state["generation"], state["annotations"]["my.own"]), ("running", created, 2, "kept"))
        self.assertIn("app:two", state["annotations"]["org.nexcage.image"])
        self.assertEqual(self.earlier(container), ["one"])
        listed = [c for c in self.run_ok("ps", "--format", "json").json() if c["id"] == container]
        self.assertIn("app:two", listed[0]["image"])
        environment = self.inside(container, "env").splitlines()
        self.assertIn("OWN=kept", environment, "the user's")
        self.assertIn("FROM=two", environment, "the new image's")
        self.assertEqual(self.inside(container, "sh", "-c", "echo $(hostname) $(pwd) $(id -u)"), "box /in-two 1000")
        self.assertFalse(self.has(container, "/own"), "what was written belongs to the old root")
        self.assertEqual(self.inside(container, "sh", "-c", "cat /data/own /shared/own; ls /data"), "first\nfirst\nown",
                         "declared volumes and mounts stay as they are")
        resources = self.spec(container)["linux"]["resources"]
        self.assertEqual((resources["memory"]["limit"], resources["pids"]["limit"]), (64 << 20, 60))
        self.assertEqual(self.lines(container), ["one", "two"], "the log goes on")

        self.write(container, "second", "/own-two", "/data/own", "/shared/own")
        self.run_ok("update", "--rollback", container)
        self.started(container, "one")
        self.assertEqual(self.lines(container), ["one", "two", "one"])
        state = self.run_ok("state", container).json()
        self.assertEqual((state["status"], state["created"], state["generation"], state["earlier"]), ("running", created, 1, []))
        self.assertEqual(self.inside(container, "sh", "-c", "echo $FROM $OWN $(pwd) $(id -u); cat /own /data/own /shared/own"),
                         "one kept /in-one 0\nfirst\nfirst\nsecond", "its root as it was, the mount as it is")
        self.assertFalse(self.has(container, "/own-two"))
        self.refused("InvalidState", "--rollback", container, words=["no earlier root"])
        self.assertEqual(self.status(container), "running")
        self.run_ok("stop", container)
        self.assertEqual(self.run_ok("wait", container).out, "5\n")
        self.run_ok("delete", container)
        self.assert_same_host(before)

    def test_one_whose_new_root_does_not_start_runs_as_before(self):
        self.broken("no-command")


@on_backends("lxc")  # what is made, exchanged and removed is the same code on each
class Roots(OverImages):
    def test_images_that_cannot_be_run(self):
        self.broken("no-user", "bad-directory")

    def test_one_that_does_not_run_is_not_started(self):
        before = self.world.snapshot()
        container = self.service()
        self.write(container, "first", "/own")
        self.run_ok("stop", container)
        self.run_ok("update", "--image", "app:two", container)
        self.assertEqual(self.status(container), "stopped")
        self.assertIn("app:two", self.run_ok("state", container).json()["annotations"]["org.nexcage.image"])
        self.run_ok("start", container)
        self.started(container, "two")
        self.run_ok("stop", container)
        self.assertEqual(self.run_ok("wait", container).out, "5\n", "by the new image's stop signal")
        self.run_ok("update", "--rollback", container)
        self.assertEqual(self.status(container), "stopped")
        self.run_ok("start", container)
        self.assertEqual((self.version(container), self.inside(container, "cat", "/own")), ("one", "first"))
        self.run_ok("delete", "--force", container)
        self.assert_same_host(before)

    def test_so_many_earlier_roots_are_kept(self):
        before = self.world.snapshot()
        container = self.service()
        for at, version in enumerate(("two", "three", "one", "two"), 2):
            self.run_ok("update", "--image", f"app:{version}", "--generations", "2", container)
            self.write(container, at, "/own")
        self.assertEqual(self.earlier(container), ["one", "three"])
        self.assertEqual(sorted(os.listdir(self.bundle(container, "generations"))), ["3", "4", "5"])
        self.assertFalse(os.path.exists(self.bundle(container, "upper")), "the first one is gone")
        for version, own, left in ("one", "4", ["three"]), ("three", "3", []):
            self.run_ok("update", "--rollback", container)
            self.assertEqual((self.version(container), self.inside(container, "cat", "/own"), self.earlier(container)), (version, own, left))
        self.assertEqual(os.listdir(self.bundle(container, "generations")), ["3"])
        # A number is never used again; none need be kept.
        self.run_ok("update", "--image", "app:one", "--generations", "0", container)
        self.assertEqual(self.run_ok("state", container).json()["earlier"], [])
        self.assertEqual(os.listdir(self.bundle(container, "generations")), ["6"])
        self.refused("InvalidState", "--rollback", container)
        self.run_ok("delete", "--force", container)
        self.assert_same_host(before)

    def test_as_many_as_the_configuration_says(self):
        container = self.service()
        self.run_ok("update", "--image", "app:two", container)
        self.run_ok("update", "--image", "app:three", container)
        self.assertEqual(self.earlier(container), ["two"])
        self.run_ok("update", "--image", "app:one", container, env={"NEXCAGE_GENERATIONS": "3"})
        self.assertEqual(self.earlier(container), ["three", "two"])

    def test_images_of_earlier_roots_are_in_use(self):
        layer = support.Tar().add("version", data=b"one\n").add("only", data=os.urandom(100)).finish()
        config = {"Cmd": ["sh", "-c", SERVICE.format(signal="TERM")]}
        name = "moving:1"
        self.world.import_image([layer], name=name, config=config)
        container = self.world.new_id()
        self.run_ok("run", "-d", "--runtime", self.backend, "--name", container, name)
        self.addCleanup(self.world.run, "delete", "--force", container)
        digest = self.run_ok("image", "inspect", name).json()[0]["digest"]
        # The same name, another image: what `update --image` with an unchanged reference is for.
        self.world.import_image([support.Tar().add("version", data=b"two\n").finish()], name=name, config=config)
        self.run_ok("update", "--image", name, container)
        self.assertEqual(self.version(container), "two")
        answer, records = self.world.logged("image", "remove", digest)
        self.assert_error(answer, records, "InvalidState", answer.code, "is used by container")
        self.run_ok("stop", container)
        self.run_ok("system", "gc")
        self.run_ok("layer", "gc")
        self.run_ok("update", "--rollback", container)
        self.run_ok("start", container)
        self.assertEqual(self.version(container), "one")
        self.run_ok("update", "--image", name, container)
        self.run_ok("image", "remove", "--force", digest)
        self.refused("ImageNotFound", "--rollback", container, words=["earlier root"])
        self.assertEqual((self.status(container), self.version(container)), ("running", "two"))
        self.run_ok("delete", "--force", container)

    def test_each_storage_and_driver(self):
        place = self.world.path("place")
        os.mkdir(place)
        for options in (["--layerfs", "overlay"], ["--layerfs", "copy", "--storage", f"dir:{place}"], ["--raw", "ext4", "--storage-size", "64m"],
                        ["--tmpfs-upper", "8m"], ["--uidmap", "0:100000:65536"]):
            with self.subTest(options=options):
                before = self.world.snapshot()
                container = self.service("one", *options)
                self.write(container, "first", "/own", "/data/own")
                self.run_ok("update", "--image", "app:two", container)
                self.assertEqual(self.version(container), "two")
                self.assertFalse(self.has(container, "/own"))
                if "--tmpfs-upper" not in options:
                    self.assertEqual(self.inside(container, "sh", "-c", "cat /data/own; stat -c %u /data/own"), "first\n0")
                self.run_ok("update", "--rollback", container)
                self.assertEqual(self.version(container), "one")
                self.assertEqual(self.has(container, "/own"), "--tmpfs-upper" not in options)
                self.run_ok("delete", "--force", container)
                self.assertEqual(os.listdir(place), [])
                self.assert_same_host(before, ignore=["/layers/"])

    def test_volumes_lead_nowhere_else(self):
        victim = self.world.path("victim")
        os.mkdir(victim)
        open(os.path.join(victim, "precious"), "w", encoding="utf-8").close()
        container = self.service()
        # The container has a directory of this name, too, with another file in it.
        self.run_ok("exec", container, "sh", "-c", f"mkdir -p {victim} && touch {victim}/own && rm -r /data /srv/more && ln -s {victim} /data && "
                                                   f"ln -s ../../../../../..{victim} /srv/more")
        self.run_ok("update", "--image", "app:two", container)
        self.assertEqual(os.listdir(victim), ["precious"])
        self.assertEqual(self.inside(container, "sh", "-c", "ls /data /srv/more"), "/data:\nown\n\n/srv/more:\nown")

    def test_what_is_refused(self):
        bundle, container = self.world.bundle(["sleep", "100"]), self.world.new_id()
        self.run_ok("create", "--bundle", bundle, container)
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.refused("Unsupported", "--image", "app:two", container, words=["from a bundle"])
        self.refused("Unsupported", "--rollback", container, words=["from a bundle"])
        self.refused("ContainerNotFound", "--image", "app:two", "nobody")
        created = self.world.new_id()
        self.run_ok("create", "--name", created, "app:one")
        self.addCleanup(self.world.run, "delete", "--force", created)
        self.refused("InvalidState", "--image", "app:two", created, words=["is created"])
        gone = self.service("one", "--rm")
        self.refused("InvalidState", "--image", "app:two", gone, words=["--rm"])
        running = self.service()
        self.refused("ImageNotFound", "--image", "no-such-image", running)
        self.refused("InvalidSpec", "--image", "app:two", "--rollback", running)
        self.refused("InvalidSpec", "--rollback", "--generations", "1", running)
        self.refused("InvalidSpec", "--image", "app:two", "--generations", "x", running)
        self.refused("InvalidSpec", "--image", "app:two", "--l3-cache-schema", "x", running)
        argv = [f"{self.world.binary}-lxc", "--config", self.world.config, "update", "--image", "app:two", running]
        self.assertIn("from bundles", self.world.raw(argv).err)
        with open(self.bundle(running, "request.json"), "r+", encoding="utf-8") as file:
            request = json.load(file)
            del request["source"]
            file.seek(0)
            json.dump(request, file)
            file.truncate()
        self.refused("InvalidState", "--image", "app:two", running, words=["earlier version"])
        self.assertEqual((self.status(running), self.version(running)), ("running", "one"))


@on_backends("lxc")
class Failures(OverImages):
    """A step fails, or the command is killed there: the container has the one root or the other, whole."""

    # Where an update is killed, and at which of its visits there. The second "made" is the old root, of which the
    # declared volumes are copied; six files are exchanged.
    BEFORE = (("update-begun", 1), ("update-made", 1), ("update-stopped", 1), ("update-down", 1), ("update-made", 2), ("update-noted", 1),
              ("update-exchanging", 1), ("update-exchanging", 4), ("update-exchanged", 1))
    AFTER = ("update-committed", "update-started")

    def hold(self, container, place, *words, times=1):
        """Begins an update and kills it where it has stopped itself for the n-th time."""
        process = self.world.popen("update", *words, container, env={"NEXCAGE_TESTPOINT": place}, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for time in range(times):
            if time:
                process.send_signal(signal.SIGCONT)
            state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            if state.si_code != os.CLD_STOPPED:
                self.fail(f"{place} was not reached: {process.stderr.read().decode()}")
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        return process

    def kill_at(self, container, place, *words, times=1):
        process = self.hold(container, place, *words, times=times)
        process.kill()
        process.wait(10)
        process.stderr.close()

    def check(self, container, version, own, earlier):
        """The container is one of its roots, and nothing of another is left but those that are kept."""
        self.run_ok("list")
        self.assertEqual(os.listdir(self.world.path("run/@undo")), [])
        self.assertFalse(os.path.exists(self.bundle(container, "exchange.json")))
        for place in ("update", "former"):
            self.assertFalse(os.path.exists(self.bundle(container, place)))
        self.assertEqual(self.earlier(container), earlier)
        numbers = self.bundle(container, "generations")
        self.assertEqual(len(os.listdir(numbers)) if os.path.isdir(numbers) else 0, 1 if "two" in (version, *earlier) else 0)
        if self.status(container) != "running":
            self.run_ok("start", container)
        self.assertEqual(self.inside(container, "sh", "-c", "cat /version; if test -e /own; then echo own; fi").split(), [version, "own"] if own else [version])
        with open(self.world.path("images/containers", container, "info.json"), encoding="utf-8") as file:
            self.assertIn(f"app:{version}", json.load(file)["image"])

    def test_kill_9_of_an_update_before_its_commit(self):
        before = self.world.snapshot()
        container = self.service()
        self.write(container, "first", "/own", "/data/own")
        for place, times in self.BEFORE:
            with self.subTest(place=place, times=times):
                self.kill_at(container, place, "--image", "app:two", times=times)
                self.check(container, "one", True, [])
        self.assertEqual(self.inside(container, "cat", "/data/own"), "first")
        self.run_ok("update", "--image", "app:two", container)
        self.assertEqual((self.version(container), self.inside(container, "cat", "/data/own")), ("two", "first"))
        self.run_ok("delete", "--force", container)
        self.assert_same_host(before)

    def test_kill_9_after_the_commit(self):
        for place in self.AFTER:
            with self.subTest(place=place):
                before = self.world.snapshot()
                container = self.service()
                self.write(container, "first", "/own")
                self.kill_at(container, place, "--image", "app:two")
                self.check(container, "two", False, ["one"])
                self.run_ok("update", "--rollback", container)
                self.check(container, "one", True, [])
                self.run_ok("delete", "--force", container)
                self.assert_same_host(before)

    def test_kill_9_of_a_rollback(self):
        before = self.world.snapshot()
        container = self.service()
        self.write(container, "first", "/own")
        self.run_ok("update", "--image", "app:two", container)
        for place, times in ("update-noted", 1), ("update-exchanging", 4), ("update-exchanged", 1):
            with self.subTest(place=place, times=times):
                self.kill_at(container, place, "--rollback", times=times)
                self.check(container, "two", False, ["one"])
        # A root goes when the other one runs; until then there is a way back.
        for place, earlier in ("update-committed", ["two"]), ("update-started", ["two"]), ("update-discarding", []):
            with self.subTest(place=place):
                self.kill_at(container, place, "--rollback")
                self.check(container, "one", True, earlier)
                self.run_ok("update", "--image", "app:two", container)
                self.assertEqual(self.earlier(container), ["one"])
        self.run_ok("delete", "--force", container)
        self.assert_same_host(before)

    def test_the_machine_goes_down_in_the_middle(self):
        container = self.service("one", "--raw", "ext4", "--storage-size", "64m")
        self.write(container, "first", "/own")
        self.run_ok("stop", container)
        self.kill_at(container, "update-layers", "--image", "app:three")
        left = self.bundle(container, "update")
        self.assertTrue(os.path.isdir(left))
        self.world.reboot(container)
        self.run_ok("list")
        self.assertFalse(os.path.exists(left))
        self.check(container, "one", True, [])
        self.run_ok("update", "--image", "app:two", container)
        self.check(container, "two", False, ["one"])

    def test_files_that_cannot_be_replaced(self):
        """The exchange fails in its middle, and goes back."""
        container = self.service()
        self.write(container, "first", "/own")
        for file in (self.bundle(container, "config.json"), self.bundle(container, "request.json"),
                     self.world.path("images/containers", container, "info.json")):
            with self.subTest(file=os.path.basename(file)):
                if subprocess.run(["chattr", "+i", file], capture_output=True, check=False).returncode:
                    self.skipTest("needs a file system with immutable files")
                try:
                    answer = self.world.run("update", "--image", "app:two", container)
                finally:
                    subprocess.run(["chattr", "-i", file], check=True)
                self.assertEqual(answer.code, 1, str(answer))
                # A start writes info.json, too.
                self.assertEqual(self.status(container), "stopped" if file.endswith("info.json") else "running")
                self.check(container, "one", True, [])
        self.run_ok("update", "--image", "app:two", container)
        self.assertEqual(self.version(container), "two")

    def test_without_conmon_it_runs_on_with_its_old_root(self):
        container = self.service()
        self.write(container, "first", "/own")
        self.world.write_config(extra='[monitor]\nconmon = "/no/such/conmon"\n')
        self.addCleanup(self.world.write_config)
        self.refused("RuntimeNotAvailable", "--image", "app:two", container, words=["conmon"])
        self.world.write_config()
        self.assertEqual(self.status(container), "running")
        self.check(container, "one", True, [])

    def test_without_a_root_that_starts_the_old_one_stays_even_if_none_is_kept(self):
        container = self.service()
        self.write(container, "first", "/own")
        self.kill_at(container, "update-committed", "--image", "app:two", "--generations", "0")
        self.check(container, "two", False, ["one"])
        self.run_ok("update", "--rollback", container)
        self.check(container, "one", True, [])

    def test_no_other_command_comes_between(self):
        container = self.service()
        process = self.hold(container, "update-down", "--image", "app:two")
        for words in ("update", "--image", "app:two"), ("update", "--rollback"), ("start",), ("delete",), ("delete", "--force"):
            with self.subTest(words=words):
                self.assertNotEqual(self.world.run(*words, container).code, 0)
        self.assertIn(container, self.run_ok("list").out)
        process.send_signal(signal.SIGCONT)
        self.assertEqual(process.wait(60), 0)
        process.stderr.close()
        self.assertEqual((self.status(container), self.version(container)), ("running", "two"))


if __name__ == "__main__":
    unittest.main()
