"""Podman runs on nexcage: every verb that reaches the runtime, and what people see of it."""
import os
import signal
import time
import unittest
import urllib.request

import engine
import support
from engine import limit, read, status_field
from podman import IMAGE, PodmanCase


class Life(PodmanCase):
    def test_exit_codes(self):
        for command, code in ((["true"], 0), (["sh", "-c", "exit 7"], 7), (["/etc/passwd"], 126), (["/no/such"], 127),
                              (["sh", "-c", "kill -9 $$; exit 3"], 3)):
            with self.subTest(command=command):
                self.command("run", "--rm", IMAGE, *command, code=code)

    def test_missing_command_is_named(self):
        self.assertIn("/no/such", self.command("run", "--rm", IMAGE, "/no/such", code=127).err)

    def test_output_and_input(self):
        answer = self.command("run", "--rm", "-i", IMAGE, "sh", "-c", "cat; echo wrong >&2", stdin="given")
        self.assertEqual((answer.out, answer.err), ("given", "wrong\n"))

    def test_terminal(self):
        text, code = self.terminal("run", "--rm", "-t", IMAGE, "sh", "-c",
                                   "tty; until stty size 2>/dev/null | grep '41 101'; do sleep 0.1; done; exit 4",
                                   rows=41, columns=101).finish()
        self.assertIn("/dev/pts/0", text)
        self.assertIn("41 101", text)
        self.assertEqual(code, 4)

    def test_typing_into_a_terminal(self):
        terminal = self.terminal("run", "--rm", "-it", IMAGE, "sh")
        terminal.type("echo $((6*7))\n")
        terminal.read_until("42")
        terminal.type("exit 9\n")
        self.assertEqual(terminal.finish()[1], 9)

    def test_detached(self):
        container = self.run_detached("--name", "web", IMAGE, "sh", "-c", "echo up; exec sleep 1000")
        self.assertRegex(self.command("ps", "--filter", f"id={container}").out, r"Up .* web")
        pid = self.pid(container)
        with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            self.assertEqual(file.read().strip(), "sleep")
        self.assertNotEqual(os.readlink(f"/proc/{pid}/ns/pid"), os.readlink("/proc/self/ns/pid"))
        parent = status_field(pid, "PPid")
        self.assertEqual(read(f"/proc/{parent}/comm"), "conmon")
        self.log_has(container, "up")

        self.command("pause", container)
        self.assertIn("Paused", self.command("ps", "-a", "--filter", f"id={container}").out)
        self.command("exec", container, "true", code=255)
        self.command("unpause", container)
        self.command("exec", container, "true")

        # Its first process has no handler for TERM, so the kernel drops it: the time has to run out.
        self.command("stop", "-t", "1", container)
        self.assertIn("Exited (137)", self.command("ps", "-a", "--filter", f"id={container}").out)
        self.assertEqual(self.command("wait", container).out.strip(), "137")

        self.command("start", container)
        self.assertNotEqual(self.pid(container), pid)
        first = self.pid(container)
        self.command("restart", "-t", "0", container)
        self.assertNotIn(self.pid(container), (0, first))
        support.wait_for(lambda: self.command("logs", container).out == "up\n" * 3, what="three starts in the log")
        self.command("rm", "-f", "-t", "0", container)
        self.command("container", "exists", container, code=1)

    def test_ended_by_itself(self):
        container = self.run_detached(IMAGE, "sh", "-c", "echo bye; exit 3")
        self.assertEqual(self.command("wait", container).out.strip(), "3")
        self.assertIn("Exited (3)", self.command("ps", "-a", "--filter", f"id={container}").out)
        self.assertEqual(self.command("logs", container).out, "bye\n")
        self.command("start", "-a", container, code=3)

    def test_stop_lets_the_process_finish(self):
        container = self.run_detached(IMAGE, "sh", "-c", "trap 'echo polite; exit 5' TERM; echo on; while :; do sleep 0.1; done")
        self.log_has(container, "on")
        began = time.monotonic()
        self.command("stop", "-t", "20", container)
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(self.inspect(container)["State"]["ExitCode"], 5)
        self.log_has(container, "polite")

    def test_signals(self):
        container = self.run_detached(IMAGE, "sh", "-c", "trap 'echo usr1' USR1; echo on; while :; do sleep 0.1; done")
        self.log_has(container, "on")
        self.command("kill", "-s", "USR1", container)
        self.log_has(container, "usr1")
        self.command("kill", container)
        self.assertEqual(self.command("wait", container).out.strip(), "137")
        self.command("kill", container, code=125)

    def test_killed_from_outside(self):
        container = self.run_detached(IMAGE, "sleep", "1000")
        os.kill(self.pid(container), signal.SIGKILL)
        self.assertEqual(self.command("wait", container).out.strip(), "137")
        self.command("rm", container)

    def test_shared_pid_namespace_is_stopped_as_a_whole(self):
        container = self.run_detached("--pid=host", IMAGE, "sh", "-c", "sleep 1000 & sleep 1000")
        find = lambda: {p for p in support.processes() if support.arguments(p) == ["sleep", "1000"]}
        support.wait_for(lambda: len(find()) == 2)
        self.command("stop", "-t", "0", container)
        support.wait_for(lambda: not find(), what="both processes to be gone")


class Exec(PodmanCase):
    def test_codes_and_streams(self):
        container = self.run_detached(IMAGE, "sleep", "1000")
        self.command("exec", container, "sh", "-c", "exit 6", code=6)
        self.command("exec", container, "/no/such", code=127)
        self.command("exec", container, "/etc/passwd", code=126)
        answer = self.command("exec", "-i", "--env", "A=b", "-w", "/tmp", "-u", "1000", container, "sh", "-c",
                              "cat; pwd; id -u; echo $A; echo e >&2", stdin="in\n")
        self.assertEqual((answer.out, answer.err), ("in\n/tmp\n1000\nb\n", "e\n"))

    def test_terminal(self):
        container = self.run_detached(IMAGE, "sleep", "1000")
        terminal = self.terminal("exec", "-it", container, "sh", rows=33, columns=99)
        # The engine may tell the size after it has started the process.
        terminal.type("tty; until stty size 2>/dev/null | grep '33 99'; do sleep 0.1; done; echo $((6*7))\n")
        terminal.read_until("42")
        terminal.type("exit 8\n")
        text, code = terminal.finish()
        self.assertIn("/dev/pts/", text)
        self.assertEqual(code, 8)

    def test_detached(self):
        container = self.run_detached(IMAGE, "sleep", "1000")
        self.command("exec", "-d", container, "sh", "-c", "echo there > /tmp/mark; exec sleep 999")
        support.wait_for(lambda: self.command("exec", container, "cat", "/tmp/mark", code=None).out == "there\n")
        self.assertIn("sleep 999", self.command("top", container).out)

    def test_healthcheck(self):
        container = self.run_detached("--health-cmd", "test -e /tmp/well", "--health-interval", "disable",
                                      "--health-retries", "1", IMAGE, "sleep", "1000")
        self.command("healthcheck", "run", container, code=1)
        self.command("exec", container, "touch", "/tmp/well")
        self.command("healthcheck", "run", container)
        self.assertEqual(self.inspect(container)["State"]["Health"]["Status"], "healthy")


class Settings(PodmanCase):
    def shell(self, *options, script, code=0):
        return self.command("run", "--rm", *options, IMAGE, "sh", "-c", script, code=code).out

    def test_limits(self):
        container = self.run_detached("--memory", "64m", "--pids-limit", "50", "--cpus", "0.5", IMAGE, "sleep", "1000")
        pid = self.pid(container)
        self.assertIn(f"/{self.world.token}/libpod-{container}", read(f"/proc/{pid}/cgroup"))
        self.assertEqual(limit(pid, "memory", "memory.limit_in_bytes", "memory.max"), str(64 << 20))
        self.assertEqual(limit(pid, "pids", "pids.max", "pids.max"), "50")
        self.assertEqual(limit(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0], "50000")
        self.assertIn(container[:12], self.command("stats", "--no-stream", container).out)

    def test_update(self):
        container = self.run_detached("--memory", "64m", "--pids-limit", "50", IMAGE, "sleep", "1000")
        pid = self.pid(container)
        self.command("update", "--memory", "96m", "--cpus", "0.25", container)
        self.assertEqual(limit(pid, "memory", "memory.limit_in_bytes", "memory.max"), str(96 << 20))
        self.assertEqual(limit(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0], "25000")
        self.assertEqual(limit(pid, "pids", "pids.max", "pids.max"), "50")

    def test_out_of_memory_is_killed(self):
        self.shell("--memory", "8m", "--memory-swap", "8m", script="exec tail -c 60m /dev/zero", code=137)

    def test_read_only(self):
        out = self.shell("--read-only", "--tmpfs", "/scratch:size=1m", script=(
            "touch /x 2>&1; touch /tmp/a /run/b /scratch/c && df -k /scratch | tail -n 1"))
        self.assertIn("Read-only file system", out)
        self.assertIn("1024", out)

    def test_volumes(self):
        host = self.world.path("volume")
        os.mkdir(host)
        self.addCleanup(self.command, "volume", "rm", "-f", "data")
        script = "echo one > /h/a; echo two > /d/b; touch /r/x 2>&1; cat /r/a; grep -c ' /h .*nosuid' /proc/mounts"
        out = self.shell("-v", f"{host}:/h:nosuid", "-v", f"{host}:/r:ro", "-v", "data:/d", script=script)
        self.assertEqual(out.splitlines(), ["touch: /r/x: Read-only file system", "one", "1"])
        self.assertEqual(read(os.path.join(host, "a")), "one")
        self.assertEqual(self.shell("-v", "data:/d", script="cat /d/b"), "two\n")

    def test_process(self):
        out = self.shell("--user", "1000:2000", "--workdir", "/tmp", "--hostname", "cage", "--env", "A=b", "--cap-drop", "all",
                         "--security-opt", "no-new-privileges", "--ulimit", "nofile=100:200", "--ulimit", "nproc=99",
                         "--group-add", "77", script=(
                             "id -u; id -g; id -G; pwd; hostname; echo $A; ulimit -n; ulimit -Hn; "
                             "grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status"))
        self.assertEqual(out.split(), ["1000", "2000", "2000", "77", "/tmp", "cage", "b", "100", "200", "CapBnd:",
                                       "0000000000000000", "NoNewPrivs:", "1", "Seccomp:", "2"])

    def test_privileges(self):
        self.assertEqual(self.shell("--cap-drop", "all", "--cap-add", "CHOWN", script="grep CapEff /proc/self/status").split()[1],
                         "0000000000000001")
        self.assertIn("0", self.shell("--security-opt", "seccomp=unconfined", script="grep Seccomp: /proc/self/status").split())
        # The default profile refuses what a container needs CAP_SYS_ADMIN for, with EPERM.
        self.assertIn("not permitted", self.shell(script="unshare -m true 2>&1; true"))

    def test_kernel_settings_and_devices(self):
        out = self.shell("--sysctl", "kernel.msgmax=1234", "--shm-size", "2m", "--device", "/dev/null:/dev/hole", "--init",
                         "--add-host", "friend:10.1.2.3", "--dns", "10.9.8.7", "--network=bridge", script=(
                             "cat /proc/sys/kernel/msgmax; df -k /dev/shm | awk 'NR==2{print $2}'; ls -l /dev/hole | cut -c1; "
                             "cat /proc/1/comm; grep -c 10.1.2.3 /etc/hosts; grep -c 10.9.8.7 /etc/resolv.conf"))
        self.assertEqual(out.split(), ["1234", "2048", "c", "podman-init", "1", "1"])

    def test_user_namespace(self):
        container = self.run_detached("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", IMAGE, "sh", "-c",
                                      "touch /tmp/mine; stat -c %u /tmp/mine /; id -u; cat /proc/self/uid_map; exec sleep 1000")
        self.log_has(container, "65536")
        self.assertEqual(self.command("logs", container).out.split(), ["0", "0", "0", "0", "100000", "65536"])
        self.assertEqual(status_field(self.pid(container), "Uid").split(), ["100000"] * 4)
        self.assertEqual(self.command("exec", container, "id", "-u").out, "0\n")

    def test_host_namespaces(self):
        out = self.shell("--network=host", "--pid=host", "--ipc=host", "--uts=host", 
                         script="for n in net pid ipc uts cgroup; do readlink /proc/self/ns/$n; done")
        self.assertEqual(out.split(), [os.readlink(f"/proc/self/ns/{n}") for n in ("net", "pid", "ipc", "uts", "cgroup")])

    def test_joins_another_containers_namespaces(self):
        first = self.run_detached("--hostname", "first", IMAGE, "sleep", "1000")
        out = self.shell(f"--network=container:{first}", f"--pid=container:{first}", f"--ipc=container:{first}",
                         script="for n in net pid ipc; do readlink /proc/self/ns/$n; done; cat /proc/1/comm")
        pid = self.pid(first)
        self.assertEqual(out.split(), [*(os.readlink(f"/proc/{pid}/ns/{n}") for n in ("net", "pid", "ipc")), "sleep"])

    def test_checkpoint_is_refused_with_a_reason(self):
        container = self.run_detached(IMAGE, "sleep", "1000")
        answer = self.command("container", "checkpoint", container, code=None)
        self.assertNotEqual(answer.code, 0)
        self.assertRegex(answer.err.lower(), "checkpoint|criu")
        self.assertEqual(self.inspect(container)["State"]["Status"], "running")


class Network(PodmanCase):
    def test_published_port(self):
        self.run_detached("--network=bridge", "-p", "127.0.0.1:18081:80", IMAGE, "sh", "-c",
                          "mkdir /tmp/w; echo hello > /tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w")
        url = "http://127.0.0.1:18081/"

        def fetched():
            try:
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
                    return answer.read()
            except OSError:
                return None

        self.assertEqual(support.wait_for(fetched, what=url), b"hello\n")

    def test_pod(self):
        if not os.path.exists("/usr/libexec/podman/catatonit") and not support.shutil.which("catatonit"):
            self.skipTest("catatonit is not installed")
        self.addCleanup(lambda: self.world.raw(["podman", "pod", "rm", "-f", "-t", "0", "p"]))
        self.addCleanup(lambda: self.world.raw(["podman", "rmi", "-f", "localhost/podman-pause:4.3.1-0"]))
        pod = self.command("pod", "create", "--name", "p", "--network", "none",
                           f"--cgroup-parent=/{self.world.token}").out.strip()
        self.left_by_engine |= {os.path.join(support.CGROUPS, hierarchy, self.world.token, pod)
                                for hierarchy in ("systemd", "unified", "")}
        self.command("run", "-d", "--pod=p", IMAGE, "sleep", "1000")
        out = self.command("run", "--rm", "--pod=p", IMAGE, "sh", "-c", "readlink /proc/self/ns/net; hostname").out.split()
        self.assertEqual(out[1], "p")
        self.command("pod", "stop", "-t", "0", "p")
        self.assertIn("Exited", self.command("pod", "ps").out)


if __name__ == "__main__":
    unittest.main()
