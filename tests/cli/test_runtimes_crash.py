"""Containers on crun and runc whose making is cut short, many at once, and made from images."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import runtimes
import support

PHASES = ["phase-3", "phase-6", "phase-7", "oci-started", "oci-created", "phase-8", "phase-9"]


@runtimes.both
class Crash(runtimes.OverRuntime):
    def interrupted(self, args, place):
        process = subprocess.Popen(self.argv(*args), env={**os.environ, "NEXCAGE_TESTPOINT": place},
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self.assertEqual(state.si_code, os.CLD_STOPPED, f"{place} was not reached")
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def check_gone(self, container, before):
        self.rt_ok("list")
        self.assertFalse(os.path.exists(self.world.path("run", "@" + self.runtime, container)),
                         "the runtime's own state is gone too")
        self.assert_same_host(before)

    def test_kill_9_at_each_phase(self):
        for place in PHASES:
            with self.subTest(place=place):
                before, container = self.world.snapshot(), self.world.new_id()
                self.interrupted(["create", "--bundle", self.bundle, container], place)
                self.check_gone(container, before)
                self.rt_ok("run", "--bundle", self.world.bundle(["true"]), container)

    def test_kill_9_at_any_time(self):
        """No test point: the runtime itself is cut short somewhere in its work."""
        bundle = self.world.bundle(["sleep", "100"], linux={"cgroupsPath": f"/{self.world.token}/x"})
        before = self.world.snapshot()
        for delay in range(0, 60, 4):
            container = self.world.new_id()
            process = subprocess.Popen(self.argv("create", "--bundle", bundle, container), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(delay / 1000)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self.rt("delete", "--force", container)
            self.assertFalse(os.path.exists(self.world.path("run", "@" + self.runtime, container)))
        self.rt_ok("list")
        self.assert_same_host(before)

    def test_kill_9_of_a_delete(self):
        before = self.world.snapshot()
        container = self.started()
        slow = self.world.path("slow")
        with open(slow, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\ncase \"$*\" in *delete*) kill -9 $PPID; exit 1;; esac\n"
                       f"exec {shutil.which(self.runtime)} \"$@\"\n")
        os.chmod(slow, 0o755)
        record = self.world.path("run", container, "state.json")
        with open(record, encoding="utf-8") as file:
            document = json.load(file)
        good, document["backendData"]["program"] = document["backendData"]["program"], slow
        with open(record, "w", encoding="utf-8") as file:
            json.dump(document, file)
        self.assertEqual(self.rt("delete", "--force", container).code, -9)
        self.assertEqual(good, shutil.which(self.runtime))
        with open(slow, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nexec {good} \"$@\"\n")
        self.check_gone(container, before)


@runtimes.both
class Many(runtimes.OverRuntime):
    def at_once(self, names):
        """Exit code and standard error of each; a file, because a created container keeps a pipe open."""
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in names]
            started = [subprocess.Popen(self.argv("create", "--bundle", self.bundle, name), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=file) for name, file in zip(names, files)]
            codes = [process.wait(120) for process in started]
            for file in files:
                file.seek(0)
            return [(code, file.read().decode()) for code, file in zip(codes, files)]

    def test_sixteen_at_once(self):
        before = self.world.snapshot()
        names = [self.world.new_id() for _ in range(16)]
        answers = self.at_once(names)
        self.assertEqual([code for code, _ in answers], [0] * 16, answers)
        for name in names:
            self.rt_ok("delete", "--force", name)
        self.assert_same_host(before)

    def test_sixteen_at_once_of_one_name(self):
        before = self.world.snapshot()
        name = self.world.new_id()
        answers = self.at_once([name] * 16)
        self.assertEqual(sorted(code for code, _ in answers), [0] + [1] * 15, answers)
        for code, text in answers:
            if code:
                self.assertRegex(text, "exists already|being created|is contended")
        self.rt_ok("delete", "--force", name)
        self.assert_same_host(before)


@runtimes.both
class ImageForm(runtimes.OverRuntime):
    @classmethod
    def prepare(cls):
        super().prepare()
        cls.imported = cls.world.import_image()
        cls.world.run("run", "--rm", "--runtime", cls.runtime, cls.imported, "true")

    def image(self, verb, *args, **kwargs):
        return self.world.run(verb, "--runtime", self.runtime, *args, **kwargs)

    def test_run(self):
        before = self.world.snapshot()
        answer = self.image("run", "--rm", self.imported, "sh", "-c", "echo hi; exit 7")
        self.assertEqual((answer.code, answer.out), (7, "hi\n"), str(answer))
        self.assertEqual(self.image("run", "--rm", self.imported, "nosuch").code, 127)
        self.assertEqual(self.image("run", "--rm", self.imported, "/bin").code, 126)
        self.assert_same_host(before)

    def test_detached_hands_global_options_on(self):
        """conmon calls a second nexcage: what this one was told, that one has to be told, too."""
        self.wrapped()
        arguments = [self.world.binary, "--config", self.world.config, "--systemd-cgroup", "--rootless", "false", "--runtime",
                     self.runtime, "run", "-d", "--name", self.world.new_id(), self.imported, "true"]
        self.world.raw(arguments)  # fails without systemd: what counts is what the binary was asked
        with open(self.calls, encoding="utf-8") as file:
            create = next(line.split() for line in file if " create " in line)
        before_verb = create[:create.index("create")]
        self.assertEqual(before_verb[before_verb.index("--rootless") + 1], "false")
        self.assertIn("--systemd-cgroup", before_verb)
        self.world.raw([self.world.binary, "--config", self.world.config, "delete", "--force", arguments[-3]])

    def test_detached(self):
        before = self.world.snapshot()
        name = self.world.new_id()
        self.assertEqual(self.image("run", "-d", "--name", name, self.imported, "sh", "-c",
                                    "echo out; exec sleep 100").code, 0)
        self.assertEqual(self.run_ok("exec", name, "sh", "-c", "id -u").out, "0\n")
        self.assertEqual(self.world.run("exec", name, "sh", "-c", "exit 4").code, 4)
        support.wait_for(lambda: self.run_ok("logs", name).out == "out\n")
        self.assertIn(self.runtime, self.run_ok("ps").out)
        self.run_ok("stop", "--time", "0", name)
        self.assertEqual(self.run_ok("wait", name).out, "137\n")
        self.run_ok("delete", name)
        self.assert_same_host(before)


if __name__ == "__main__":
    unittest.main()
