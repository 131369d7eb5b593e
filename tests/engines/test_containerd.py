"""containerd runs on nexcage: what its shim asks of the runtime, and what people see of it with ctr."""
import json
import os
import re
import signal
import unittest

import engine
import support
from containerd import IMAGE, ContainerdCase
from engine import limit, read, status_field


class Life(ContainerdCase):
    def test_exit_codes(self):
        for command, code in ((["true"], 0), (["sh", "-c", "exit 3"], 3), (["sh", "-c", "kill -9 $$; exit 4"], 4)):
            with self.subTest(command=command):
                self.command("run", "--rm", IMAGE, self.new(), *command, code=code)

    def test_missing_command_is_named(self):
        answer = self.command("run", "--rm", IMAGE, self.new(), "/no/such", code=1)
        self.assertIn("OCI runtime create failed", answer.err)
        self.assertRegex(answer.err, "(?i)/no/such.*no such file or directory")

    def test_output_and_input(self):
        # `read`, not `cat`: ctr loses an end of input that comes before the task has started.
        answer = self.command("run", "--rm", IMAGE, self.new(), "sh", "-c", "read x; echo $x; echo wrong >&2", stdin="given\n")
        self.assertEqual((answer.out, answer.err), ("given\n", "wrong\n"))

    def test_terminal(self):
        terminal = self.terminal("run", "--rm", "-t", IMAGE, self.new(), "sh", rows=31, columns=91)
        # ctr tells the size after it has started the task.
        terminal.type("tty; until stty size 2>/dev/null | grep '31 91'; do sleep 0.1; done; echo $((6*7))\n")
        terminal.read_until("42")
        terminal.type("exit 9\n")
        text, code = terminal.finish()
        self.assertIn("/dev/pts/0", text)
        self.assertEqual(code, 9)

    def test_detached(self):
        container = self.run_detached("sleep", "1000")
        pid, status = self.task(container)
        self.assertEqual(status, "RUNNING")
        self.assertEqual(support.arguments(pid), ["sleep", "1000"])
        # The shim is the parent, not a process of ours.
        self.assertIn("containerd-shim-runc-v2", support.arguments(status_field(pid, "PPid"))[0])
        self.assertIn(str(pid), self.command("task", "ps", container).out)

        self.command("task", "pause", container)
        self.assertEqual(self.task(container)[1], "PAUSED")
        self.command("task", "resume", container)
        self.assertEqual(self.task(container)[1], "RUNNING")

        self.command("task", "kill", "-s", "KILL", container)
        support.wait_for(lambda: self.task(container)[1] == "STOPPED")
        self.remove_task(container, 137)
        self.assertIsNone(self.task(container))
        # The same container again.
        self.command("task", "start", "-d", container)
        self.assertEqual(self.task(container)[1], "RUNNING")
        self.command("task", "rm", "--force", container)
        self.assertIsNone(self.task(container))

    def test_signals(self):
        out = self.world.path("signals")
        os.mkdir(out)
        container = self.run_detached("sh", "-c", "trap 'echo got > /out/usr1' USR1; trap 'exit 5' TERM; touch /out/on;"
                                      "while :; do sleep 0.1; done",
                                      options=("--mount", f"type=bind,src={out},dst=/out,options=rbind:rw"))
        support.wait_for(lambda: os.path.exists(os.path.join(out, "on")))
        self.command("task", "kill", "-s", "USR1", container)
        support.wait_for(lambda: os.path.exists(os.path.join(out, "usr1")))
        self.command("task", "kill", container)
        support.wait_for(lambda: self.task(container)[1] == "STOPPED")
        self.remove_task(container, 5)

    def test_kill_all(self):
        container = self.run_detached("sh", "-c", "sleep 1001 & exec sleep 1002", options=("--with-ns", "pid:/proc/1/ns/pid"))
        find = lambda: [p for p in support.processes() if support.arguments(p) in (["sleep", "1001"], ["sleep", "1002"])]
        support.wait_for(lambda: len(find()) == 2)
        self.command("task", "kill", "--all", "-s", "KILL", container)
        support.wait_for(lambda: not find())

    def test_shim_that_died(self):
        container = self.run_detached("sleep", "1003")
        os.kill(int(status_field(self.task(container)[0], "PPid")), signal.SIGKILL)
        self.left_by_engine |= {path for path in support.tree("/run/containerd/s")}
        # containerd starts `shim delete`, which deletes the container with --force.
        support.wait_for(lambda: not [p for p in support.processes() if support.arguments(p) == ["sleep", "1003"]])
        support.wait_for(lambda: (self.task(container) or (0, "STOPPED"))[1] in ("STOPPED", "UNKNOWN"))

    def test_pid_1_that_leaves_others_behind(self):
        self.command("run", "--rm", IMAGE, self.new(), "sh", "-c", "sleep 1004 & exit 2", code=2)
        support.wait_for(lambda: not [p for p in support.processes() if support.arguments(p) == ["sleep", "1004"]])


class Exec(ContainerdCase):
    def test_codes_and_streams(self):
        container = self.run_detached("sleep", "1000")
        answer = self.command("task", "exec", "--exec-id", "e1", "--cwd", "/tmp", "--user", "1000", container, "sh", "-c",
                              "cat; pwd; id -u; echo wrong >&2; exit 5", stdin="in\n", code=5)
        self.assertEqual((answer.out, answer.err.splitlines()[0]), ("in\n/tmp\n1000\n", "wrong"))
        answer = self.command("task", "exec", "--exec-id", "e2", container, "/no/such", code=1)
        self.assertRegex(answer.err, "(?i)/no/such.*no such file or directory")

    def test_terminal(self):
        container = self.run_detached("sleep", "1000")
        terminal = self.terminal("task", "exec", "-t", "--exec-id", "e1", container, "sh", rows=32, columns=92)
        # ctr tells the size after it has started the process.
        terminal.type("until stty size 2>/dev/null | grep '32 92'; do sleep 0.1; done; echo $((6*7))\n")
        terminal.read_until("42")
        terminal.type("exit 8\n")
        text, code = terminal.finish()
        self.assertIn("42", text)
        self.assertEqual(code, 8)

    def test_detached(self):
        container = self.run_detached("sleep", "1000")
        self.command("task", "exec", "-d", "--exec-id", "e1", container, "sleep", "1005")
        inside = support.wait_for(lambda: [p for p in support.processes() if support.arguments(p) == ["sleep", "1005"]])
        self.assertEqual(os.readlink(f"/proc/{inside[0]}/ns/pid"), os.readlink(f"/proc/{self.task(container)[0]}/ns/pid"))
        self.assertIn(str(inside[0]), self.command("task", "ps", container).out)


class Settings(ContainerdCase):
    def shell(self, *options, script):
        return self.command("run", "--rm", *options, IMAGE, self.new(), "sh", "-c", script).out

    def test_limits(self):
        container = self.run_detached("sleep", "1000", options=("--memory-limit", 64 << 20, "--cpus", "0.5"))
        pid = self.task(container)[0]
        self.assertIn(self.world.token, read(f"/proc/{pid}/cgroup"))
        self.assertEqual(limit(pid, "memory", "memory.limit_in_bytes", "memory.max"), str(64 << 20))
        self.assertEqual(limit(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0], "50000")
        # The shim reads the control group itself.
        metrics = json.loads(self.command("task", "metrics", "--format", "json", container).out)
        self.assertEqual(re.findall(r'"?pids"?: *\{"current": *(\d+)', json.dumps(metrics)), ["1"])

    def test_process(self):
        out = self.shell("--cwd", "/tmp", "--env", "A=b", "--cap-drop", "CAP_CHOWN", "--seccomp",
                         script="pwd; echo $A; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status")
        self.assertEqual(out.split(), ["/tmp", "b", "CapEff:", "00000000a80425fa", "NoNewPrivs:", "1", "Seccomp:", "2"])

    def test_read_only_and_mounts(self):
        host = self.world.path("mount")
        os.mkdir(host)
        out = self.shell("--read-only", "--mount", f"type=bind,src={host},dst=/h,options=rbind:rw",
                         script="touch /x 2>&1; echo 1 > /h/a; cat /h/a")
        self.assertEqual(out.splitlines(), ["touch: /x: Read-only file system", "1"])

    def test_host_network_and_given_namespaces(self):
        self.assertEqual(self.shell("--net-host", script="readlink /proc/self/ns/net").strip(),
                         os.readlink("/proc/self/ns/net"))
        first = self.run_detached("sleep", "1000")
        pid = self.task(first)[0]
        for kind in ("network", "ipc", "pid"):
            name = {"network": "net"}.get(kind, kind)
            with self.subTest(kind=kind):
                self.assertEqual(self.shell("--with-ns", f"{kind}:/proc/{pid}/ns/{name}",
                                            script=f"readlink /proc/self/ns/{name}").strip(),
                                 os.readlink(f"/proc/{pid}/ns/{name}"))
                # A namespace that nobody asked for stays the host's.
                self.assertEqual(self.shell("--with-ns", f"{kind}:/proc/{pid}/ns/{name}",
                                            script="readlink /proc/self/ns/cgroup").strip(),
                                 os.readlink("/proc/self/ns/cgroup"))

    def test_user_namespace(self):
        out = self.shell("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536",
                         script="id -u; cat /proc/self/uid_map; stat -c %u /bin; touch /x && stat -c %u /x")
        self.assertEqual(out.split(), ["0", "0", "100000", "65536", "0", "0"])

    def test_privileged(self):
        self.assertNotIn("00000000a80425fb", self.shell("--privileged", script="grep CapEff /proc/self/status"))

    def test_checkpoint_is_refused_with_a_reason(self):
        container = self.run_detached("sleep", "1000")
        answer = self.command("task", "checkpoint", container, code=1)
        self.assertRegex(answer.err.lower(), "checkpoint|criu")
        self.assertEqual(self.task(container)[1], "RUNNING")


if __name__ == "__main__":
    unittest.main()
