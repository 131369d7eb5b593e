"""`kill -9` at each of the nine phases: the next command finds nothing left."""
import os
import signal
import subprocess
import unittest

import support

PHASES = range(1, 10)


@support.needs_root
class Kill9(support.Case):
    @classmethod
    def prepare(cls):
        cls.image = cls.world.import_image()
        cls.world.run("run", "--rm", cls.image, "true")
        cls.bundle = cls.world.bundle(["sleep", "100"])
        cls.world.run("run", "--bundle", cls.world.bundle(["true"]), cls.world.new_id())

    def kill_at(self, phase, *args):
        """Starts nexcage, waits until it has stopped itself at the phase, kills it."""
        process = self.world.popen(*args, env={"NEXCAGE_TESTPOINT": f"phase-{phase}"}, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        if state.si_code != os.CLD_STOPPED:
            message = process.stderr.read().decode()
            process.wait()
            self.fail(f"phase {phase} was not reached: {message}")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stderr.close()

    def check(self, *args):
        for phase in PHASES:
            with self.subTest(phase=phase):
                before = self.world.snapshot()
                container = self.world.new_id()
                self.kill_at(phase, *[container if a is None else a for a in args])
                listed = self.run_ok("list", "--format", "json").json()
                self.assertEqual([c["id"] for c in listed], [], "a half-made container is not shown")
                self.assert_same_host(before)
                # The id is free again.
                self.assertEqual(self.world.run("run", "--bundle", self.world.bundle(["true"]), container).code, 0)

    def test_create_of_a_bundle(self):
        self.check("create", "--bundle", self.bundle, None)

    def test_create_of_an_image(self):
        self.check("create", "--name", None, self.image, "sleep", "100")

    def test_create_with_a_raw_image(self):
        self.check("create", "--name", None, "--raw", "ext4", "--storage-size", "32m", self.image, "sleep", "100")

    def test_create_of_a_bundle_with_a_raw_image(self):
        bundle = self.world.bundle(["sleep", "100"], annotations={"org.nexcage.raw": "ext4", "org.nexcage.raw.size": "32m"})
        inside = support.tree(bundle)
        self.check("create", "--bundle", bundle, None)
        self.assertEqual(support.tree(bundle), inside)

    def test_a_living_create_is_left_alone(self):
        """Another command must not take a create that is still at work for a dead one."""
        container = self.world.new_id()
        process = self.world.popen("create", "--bundle", self.bundle, container, env={"NEXCAGE_TESTPOINT": "phase-5"},
                                   stdin=subprocess.DEVNULL)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        self.run_ok("list")
        process.send_signal(signal.SIGCONT)
        self.assertEqual(process.wait(30), 0)
        self.assertEqual(self.status(container), "created")
        self.run_ok("delete", "--force", container)


@support.needs_root
class Kill9Import(support.Case):
    def test_import_killed_at_any_time_is_invisible(self):
        """No test point: the import is killed after a delay that grows until it succeeds."""
        layers = [support.Tar().add(f"file{n}", data=os.urandom(2 << 20)).finish() for n in range(3)]
        _, transport = self.world.layout().add("x", [support.busybox_layer(), *layers])
        killed = 0
        for delay in [0.002 * 1.4 ** n for n in range(24)]:
            process = self.world.popen("image", "import", transport, "--name", "killed", stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(delay)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
            answer = self.run_ok("image", "list")
            if process.returncode == 0:
                self.assertIn("killed", answer.out)
                break
            if "killed" in answer.out:
                # Visible means complete: killed between the last step and its exit.
                self.run_ok("image", "verify", "killed")
                self.run_ok("image", "remove", "killed")
        self.assertGreater(killed, 0)
        self.assertEqual(process.returncode, 0, "the import never finished")
        self.run_ok("image", "verify", "killed")
        self.assertEqual(os.listdir(self.world.path("images/.tmp")), [], "temporary files are collected")


if __name__ == "__main__":
    unittest.main()
