"""`run -d` and the verbs for what it started: logs, exec, ps, list, stop, wait, kill, pause, delete."""
import os
import signal
import subprocess
import time
import unittest

import support


@support.needs_root
class Detached(support.Case):
    @classmethod
    def prepare(cls):
        cls.image = cls.world.import_image()

    def detach(self, *command, options=()):
        container = self.world.new_id()
        self.run_ok("run", "-d", "--name", container, *options, self.image, *command)
        self.addCleanup(self.world.run, "delete", "--force", container)
        return container

    def test_kill_9_of_the_creation_under_conmon(self):
        self.run_ok("delete", "--force", self.detach("true"))
        for place in ("phase-3", "phase-7", "phase-8", "phase-9", "lxc-init-started"):
            with self.subTest(place=place):
                before = self.world.snapshot()
                container = self.world.new_id()
                command = self.world.popen("run", "-d", "--name", container, self.image, "sleep", "100", env={"NEXCAGE_TESTPOINT": place},
                                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                pid = support.wait_for(support.halted_nexcage, what=place)
                self.assertNotEqual(pid, command.pid, "conmon's is meant")
                os.kill(pid, signal.SIGKILL)
                _, err = command.communicate(timeout=60)
                self.assertEqual(command.returncode, 125, err)
                self.assertNotIn("warning", err)
                self.assert_same_host(before)

    def test_life_of_a_service(self):
        self.run_ok("delete", "--force", self.detach("true"))
        before = self.world.snapshot()
        container = self.detach("sh", "-c", "echo hello; echo oops >&2; exec sleep 100")
        support.wait_for(lambda: "oops" in self.world.run("logs", container).out + self.world.run("logs", container).err)
        state = self.run_ok("state", container).json()
        self.assertEqual((state["id"], state["status"]), (container, "running"))
        with open(f"/proc/{state['pid']}/cmdline", "rb") as file:
            self.assertEqual(file.read(), b"sleep\x00100\x00")
        self.assertIn("sleep", self.run_ok("ps", container).out)
        listed = self.run_ok("list", "--format", "json").json()
        mine = [c for c in listed if c["id"] == container][0]
        self.assertEqual((mine["status"], mine["pid"], mine["backend"]), ("running", state["pid"], "lxc"))
        self.assertIn(container, self.run_ok("list").out)
        self.assertEqual(self.world.run("exec", container, "sh", "-c", "exit 5").code, 5)
        self.run_ok("kill", container, "KILL")
        answer = self.run_ok("wait", container)
        self.assertEqual(answer.out.strip(), "137")
        self.assertEqual(self.status(container), "stopped")
        self.run_ok("delete", container)
        self.assertEqual(self.world.run("state", container).code, 1)
        self.assert_same_host(before)

    def test_what_lxc_cannot_is_refused(self):
        """The container is made by a second nexcage, which conmon calls: it has to be told what this one was told."""
        before = self.world.snapshot()
        for options, words in ((["--systemd-cgroup"], "systemd"), (["--cgroup-manager", "systemd"], "systemd"),
                               (["--cgroup-manager", "disabled"], "always have a cgroup"), (["--rootless", "true"], "needs root")):
            answer = self.world.run(*options, "run", "-d", "--name", self.world.new_id(), self.image, "sleep", "100")
            self.assertEqual(answer.code, 125, str(answer))
            self.assertIn(words, answer.err)
        self.assert_same_host(before)

    def test_prints_its_id(self):
        container = self.world.new_id()
        answer = self.run_ok("run", "-d", "--name", container, self.image, "sleep", "60")
        self.assertEqual(answer.out.strip(), container)
        self.run_ok("delete", "--force", container)

    def test_wait_gives_the_exit_status(self):
        self.assertEqual(self.run_ok("wait", self.detach("sh", "-c", "sleep 0.3; exit 9")).out.strip(), "9")

    def test_logs_follow(self):
        container = self.detach("sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.2; done")
        following = self.world.popen("logs", "-f", container, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        out, _ = following.communicate(timeout=30)
        self.assertEqual(out, "line 1\nline 2\nline 3\n")

    def test_stop_asks_first_and_kills_then(self):
        polite = self.detach("sh", "-c", "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.1; done")
        support.wait_for(lambda: "ready" in self.world.run("logs", polite).out)
        self.run_ok("stop", "-t", "20", polite)
        self.assertEqual(self.run_ok("wait", polite).out.strip(), "4")
        self.assertIn("bye", self.run_ok("logs", polite).out)
        deaf = self.detach("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
        began = time.monotonic()
        self.run_ok("stop", "-t", "1", deaf)
        self.assertLess(time.monotonic() - began, 15)
        self.assertEqual(self.run_ok("wait", deaf).out.strip(), "137")

    def test_exec_options(self):
        container = self.detach("sleep", "100")
        run = lambda *a, **k: self.run_ok("exec", *a, **k).out.strip()
        self.assertEqual(run("--user", "1000:1000", container, "id", "-u"), "1000")
        self.assertEqual(run("--cwd", "/tmp", container, "pwd"), "/tmp")
        self.assertIn("A=b", run("--env", "A=b", container, "env").split("\n"))
        self.assertEqual(self.world.run("exec", container, "no-such").code, 127)
        self.assertIn("sleep 100", run(container, "ps"))
        pid = self.run_ok("state", container).json()["pid"]
        self.assertEqual(run(container, "readlink", "/proc/self/ns/net"), os.readlink(f"/proc/{pid}/ns/net"))

    def test_exec_is_in_the_containers_control_groups(self):
        container = self.detach("sleep", "100")
        pid = self.run_ok("state", container).json()["pid"]
        process = self.world.popen("exec", container, "sleep", "77", stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        find = lambda: [p for p in support.processes() if support.arguments(p) == ["sleep", "77"]]
        inside = support.wait_for(find)[0]
        text = [open(f"/proc/{p}/cgroup", encoding="utf-8").read() for p in (pid, inside)]
        self.assertEqual(text[0], text[1])
        self.assertIn(container, text[0])

    def test_pause_and_resume(self):
        container = self.detach("sh", "-c", "while :; do echo tick; sleep 0.05; done")
        self.run_ok("pause", container)
        self.assertEqual(self.status(container), "paused")
        first = self.run_ok("logs", container).out
        time.sleep(0.3)
        self.assertEqual(self.run_ok("logs", container).out, first)
        self.run_ok("resume", container)
        self.assertEqual(self.status(container), "running")
        support.wait_for(lambda: len(self.run_ok("logs", container).out) > len(first))

    def test_signals_by_name_and_number(self):
        container = self.detach("sh", "-c", "trap 'echo usr1' USR1; trap 'echo hup' HUP; echo ready; while :; do sleep 0.05; done")
        seen = lambda word: support.wait_for(lambda: word in self.world.run("logs", container).out, what=word)
        seen("ready")
        self.run_ok("kill", container, "SIGUSR1")
        seen("usr1")
        self.run_ok("kill", container, "1")
        seen("hup")
        self.assertNotEqual(self.world.run("kill", container, "NOSUCH").code, 0)

    def test_a_running_container_is_not_deleted_without_force(self):
        container = self.detach("sleep", "100")
        answer, records = self.world.logged("delete", container)
        self.assert_error(answer, records, "InvalidState", 1)
        self.assertEqual(self.status(container), "running")

    def test_a_command_that_cannot_be_executed(self):
        self.run_ok("delete", "--force", self.detach("true"))
        before = self.world.snapshot()
        container = self.world.new_id()
        answer = self.world.run("run", "-d", "--name", container, self.image, "no-such-command")
        self.assertEqual(answer.code, 127, str(answer))
        self.assertIn("no-such-command", answer.err)
        self.world.run("delete", "--force", container)
        self.assert_same_host(before)

    def test_nobody_of_ours_stays_resident(self):
        container = self.detach("sleep", "100")
        names = sorted(set(support.processes().values()))
        self.assertEqual([n for n in names if n.startswith(("nexcage", "lxc"))], [], container)


if __name__ == "__main__":
    unittest.main()
