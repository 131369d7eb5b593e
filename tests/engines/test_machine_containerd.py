"""containerd's ctr runs containers in virtual machines with nexcage-vm."""
import unittest

from containerd import IMAGE, ContainerdCase


class Machines(ContainerdCase):
    def test_exit_codes_and_streams(self):
        answer = self.command("run", "--rm", IMAGE, self.new(), "sh", "-c", "read x; echo $x; echo wrong >&2; exit 7",
                              stdin="given\n", code=7)
        self.assertEqual((answer.out, answer.err), ("given\n", "wrong\n"))

    def test_terminal(self):
        terminal = self.terminal("run", "--rm", "-t", IMAGE, self.new(), "sh")
        terminal.type("echo $((6*7))\n")
        terminal.read_until("42", 300)
        terminal.type("exit 9\n")
        self.assertEqual(terminal.finish(120)[1], 9)


if __name__ == "__main__":
    unittest.main()
