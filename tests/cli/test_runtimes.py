"""Containers on crun and runc, the real binaries: nexcage-crun and nexcage-runc."""
import contextlib
import json
import os
import subprocess
import unittest

import runtimes
import subreaper
import support

POINTS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]


@runtimes.both
class LifeCycle(runtimes.OverRuntime):
    def test_life_cycle(self):
        before = self.world.snapshot()
        pid_file = self.world.path("pid")
        container = self.create(self.bundle, "--pid-file", pid_file)
        state = self.state(container)
        self.assertEqual((state["id"], state["status"], state["bundle"]), (container, "created", self.bundle))
        with open(pid_file, encoding="utf-8") as file:
            self.assertEqual(int(file.read()), state["pid"])
        self.rt_ok("start", container)
        # `start` returns when the runtime's init goes on, which is just before it becomes the process.
        support.wait_for(lambda: support.arguments(state["pid"]) == ["sleep", "100"], what="the process of this pid")
        self.assertEqual(self.state(container)["status"], "running")
        self.assertEqual(self.rt_ok("ps", "--format", "json", container).json(), [state["pid"]])
        self.assertEqual([c["id"] for c in self.rt_ok("list", "--format", "json").json()], [container])
        self.rt_ok("pause", container)
        self.assertEqual(self.state(container)["status"], "paused")
        self.assertNotEqual(self.rt("exec", container, "true").code, 0)
        self.rt_ok("resume", container)
        self.assertEqual(self.state(container)["status"], "running")
        self.assertEqual(self.rt("start", container).code, 1)
        self.assertEqual(self.rt("delete", container).code, 1, "a running container needs --force")
        self.rt_ok("kill", container, "KILL")
        support.wait_for(lambda: self.state(container)["status"] == "stopped")
        self.assertEqual(self.rt("kill", container, "TERM").code, 1)
        self.rt_ok("delete", container)
        self.assertEqual(self.rt("state", container).code, 1)
        self.rt_ok("delete", "--force", container)
        os.unlink(pid_file)
        self.assert_same_host(before)

    def test_a_paused_container_can_be_removed(self):
        before = self.world.snapshot()
        container = self.started()
        self.rt_ok("pause", container)
        self.rt_ok("delete", "--force", container)
        self.assert_same_host(before)

    def test_kill_ends_a_paused_container(self):
        container = self.started()
        self.rt_ok("pause", container)
        self.rt_ok("kill", container, "9")
        support.wait_for(lambda: self.state(container)["status"] == "stopped")

    def test_kill_all_reaches_every_process(self):
        container = self.started("sh", "-c", "sleep 100 & exec sleep 100")
        pids = support.wait_for(lambda: (p := self.rt_ok("ps", "--format", "json", container).json()) and len(p) == 2 and p)
        self.rt_ok("kill", "--all", container, "9")
        support.wait_for(lambda: all(support.stopped(p) for p in pids))

    def test_crun_is_spared_its_second_start(self):
        if self.runtime != "crun":
            self.skipTest("runc is too large to be copied")
        seen = self.world.path("seen")
        bundle = self.world.bundle(["true"], hooks={"createRuntime": [
            {"path": "/bin/sh", "args": ["sh", "-c", f"readlink /proc/$PPID/exe > {seen}"]}]})
        self.create(bundle)
        with open(seen, encoding="utf-8") as file:
            self.assertEqual(file.read(), "/memfd:crun (deleted)\n")

    def test_state_and_kill_never_run_the_binary(self):
        self.wrapped()
        container = self.started()
        self.rt_ok("state", container)
        self.rt_ok("list")
        self.rt_ok("ps", container)
        self.rt_ok("kill", container, "WINCH")
        self.rt_ok("kill", container, "KILL")
        support.wait_for(lambda: self.state(container)["status"] == "stopped")
        self.rt_ok("delete", container)
        self.assertEqual([words[0] for words in self.called()], ["--version", "create", "start", "delete"])

    def test_options_are_handed_on(self):
        self.wrapped()
        with open(self.world.path("given"), "w+", encoding="utf-8") as file:
            os.dup2(file.fileno(), 3, inheritable=True) if file.fileno() != 3 else os.set_inheritable(3, True)
            bundle = self.world.bundle(["sh", "-c", "echo through >&3; exec sleep 100"])
            container = self.create(bundle, "--preserve-fds", "1", "--no-pivot", "--no-new-keyring", "--pid-file",
                                    self.world.path("pid"), pass_fds=(3,))
            self.rt_ok("start", container)
            support.wait_for(lambda: os.path.getsize(self.world.path("given")) > 0)
        create = self.called()[1]
        self.assertEqual(create, ["create", "--bundle", bundle, "--pid-file", self.world.path("pid"), "--preserve-fds",
                                  "1", "--no-pivot", "--no-new-keyring", container])

    def test_descriptors_and_environment_reach_the_binary(self):
        """conmon's _OCI_SYNCPIPE and what else a caller leaves open are there as under the bare binary."""
        out = self.world.path("seen")
        with open(self.wrapper, encoding="utf-8") as file:
            text = file.read()
        self.wrapped()
        with open(self.wrapper, "w", encoding="utf-8") as file:
            file.write(text.replace("exec ", f'case "$*" in *create*) echo "$_OCI_SYNCPIPE" > {out}; '
                                             f'readlink /proc/$$/fd/5 >> {out};; esac\nexec '))
        self.addCleanup(self.restore_wrapper, text)
        read, write = os.pipe()
        try:
            os.dup2(write, 5, inheritable=True)
            self.create(self.bundle, env={"_OCI_SYNCPIPE": "5"}, pass_fds=(5,))
        finally:
            os.close(read)
            os.close(write)
        with open(out, encoding="utf-8") as file:
            said = file.read().split()
        self.assertEqual(said[0], "5")
        self.assertTrue(said[1].startswith("pipe:"), said)

    def restore_wrapper(self, text):
        with open(self.wrapper, "w", encoding="utf-8") as file:
            file.write(text)

    def test_the_spec_is_not_touched(self):
        with open(os.path.join(self.bundle, "config.json"), "rb") as file:
            text = file.read()
        container = self.create(self.bundle)
        with open(self.world.path("run", container, "config.json"), "rb") as file:
            self.assertEqual(file.read(), text)
        with open(os.path.join(self.bundle, "config.json"), "rb") as file:
            self.assertEqual(file.read(), text)

    def test_the_callers_subreaper_gets_the_exit_status(self):
        bundle, container = self.world.bundle(["sh", "-c", "sleep 0.2; exit 42"]), self.world.new_id()
        answer = subreaper.exit_status(self.world, self.binary, bundle, container)
        self.addCleanup(self.rt, "delete", "--force", container)
        self.assertEqual((answer.code, answer.out), (0, "42\n"), str(answer))

    def test_run_in_the_foreground_and_detached(self):
        bundle = self.world.bundle(["sh", "-c", "echo in bundle; exit 3"])
        answer = self.rt("run", "--bundle", bundle, self.world.new_id())
        self.assertEqual((answer.code, answer.out), (3, "in bundle\n"), str(answer))
        container = self.world.new_id()
        self.rt_ok("run", "--detach", "--bundle", self.bundle, container)
        self.assertEqual(self.state(container)["status"], "running")
        self.rt_ok("delete", "--force", container)

    def test_hooks_run_exactly_once(self):
        out = self.world.path("hooks.log")
        # Only startContainer hooks see the container's files: a bind mount takes the log in.
        hook = lambda point: {"path": "/bin/sh", "env": ["PATH=/bin:/usr/bin"], "args": [
            "sh", "-c", f"cat > /dev/null; echo {point} >> " + ("/mnt/hooks.log" if point == "startContainer" else out)]}
        container = self.create(self.world.bundle(["sleep", "100"], hooks={p: [hook(p)] for p in POINTS}, mounts=[
            {"destination": "/mnt", "type": "bind", "source": self.world.dir, "options": ["bind"]}]))
        self.rt_ok("start", container)
        support.wait_for(lambda: "poststart" in self.points(out))
        self.rt_ok("delete", "--force", container)
        self.assertEqual(sorted(self.points(out)), sorted(POINTS))
        os.unlink(out)

    @staticmethod
    def points(file):
        with open(file, encoding="utf-8") as text:
            return [line.strip() for line in text if line.strip() in POINTS]

    def test_a_failing_hook_leaves_nothing(self):
        before = self.world.snapshot()
        bundle = self.world.bundle(["true"], hooks={"createRuntime": [{"path": "/bin/false"}]})
        answer = self.rt("create", "--bundle", bundle, self.world.new_id())
        self.assertEqual(answer.code, 1, str(answer))
        self.assertIn("HookError", self.log_of("create", "--bundle", bundle, self.world.new_id())["code"])
        self.assert_same_host(before)

    def log_of(self, *args):
        log = self.world.path("oci-log")
        if os.path.exists(log):
            os.unlink(log)
        answer = self.rt("--log", log, "--log-format", "json", *args)
        self.assertNotEqual(answer.code, 0, str(answer))
        with open(log, encoding="utf-8") as file:
            return json.loads(file.read().splitlines()[-1])

    def test_the_reason_of_a_failure_is_ours(self):
        """Podman maps the words of the message to 127 and 126; the exit status is a failing runtime's."""
        before = self.world.snapshot()
        for command, words in (("/no/such", "no such file or directory"), ("nosuch", "not found"),
                               ("/bin", "permi"), ("/etc/plain", "permission denied")):
            with self.subTest(command=command):
                bundle = self.world.bundle([command])
                os.makedirs(os.path.join(bundle, "rootfs/etc"), exist_ok=True)
                with open(os.path.join(bundle, "rootfs/etc/plain"), "w", encoding="utf-8") as file:
                    file.write("x")
                record = self.log_of("create", "--bundle", bundle, self.world.new_id())
                self.assertEqual((record["level"], record["code"]), ("error", "RuntimeError"))
                self.assertIn(words, record["msg"].lower())
                self.assertEqual(self.rt("create", "--bundle", bundle, self.world.new_id()).code, 1)
        self.assert_same_host(before)

    def test_a_missing_binary_is_named_with_its_package(self):
        self.addCleanup(self.world.write_config)
        self.world.write_config(extra=f'[runtime.{self.runtime}]\npath = "/nonexistent/{self.runtime}"\n')
        record = self.log_of("create", "--bundle", self.bundle, self.world.new_id())
        self.assertEqual(record["code"], "RuntimeNotAvailable")
        self.assertIn(f"install the package {self.runtime}", json.dumps(record))

    def test_another_config_file(self):
        other = self.world.path("other.json")
        with open(other, "w", encoding="utf-8") as file:
            json.dump(support.spec_of(["echo", "other"]), file)
        answer = self.rt("run", "-f", other, "--bundle", self.bundle, self.world.new_id())
        self.assertEqual((answer.code, answer.out), (0, "other\n"), str(answer))
        container = self.world.new_id()
        self.rt_ok("create", "-f", other, "--bundle", self.bundle, container)
        self.assertEqual(self.state(container)["bundle"], self.bundle)
        self.rt_ok("delete", "--force", container)

    def test_a_bundle_by_another_path(self):
        link = self.world.path("link-to-bundle")
        os.symlink(self.world.bundle(["echo", "linked"]), link)
        answer = self.rt("run", "--bundle", link, self.world.new_id())
        self.assertEqual((answer.code, answer.out), (0, "linked\n"), str(answer))

    def test_a_failure_is_told_once(self):
        """The binary writes its reason to standard error itself."""
        bundle = self.world.bundle(["nosuch"])
        answer = self.rt("create", "--bundle", bundle, self.world.new_id())
        self.assertEqual((answer.code, answer.err.count("nosuch")), (1, 1), str(answer))
        self.assertIn("nosuch", self.log_of("create", "--bundle", bundle, self.world.new_id())["msg"])

    def test_features_say_what_the_binary_says_of_systemd(self):
        bare = self.world.raw([self.runtime, "features"])
        if bare.code == 0:
            there = bare.json()["linux"]["cgroup"].get("systemd", False)
        else:
            there = "+SYSTEMD" in self.world.raw([self.runtime, "--version"]).out
        self.assertEqual(self.rt_ok("features").json()["linux"]["cgroup"]["systemd"], there)

    def test_checkpoint_help_says_what_the_binary_can(self):
        """Podman tries it before `podman container checkpoint`."""
        for verb in ("checkpoint", "restore"):
            bare = self.world.raw([self.runtime, verb, "--help"]).code
            self.assertEqual(self.rt(verb, "--help").code == 0, bare == 0, verb)


@runtimes.both
class WithoutCgroups(runtimes.OverRuntime):
    """A container that has no cgroup of its own is in its caller's: nothing may be done to that."""

    @classmethod
    def prepare(cls):
        super().prepare()
        if cls.runtime != "crun":
            raise unittest.SkipTest("runc has no --cgroup-manager disabled")

    def setUp(self):
        super().setUp()
        hierarchy = next((d for d in ("/sys/fs/cgroup/freezer", "/sys/fs/cgroup") if os.path.exists(d + "/cgroup.procs")),
                         None)
        if hierarchy is None:
            self.skipTest("this host has neither the freezer controller nor cgroup version 2")
        self.ours = os.path.join(hierarchy, self.world.token + "-caller")
        os.mkdir(self.ours)
        self.addCleanup(support.wait_for, self.removed)

    def removed(self):
        with contextlib.suppress(OSError):
            os.rmdir(self.ours)
        return not os.path.exists(self.ours)

    def inside(self, *args):
        """Runs it from within a cgroup of its own."""
        return self.world.raw(["sh", "-c", 'echo $$ > "$0"/cgroup.procs; exec "$@"', self.ours, *args])

    def test_nothing_is_done_to_the_callers(self):
        bystander = subprocess.Popen(["sh", "-c", 'echo $$ > "$0"/cgroup.procs; exec sleep 100', self.ours])
        self.addCleanup(bystander.wait)
        self.addCleanup(bystander.kill)
        container = self.world.new_id()
        answer = self.inside(*self.argv("--cgroup-manager", "disabled", "run", "--detach", "--bundle", self.bundle,
                                        container))
        self.addCleanup(self.rt, "delete", "--force", container)
        if answer.code and "cgroup" in answer.err:
            self.skipTest(f"crun runs nothing without cgroups here: {answer.err.strip()}")
        self.assertEqual(answer.code, 0, str(answer))
        pid = self.state(container)["pid"]
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            self.assertIn(os.path.basename(self.ours), file.read(), "the container is where its caller is")
        for words in (("kill", "--all", container, "KILL"), ("ps", container), ("events", "--stats", container)):
            answer = self.rt(*words)
            self.assertEqual(answer.code, 1, str(answer))
            self.assertIn("has no control group of its own", answer.err)
        self.assertEqual(self.state(container)["status"], "running")
        self.assertIsNone(bystander.poll())
        self.rt_ok("kill", container, "KILL")
        support.wait_for(lambda: self.state(container)["status"] == "stopped")
        self.rt_ok("delete", container)
        self.assertIsNone(bystander.poll())


if __name__ == "__main__":
    unittest.main()
