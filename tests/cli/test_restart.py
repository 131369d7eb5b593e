"""`start` of a container that was made from an image and has ended: it runs again, with what it wrote."""
import contextlib
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

import support

# Each run adds a line to a file and to the log, then serves until it is stopped.
SERVICE = ("sh", "-c", "echo run >> /data; echo run $(wc -l < /data); trap 'exit 5' TERM; while :; do sleep 0.05; done")


def on_backends(*backends):
    """Class decorator: the same tests over these backends, crun and runc where they are installed."""

    def multiply(cls):
        module = sys.modules[cls.__module__]
        for backend in backends:
            name = cls.__name__ + backend.capitalize()
            made = type(name, (cls, support.Case), {"backend": backend, "__module__": cls.__module__})
            if backend != "lxc":
                made = unittest.skipUnless(shutil.which(backend), f"needs the package {backend}")(made)
            setattr(module, name, support.needs_root(made))
        return cls

    return multiply


class OverBackend:
    backend = ""

    @classmethod
    def setUpClass(cls):
        if cls.backend == "crun":
            cls.enterClassContext(support.crun_can_run())
        super().setUpClass()

    @classmethod
    def prepare(cls):
        cls.image = cls.world.import_image()
        # What stays on the host from the first container on: directories of runtimes, prepared layers.
        answer = cls.world.run("run", "-d", "--runtime", cls.backend, "--name", "first", cls.image, "true")
        if answer.code != 0:
            raise AssertionError(str(answer))
        cls.world.run("delete", "--force", "first")

    def made(self, verb, *command, options=()):
        container = self.world.new_id()
        self.run_ok(verb, "--runtime", self.backend, "--name", container, *options, self.image, *command)
        self.addCleanup(self.world.run, "delete", "--force", container)
        return container

    def detach(self, *command, options=()):
        return self.made("run", *(command or SERVICE), options=["-d", *options])

    def bundle(self, container, *names):
        return self.world.path("containers", container, *names)

    def lines(self, container):
        return self.run_ok("logs", container).out.splitlines()

    def started(self, container, line):
        """Runs, and has written this line."""
        support.wait_for(lambda: line in self.lines(container), what=line)

    def ended(self, container):
        support.wait_for(lambda: self.status(container) == "stopped", what="the end of " + container)
        self.run_ok("wait", container)

    def edit_config(self, container, **changes):
        """What nexcage itself writes into the bundle is changed by hand."""
        with open(self.bundle(container, "config.json"), encoding="utf-8") as file:
            spec = json.load(file)
        spec.update(changes)
        with open(self.bundle(container, "config.json"), "w", encoding="utf-8") as file:
            json.dump(spec, file)


@on_backends("lxc", "crun", "runc")
class Restart(OverBackend):
    def test_a_service_runs_again_with_what_it_wrote(self):
        before = self.world.snapshot()
        container = self.detach(options=["--hostname", "box", "--memory", "64m"])
        created = self.run_ok("state", container).json()["created"]
        for run in (1, 2, 3):
            self.started(container, f"run {run}")
            state = self.run_ok("state", container).json()
            self.assertEqual((state["status"], state["created"]), ("running", created))
            with open(self.bundle(container, "pid"), encoding="utf-8") as file:
                self.assertEqual(int(file.read()), state["pid"])
            self.assertEqual(self.run_ok("exec", container, "hostname").out.strip(), "box")
            self.assertEqual(self.run_ok("exec", container, "wc", "-l", "/data").out.split()[0], str(run))
            mine = [c for c in self.run_ok("ps", "--format", "json").json() if c["id"] == container][0]
            self.assertEqual((mine["status"], mine["pid"], mine["image"]), ("running", state["pid"], state["annotations"]["org.nexcage.image"]))
            answer, records = self.world.logged("start", container)
            self.assert_error(answer, records, "InvalidState", 1, "is running")
            self.assertEqual(self.run_ok("state", container).json()["pid"], state["pid"], "and it goes on")
            self.run_ok("stop", container)
            self.assertEqual(self.run_ok("wait", container).out, "5\n")
            self.assertEqual(self.status(container), "stopped")
            if run < 3:
                self.run_ok("start", container)
        self.assertEqual(self.lines(container), ["run 1", "run 2", "run 3"], "the log goes on")
        self.run_ok("delete", container)
        self.assert_same_host(before)

    def test_one_that_has_ended_by_itself(self):
        container = self.detach("sh", "-c", "test -e /seen && exit 7; touch /seen; exit 3")
        self.assertEqual(self.run_ok("wait", container).out, "3\n")
        self.run_ok("start", container)
        self.assertEqual(self.run_ok("wait", container).out, "7\n")

    def test_wait_waits_for_the_new_run(self):
        container = self.detach("sh", "-c", "test -e /seen && sleep 0.5 && exit 7; touch /seen; exit 3")
        self.ended(container)
        self.run_ok("start", container)
        self.assertEqual(self.run_ok("wait", container).out, "7\n")

    def test_a_created_container_is_started_as_ever_and_again_under_conmon(self):
        container = self.made("create", *SERVICE)
        self.run_ok("start", container)
        support.wait_for(lambda: self.world.run("exec", container, "cat", "/data").out == "run\n")
        self.run_ok("stop", container)
        self.assertNotEqual(self.world.run("logs", container).code, 0)
        self.run_ok("start", container)
        self.started(container, "run 2")
        self.run_ok("stop", container)
        self.assertEqual(self.run_ok("wait", container).out, "5\n")

    def test_one_that_ran_in_the_foreground(self):
        container = self.world.new_id()
        self.addCleanup(self.world.run, "delete", "--force", container)
        answer = self.world.run("run", "--runtime", self.backend, "--name", container, "-e", "WORD=x", self.image,
                                "sh", "-c", "echo $WORD >> /data; cat /data; exit $(wc -l < /data)")
        self.assertEqual((answer.code, answer.out), (1, "x\n"))
        self.run_ok("start", container)
        self.assertEqual(self.run_ok("wait", container).out, "2\n")
        self.assertEqual(self.lines(container), ["x", "x"])

    def test_options_of_the_first_run_count_again(self):
        pid_file, shared = self.world.path("given.pid"), self.world.path("shared")
        os.mkdir(shared)
        os.chmod(shared, 0o777)
        container = self.detach("sh", "-c", "echo $A $(id -u) $(pwd) >> /shared/out; exec sleep 100", options=[
            "--pid-file", pid_file, "-e", "A=b", "--user", "user", "--workdir", "/home", "-v", f"{shared}:/shared",
            "--pids-limit", "50", "--no-new-keyring"])
        out = os.path.join(shared, "out")
        for run in (1, 2):
            if run == 2:
                self.run_ok("kill", container, "KILL")
                self.ended(container)
                os.unlink(pid_file)
                self.run_ok("start", container)
            wanted = "b 1000 /home\n" * run
            support.wait_for(lambda: os.path.exists(out) and open(out, encoding="utf-8").read() == wanted, what=wanted)
            with open(pid_file, encoding="utf-8") as file:
                self.assertEqual(int(file.read()), self.run_ok("state", container).json()["pid"])
        os.unlink(pid_file)

    def test_what_was_written_in_memory_is_new(self):
        container = self.detach("sh", "-c", "test ! -e /seen || exit 9; touch /seen; exit 4", options=["--tmpfs-upper", "1m"])
        for _ in range(2):
            self.assertEqual(self.run_ok("wait", container).out, "4\n")
            self.run_ok("start", container)

    def test_storage_in_a_directory(self):
        place = self.world.path("place")
        os.mkdir(place)
        container = self.detach(options=["--annotation", f"proxmox.storage=dir:{place}"])
        self.started(container, "run 1")
        self.run_ok("stop", container)
        self.run_ok("start", container)
        self.started(container, "run 2")
        self.run_ok("delete", "--force", container)
        self.assertEqual(os.listdir(place), [])

    def test_each_layerfs_driver_keeps_its_storage(self):
        for driver in ("erofs", "overlay", "copy"):
            with self.subTest(driver=driver):
                container = self.detach("sh", "-c", "cat /etc/passwd > /copied; rm /etc/group; mv /home /moved; mkdir /home; exec sleep 100",
                                        options=["--layerfs", driver])
                support.wait_for(lambda: self.world.run("exec", container, "test", "-d", "/moved").code == 0)
                self.run_ok("kill", container, "KILL")
                self.ended(container)
                # Whatever is configured by now.
                self.edit_config(container, annotations={})
                self.run_ok("start", container)
                self.run_ok("exec", container, "cmp", "/etc/passwd", "/copied")
                self.assertEqual(self.world.run("exec", container, "test", "-e", "/etc/group").code, 1)
                self.run_ok("delete", "--force", container)

    def test_with_a_user_namespace(self):
        if self.backend == "crun":
            self.skipTest("crun 1.8 on a hybrid host makes no cgroup for it")
        container = self.detach(options=["--uidmap", "0:100000:65536"])
        self.started(container, "run 1")
        self.run_ok("stop", container)
        self.run_ok("start", container)
        self.started(container, "run 2")
        self.assertEqual(self.run_ok("exec", container, "stat", "-c", "%u", "/data").out, "0\n")

    def test_a_terminal(self):
        container = self.detach("sh", "-c", "tty; echo run >> /data; exec sleep 100", options=["-t"])
        for run in (1, 2):
            support.wait_for(lambda: len(self.lines(container)) == run and "/dev/" in self.lines(container)[-1])
            self.run_ok("kill", container, "KILL")
            self.ended(container)
            if run == 1:
                self.run_ok("start", container)

    def test_a_terminal_that_was_in_the_foreground(self):
        container = self.world.new_id()
        self.addCleanup(self.world.run, "delete", "--force", container)
        master, slave = pty.openpty()
        process = self.world.popen("run", "--runtime", self.backend, "-it", "--name", container, self.image,
                                   "sh", "-c", "tty; test -e /seen && exec sleep 100; touch /seen", stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.assertEqual(process.wait(30), 0)
        os.close(master)
        self.run_ok("start", container)
        support.wait_for(lambda: "/dev/" in "".join(self.lines(container)))
        self.assertEqual(self.status(container), "running", "its input is open, though nobody writes")

    def test_hooks_of_both_ends_run_for_each_run(self):
        container = self.detach()
        self.run_ok("stop", container)
        out = self.world.path(container + ".hooks")
        # crun dies of SIGPIPE when a hook ends without having read the state.
        self.edit_config(container, hooks={
            point: [{"path": "/bin/sh", "args": ["sh", "-c", f"cat > /dev/null; echo {point} >> {out}"]}]
            for point in ("createRuntime", "poststart", "poststop")})
        seen = lambda: open(out, encoding="utf-8").read().split()
        self.run_ok("start", container)
        self.assertEqual(seen(), ["createRuntime", "poststart"])
        self.run_ok("stop", container)
        self.assertEqual(seen(), ["createRuntime", "poststart"])
        self.run_ok("start", container)
        self.assertEqual(seen(), ["createRuntime", "poststart", "poststop", "createRuntime", "poststart"])
        self.run_ok("delete", "--force", container)
        self.assertEqual(seen()[5:], ["poststop"])

    def test_containers_from_bundles_run_once(self):
        bundle, container = self.world.bundle(["true"]), self.world.new_id()
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.run_ok("create", "--runtime", self.backend, "--bundle", bundle, container)
        self.run_ok("start", container)
        support.wait_for(lambda: self.status(container) == "stopped")
        answer, records = self.world.logged("start", container)
        self.assert_error(answer, records, "InvalidState", 1, "is stopped")

    def test_a_name_for_engines_restarts_nothing(self):
        container = self.detach("true")
        self.ended(container)
        argv = [f"{self.world.binary}-{self.backend}", "--config", self.world.config, "start", container]
        answer = self.world.raw(argv)
        self.assertEqual(answer.code, 1)
        self.assertIn("is stopped", answer.err)
        self.assertEqual(self.status(container), "stopped")

    def test_one_made_with_rm_goes_at_the_end_of_the_new_run(self):
        container = self.detach("sleep", "100", options=["--rm"])
        # conmon is gone, and with it who would have removed the container.
        with open(self.bundle(container, "conmon.pid"), encoding="utf-8") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        self.run_ok("kill", container, "KILL")
        support.wait_for(lambda: self.status(container) == "stopped")
        self.run_ok("start", container)
        self.assertEqual(self.status(container), "running")
        self.run_ok("kill", container, "KILL")
        support.wait_for(lambda: self.world.run("state", container).code == 1)

    def test_restart_is_stop_and_start(self):
        container = self.detach()
        self.started(container, "run 1")
        pid = self.run_ok("state", container).json()["pid"]
        self.run_ok("restart", "--time", "20", container)
        self.started(container, "run 2")
        self.assertNotEqual(self.run_ok("state", container).json()["pid"], pid)
        self.run_ok("stop", container)
        self.run_ok("restart", container)
        self.started(container, "run 3")


@on_backends("lxc")  # what is killed and undone is the same code on each
class Failures(OverBackend):
    """Whatever goes wrong, the container is a stopped one with its data, or runs."""

    @classmethod
    def prepare(cls):
        super().prepare()
        cls.network = "none"

    def stopped_service(self, *options):
        container = self.detach(options=options)
        self.started(container, "run 1")
        self.run_ok("stop", container)
        return container

    def check_stopped(self, container, before):
        """Stopped, its data there, nothing of a run left; it starts and goes as if nothing had been."""
        self.assertEqual(self.status(container), "stopped")
        listed = self.run_ok("list", "--format", "json").json()
        self.assertEqual([c["status"] for c in listed if c["id"] == container], ["stopped"])
        self.assertIn(container, self.run_ok("ps").out)
        mounts = open("/proc/self/mountinfo", encoding="utf-8").read()
        self.assertNotIn(self.bundle(container), mounts)
        self.assertEqual([g for g in support.cgroups(container) if os.path.isdir(g)], [])
        self.assertEqual(os.listdir(self.world.path("run/@undo")), [])
        self.run_ok("start", container)
        self.started(container, "run 2")
        self.run_ok("delete", "--force", container)
        self.assert_same_host(before)

    def refused(self, container, code, *words):
        answer, records = self.world.logged("start", container)
        self.assert_error(answer, records, code, 1, *words)

    def test_a_failing_hook(self):
        before = self.world.snapshot()
        container = self.stopped_service()
        with open(self.bundle(container, "config.json"), encoding="utf-8") as file:
            hooks = json.load(file).get("hooks", {})
        for point in ("createRuntime", "createContainer", "startContainer"):
            with self.subTest(point=point):
                self.edit_config(container, hooks={point: [{"path": "/bin/false"}]})
                answer = self.world.run("start", container)
                self.assertEqual(answer.code, 1, str(answer))
                self.assertEqual(self.status(container), "stopped")
        self.edit_config(container, hooks=hooks)
        # The last one ended when it was started: as a container that has ended, its mounts are there.
        self.run_ok("start", container)
        self.started(container, "run 2")
        self.run_ok("delete", "--force", container)
        self.assert_same_host(before)

    def test_a_command_that_is_gone(self):
        container = self.detach("sh", "-c", "cp /bin/busybox /busybox-kept; exec sleep 100")
        support.wait_for(lambda: self.world.run("exec", container, "test", "-x", "/busybox-kept").code == 0)
        self.run_ok("kill", container, "KILL")
        self.ended(container)
        with open(self.bundle(container, "config.json"), encoding="utf-8") as file:
            process = json.load(file)["process"]
        self.edit_config(container, process={**process, "args": ["/no-such-command"]})
        answer = self.world.run("start", container)
        self.assertEqual(answer.code, 1, str(answer))
        self.assertIn("no-such-command", answer.err)
        support.wait_for(lambda: self.status(container) == "stopped")
        self.edit_config(container, process={**process, "args": ["/busybox-kept", "sleep", "100"]})
        self.run_ok("start", container)
        self.assertEqual(self.status(container), "running")

    def test_without_conmon_nothing_is_touched(self):
        before = self.world.snapshot()
        container = self.stopped_service()
        self.world.write_config(extra='[monitor]\nconmon = "/no/such/conmon"\n')
        self.addCleanup(self.world.write_config)
        self.refused(container, "RuntimeNotAvailable", "conmon")
        self.world.write_config()
        self.assertEqual(self.run_ok("wait", container).out, "5\n", "the former run's code is kept")
        self.run_ok("start", container)
        self.started(container, "run 2")
        self.run_ok("delete", "--force", container)
        self.assert_same_host(before)

    def test_its_image_cannot_be_removed_and_by_force_only_the_start_fails(self):
        image = self.world.import_image(name="own" + self.world.new_id(), layers=[support.Tar().add("own", data=os.urandom(64)).finish()])
        container = self.world.new_id()
        self.run_ok("run", "-d", "--runtime", self.backend, "--name", container, image, *SERVICE)
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.started(container, "run 1")
        self.run_ok("stop", container)
        self.assertNotEqual(self.world.run("image", "remove", image).code, 0)
        self.run_ok("image", "remove", "--force", image)
        self.refused(container, "ImageNotFound")
        self.assertEqual(self.status(container), "stopped")
        self.assertEqual(self.run_ok("wait", container).out, "5\n")
        self.run_ok("delete", container)

    def test_storage_that_is_gone(self):
        container = self.stopped_service()
        shutil.rmtree(self.bundle(container, "upper"))
        answer = self.world.run("start", container)
        self.assertEqual(answer.code, 1, str(answer))
        self.assertEqual(self.status(container), "stopped")
        self.run_ok("delete", container)

    def test_a_bundle_of_another_boot(self):
        container = self.stopped_service()
        with open(self.bundle(container, "owner"), "r+", encoding="utf-8") as file:
            text = file.read().splitlines()
            file.seek(0)
            file.write(f"{text[0]}\n{'0' * len(text[1])}\n")
        self.refused(container, "InvalidState", "reached the disk")
        self.run_ok("delete", container)

    def test_two_at_once(self):
        container = self.stopped_service()
        started = [self.world.popen("start", container, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL) for _ in range(4)]
        self.assertEqual(sorted(p.wait(60) for p in started), [0, 1, 1, 1])
        self.started(container, "run 2")
        self.assertEqual(self.lines(container), ["run 1", "run 2"])
        self.run_ok("stop", container)

    def hold(self, container, place, victim):
        """Starts it and waits until nexcage has stopped itself there; returns the command and who is to be killed."""
        command = self.world.popen("start", container, env={"NEXCAGE_TESTPOINT": place}, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pid = support.wait_for(support.halted_nexcage, what=place)
        self.assertEqual(pid == command.pid, victim == "start", support.arguments(pid))
        return command, pid

    def test_kill_9_of_the_creation_at_each_phase(self):
        places = [f"phase-{n}" for n in range(1, 10)]
        places += ["lxc-helper-started", "lxc-init-started"] if self.backend == "lxc" else ["oci-started", "oci-created"]
        for place in places:
            with self.subTest(place=place):
                before = self.world.snapshot()
                container = self.stopped_service()
                command, pid = self.hold(container, place, "create")
                os.kill(pid, signal.SIGKILL)
                self.assertEqual(command.wait(60), 1)
                if place == "phase-1":
                    # Nothing of the former run was touched yet.
                    self.run_ok("start", container)
                    self.started(container, "run 2")
                    self.run_ok("delete", "--force", container)
                    self.assert_same_host(before)
                else:
                    self.check_stopped(container, before)

    def test_kill_9_of_the_start(self):
        for place in ("start-made", "start-done"):
            with self.subTest(place=place):
                before = self.world.snapshot()
                container = self.stopped_service()
                command, pid = self.hold(container, place, "start")
                os.kill(pid, signal.SIGKILL)
                command.wait(60)
                support.wait_for(lambda: self.status(container) == "stopped")
                self.assertEqual(self.run_ok("wait", container).out, "137\n")
                self.run_ok("start", container)
                runs = 2 if place == "start-made" else 3
                support.wait_for(lambda: self.lines(container)[-1] in ("run 2", f"run {runs}"))
                self.run_ok("delete", "--force", container)
                self.assert_same_host(before)

    def test_kill_9_of_the_start_while_it_is_being_created(self):
        """Nobody is there to start it any more: the creation takes itself back, or the next command ends it."""
        for place, recovered in (("phase-3", True), ("phase-9", True), ("phase-9", False)):
            with self.subTest(place=place, recovered=recovered):
                before = self.world.snapshot()
                container = self.stopped_service()
                command, pid = self.hold(container, place, "create")
                command.kill()
                command.wait(60)
                if recovered:
                    self.run_ok("list")
                os.kill(pid, signal.SIGCONT)
                support.wait_for(lambda: support.stopped(pid), what="the end of the creation")
                support.wait_for(lambda: self.status(container) == "stopped")
                support.wait_for(lambda: "conmon" not in support.processes().values())
                self.run_ok("start", container)
                self.started(container, "run 2")
                self.run_ok("delete", "--force", container)
                self.assert_same_host(before)

    def test_delete_and_start_at_once(self):
        """Either of them wins; a container that runs is not deleted without force."""
        for delay in (0, 0.01, 0.03, 0.06, 0.1):
            container = self.stopped_service()
            start = self.world.popen("start", container, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(delay)
            deleted = self.world.run("delete", container).code
            if start.wait(60) == 0:
                self.assertNotEqual(deleted, 0)
                self.started(container, "run 2")
                self.run_ok("delete", "--force", container)
            elif deleted == 0:
                self.assertFalse(os.path.exists(self.bundle(container)))


@support.needs_root
class Networks(support.Case):
    @classmethod
    def prepare(cls):
        import test_network  # skips in its setUpModule where networks cannot be made
        test_network.setUpModule()
        cls.network = test_network
        cls.image = cls.world.import_image()
        cls.world.write_config(network="")

    def test_network_and_ports_are_back(self):
        container = self.world.new_id()
        port = self.free_port()
        self.run_ok("run", "-d", "--name", container, "-p", f"127.0.0.1:{port}:80", "--hostname", "web", "--add-host", "other:10.9.8.7",
                    self.image, "sh", "-c", "echo line >> /tmp/word; exec httpd -f -p 80 -h /tmp")
        self.addCleanup(self.world.run, "delete", "--force", container)
        for run in (1, 2, 3):
            support.wait_for(lambda: self.network.http_get("127.0.0.1", port) is not None)
            self.assertEqual(self.network.http_get("127.0.0.1", port).split(), ["line"] * run)
            row = [c for c in self.run_ok("ps", "--format", "json").json() if c["id"] == container][0]
            self.assertIn(str(port), row["ports"])
            hosts = self.run_ok("exec", container, "cat", "/etc/hosts").out
            with open(self.world.path("images/containers", container, "info.json"), encoding="utf-8") as file:
                address = json.load(file)["network"]["addresses"][0].split("/")[0]
            self.assertIn(address, hosts)
            self.assertIn("10.9.8.7", hosts)
            self.assertEqual(len(self.network.leases() & {f"/run/cni/networks/nexcage/{address}"}), 1)
            links, leases = self.network.links(), self.network.leases()
            self.run_ok("kill", container, "KILL")
            self.run_ok("wait", container)
            if run < 3:
                self.run_ok("start", container)
                self.assertEqual(len(self.network.links()), len(links), "the former interface is gone")
                self.assertEqual(len(self.network.leases()), len(leases), "so is its address")
        self.run_ok("delete", container)

    def test_a_failing_start_gives_the_network_back(self):
        container = self.world.new_id()
        port = self.free_port()
        self.run_ok("run", "-d", "--name", container, "-p", f"127.0.0.1:{port}:80", self.image, "true")
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.run_ok("wait", container)
        path = self.world.path("containers", container, "config.json")
        with open(path, encoding="utf-8") as file:
            spec = json.load(file)
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**spec, "hooks": {"createRuntime": [{"path": "/bin/false"}]}}, file)
        self.assertEqual(self.world.run("start", container).code, 1)
        self.assertEqual([r for r in self.network.rules() if str(port) in r], [])
        self.assertEqual([n for n in os.listdir(self.world.path("run/@network")) if n != "@lock"], [])

    def free_port(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]


if __name__ == "__main__":
    unittest.main()
