"""Podman runs containers in virtual machines with nexcage-vm: what a person does first."""
import unittest

import support
from podman import IMAGE, PodmanCase


class Machines(PodmanCase):
    def test_exit_codes_and_streams(self):
        answer = self.command("run", "--rm", "-i", IMAGE, "sh", "-c", "cat; echo wrong >&2; exit 7", stdin="given", code=7)
        self.assertEqual((answer.out, answer.err), ("given", "wrong\n"))
        self.command("run", "--rm", IMAGE, "/no/such", code=127)

    def test_detached_exec_and_stop(self):
        container = self.run_detached(IMAGE, "sh", "-c", "echo up; trap 'exit 5' TERM; while :; do sleep 0.1; done")
        self.log_has(container, "up")
        answer = self.command("exec", "-i", container, "sh", "-c", "cat; uname -r", stdin="to exec\n")
        self.assertEqual(answer.out.splitlines()[0], "to exec")
        self.assertNotEqual(answer.out.splitlines()[1], support.os.uname().release)
        self.command("exec", container, "sh", "-c", "exit 6", code=6)
        self.command("stop", "-t", "10", container)
        self.assertEqual(self.inspect(container)["State"]["ExitCode"], 5)

    def test_terminal(self):
        terminal = self.terminal("run", "--rm", "-it", IMAGE, "sh")
        terminal.type("echo $((6*7))\n")
        terminal.read_until("42", 300)
        terminal.type("exit 9\n")
        self.assertEqual(terminal.finish(120)[1], 9)


if __name__ == "__main__":
    unittest.main()
