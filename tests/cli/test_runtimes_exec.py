"""Terminals and further processes on crun and runc."""
import array
import json
import os
import socket
import unittest

import runtimes
import support


@runtimes.both
class Terminal(runtimes.OverRuntime):
    def receive(self, act):
        path = self.world.path("c.sock")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen(1)
            server.settimeout(20)
            self.addCleanup(os.unlink, path)
            answer = act(path)
            self.assertEqual(answer.code, 0, str(answer))
            connection, _ = server.accept()
            with connection:
                _, control, _, _ = connection.recvmsg(64, socket.CMSG_SPACE(4))
        return array.array("i", control[0][2][:4])[0]

    def test_create_sends_the_terminal(self):
        container = self.world.new_id()
        bundle = self.world.bundle(["sh", "-c", "tty; exec sleep 100"], process={"terminal": True})
        self.addCleanup(self.rt, "delete", "--force", container)
        master = self.receive(lambda path: self.rt("create", "--bundle", bundle, "--console-socket", path, container))
        try:
            self.assertTrue(os.isatty(master))
            self.rt_ok("start", container)
            self.assertIn(b"/dev/", os.read(master, 100))
        finally:
            os.close(master)

    def test_ignore_paused(self):
        container = self.started()
        self.assertEqual(self.rt("exec", "--ignore-paused", container, "sh", "-c", "exit 3").code, 3)
        self.rt_ok("pause", container)
        self.assertNotEqual(self.rt("exec", container, "true").code, 0)
        if self.runtime == "crun":
            self.assertIn("crun has no exec --ignore-paused", self.rt("exec", "--ignore-paused", container, "true").err)
        self.rt_ok("resume", container)

    def test_exec_sends_the_terminal(self):
        container = self.started()
        process = {**support.spec_of(["sh", "-c", "tty; exec sleep 100"])["process"], "terminal": True}
        file = self.world.path("process.json")
        with open(file, "w", encoding="utf-8") as out:
            json.dump(process, out)
        pid_file = self.world.path("exec.pid")
        master = self.receive(lambda path: self.rt("exec", "--process", file, "--detach", "--console-socket", path,
                                                   "--pid-file", pid_file, container))
        try:
            self.assertIn(b"/dev/", os.read(master, 100))
            with open(pid_file, encoding="utf-8") as text:
                self.assertIn(int(text.read()), self.rt_ok("ps", "--format", "json", container).json())
        finally:
            os.close(master)

    def test_run_relays_the_terminal(self):
        bundle = self.world.bundle(["sh", "-c", "tty; exit 3"], process={"terminal": True})
        answer = self.world.raw(["script", "-qec", " ".join(self.argv("run", "--bundle", bundle, self.world.new_id())),
                                 "/dev/null"])
        self.assertEqual(answer.code, 3, str(answer))
        self.assertIn("/dev/", answer.out)


@runtimes.both
class Exec(runtimes.OverRuntime):
    @classmethod
    def prepare(cls):
        super().prepare()
        cls.container = cls.world.new_id()
        for args in (["create", "--bundle", cls.bundle, cls.container], ["start", cls.container]):
            assert cls.world.raw([cls.binary, "--config", cls.world.config, *args]).code == 0

    @classmethod
    def tearDownClass(cls):
        cls.world.raw([cls.binary, "--config", cls.world.config, "delete", "--force", cls.container])
        super().tearDownClass()

    def test_output_and_exit_code(self):
        answer = self.rt("exec", self.container, "sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual((answer.code, answer.out, answer.err), (7, "out\n", "err\n"))

    def test_input(self):
        self.assertEqual(self.rt_ok("exec", self.container, "cat", stdin="given").out, "given")

    def test_options(self):
        answer = self.rt_ok("exec", "--env", "A=b", "--cwd", "/bin", "--user", "5:6", self.container, "sh", "-c",
                            "echo $A; pwd; id -u; id -g")
        self.assertEqual(answer.out, "b\n/bin\n5\n6\n")

    def test_a_process_file_is_handed_on(self):
        self.wrapped()
        file = self.world.path("process.json")
        with open(file, "w", encoding="utf-8") as out:
            json.dump(support.spec_of(["sh", "-c", "exit 9"])["process"], out)
        container = self.started()
        self.assertEqual(self.rt("exec", "--process", file, container).code, 9)
        self.assertEqual(self.called()[-1], ["exec", "--process", file, container])

    def test_preserved_descriptors(self):
        with open(self.world.path("through"), "w+", encoding="utf-8") as file:
            os.dup2(file.fileno(), 3, inheritable=True) if file.fileno() != 3 else os.set_inheritable(3, True)
            self.rt_ok("exec", "--preserve-fds", "1", self.container, "sh", "-c", "echo through >&3", pass_fds=(3,))
            # What we open for ourselves is not the container's.
            fds = self.rt_ok("exec", "--preserve-fds", "1", self.container, "ls", "/proc/self/fd", pass_fds=(3,)).out.split()
        self.assertEqual([fd for fd in fds if int(fd) > 4], [], fds)
        with open(self.world.path("through"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "through\n")

    def test_a_missing_program(self):
        answer = self.rt("exec", self.container, "nosuch")
        self.assertNotEqual(answer.code, 0)
        self.assertIn("nosuch", answer.err)

    def test_a_stopped_container_is_refused(self):
        container = self.started("true")
        support.wait_for(lambda: self.state(container)["status"] == "stopped")
        self.assertEqual(self.rt("exec", container, "true").code, 255)


if __name__ == "__main__":
    unittest.main()
