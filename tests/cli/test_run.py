"""`nexcage run` of an image: output, exit status, what the options change, what is left."""
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
import unittest

import support


@support.needs_root
class Run(support.Case):
    @classmethod
    def prepare(cls):
        cls.image = cls.world.import_image(config={
            "Env": ["PATH=/bin", "FROM_IMAGE=yes"], "Cmd": ["sh", "-c", "echo default command"],
            "WorkingDir": "/home"})

    def run_rm(self, *args, **kwargs):
        return self.world.run("run", "--rm", *args, **kwargs)

    def output(self, *args, **kwargs):
        answer = self.run_rm(*args, **kwargs)
        self.assertEqual(answer.code, 0, str(answer))
        return answer.out.strip()

    def test_default_command_of_the_image(self):
        self.assertEqual(self.output(self.image), "default command")

    def test_exit_status_is_the_containers(self):
        self.assertEqual(self.run_rm(self.image, "sh", "-c", "exit 7").code, 7)
        self.assertEqual(self.run_rm(self.image, "true").code, 0)

    def test_exit_status_of_a_signal(self):
        # PID 1 of a namespace ignores signals it has no handler for: a child of it is killed instead.
        self.assertEqual(self.run_rm(self.image, "sh", "-c", "sh -c 'kill -9 $$'; exit $?").code, 137)

    def test_missing_command_is_127_and_unusable_one_126(self):
        answer, records = self.world.logged("run", "--rm", self.image, "no-such-command")
        self.assertEqual(answer.code, 127, str(answer))
        self.assertIn("no-such-command", answer.err)
        self.assertTrue([r for r in records if r["level"] == "error"])
        self.assertEqual(self.run_rm(self.image, "/etc/passwd").code, 126)

    def test_unknown_option_is_125(self):
        self.assertEqual(self.run_rm("--no-such-option", self.image).code, 125)

    def test_stdout_and_stderr_are_apart(self):
        answer = self.run_rm(self.image, "sh", "-c", "echo out; echo err >&2")
        self.assertEqual((answer.out, answer.err), ("out\n", "err\n"), str(answer))

    def test_stdin_reaches_the_container(self):
        self.assertEqual(self.output("-i", self.image, "cat", stdin="given\n"), "given")

    def test_environment(self):
        out = self.output("--env", "A=1", "--env", "FROM_HOST", self.image, "env", env={"FROM_HOST": "h"})
        self.assertLessEqual({"A=1", "FROM_HOST=h", "FROM_IMAGE=yes"}, set(out.split("\n")))

    def test_host_environment_stays_outside(self):
        self.assertNotIn("SECRET", self.output(self.image, "env", env={"SECRET": "s"}))

    def test_user_and_workdir(self):
        self.assertEqual(self.output("--user", "user", self.image, "id"), "uid=1000(user) gid=1000(user) groups=2000(extra)")
        self.assertEqual(self.output("--user", "5:6", self.image, "sh", "-c", "id -u; id -g"), "5\n6")
        self.assertEqual(self.output(self.image, "pwd"), "/home")
        self.assertEqual(self.output("--workdir", "/tmp", self.image, "pwd"), "/tmp")

    def test_entrypoint_and_hostname(self):
        self.assertEqual(self.output("--entrypoint", "echo", self.image, "a", "b"), "a b")
        self.assertEqual(self.output("--hostname", "cell", self.image, "hostname"), "cell")

    def test_bind_mounts(self):
        os.makedirs(self.world.path("shared"), exist_ok=True)
        with open(self.world.path("shared/in"), "w", encoding="utf-8") as file:
            file.write("from host")
        shared = self.world.path("shared")
        out = self.output("-v", f"{shared}:/mnt/data", self.image, "sh", "-c", "cat /mnt/data/in; echo x > /mnt/data/out")
        self.assertEqual(out, "from host")
        self.assertTrue(os.path.exists(self.world.path("shared/out")))
        answer = self.run_rm("--mount", f"type=bind,source={shared},destination=/mnt,ro", self.image, "touch", "/mnt/no")
        self.assertNotEqual(answer.code, 0)
        self.assertIn("Read-only", answer.err)

    def test_limits_are_set(self):
        script = "cat /proc/self/cgroup"
        container = self.world.new_id()
        self.run_ok("create", "--name", container, "--memory", "64m", "--cpus", "0.5", self.image, "sleep", "60")
        try:
            found = {}
            for path in support.cgroups(container):
                for name in ("memory.limit_in_bytes", "memory.max", "cpu.cfs_quota_us", "cpu.max"):
                    if os.path.exists(os.path.join(path, name)):
                        with open(os.path.join(path, name), encoding="utf-8") as file:
                            found[name] = file.read().strip()
            self.assertEqual(found.get("memory.limit_in_bytes", found.get("memory.max")), str(64 << 20), f"{found} {script}")
            self.assertIn(found.get("cpu.cfs_quota_us", found.get("cpu.max", "")).split(" ")[0], ("50000",), str(found))
        finally:
            self.run_ok("delete", "--force", container)

    def test_own_namespaces(self):
        mine = {n: os.readlink(f"/proc/self/ns/{n}") for n in ("pid", "net", "ipc", "uts", "mnt")}
        out = self.output(self.image, "sh", "-c", "for n in pid net ipc uts mnt; do readlink /proc/self/ns/$n; done")
        self.assertEqual(set(mine.values()) & set(out.split()), set())

    def test_descriptors_are_the_three_standard_ones(self):
        read, write = os.pipe()
        try:
            # ls has the directory itself open, as a fourth descriptor that may be gone when it looks.
            out = self.output(self.image, "sh", "-c", "exec ls /proc/self/fd", pass_fds=(read, write))
            self.assertIn(out.split(), (["0", "1", "2"], ["0", "1", "2", "3"]))
        finally:
            os.close(read)
            os.close(write)

    def test_pid_file_has_the_pid_of_init(self):
        pid_file, container = self.world.path("pid"), self.world.new_id()
        self.run_ok("create", "--name", container, "--pid-file", pid_file, self.image, "sleep", "60")
        try:
            with open(pid_file, encoding="utf-8") as file:
                text = file.read()
            pid = int(text)
            self.assertEqual(self.run_ok("state", container).json()["pid"], pid)
            self.assertNotEqual(os.readlink(f"/proc/{pid}/ns/pid"), os.readlink("/proc/self/ns/pid"))
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                inner = [l for l in file if l.startswith("NSpid:")][0].split()
            self.assertEqual(inner[-1], "1", "the pid file names the first process of the container")
        finally:
            self.run_ok("delete", "--force", container)

    def test_info_json(self):
        container = self.world.new_id()
        self.run_ok("create", "--name", container, self.image, "true")
        path = self.world.path("images/containers", container, "info.json")
        try:
            with open(path, encoding="utf-8") as file:
                info = json.load(file)
            self.assertEqual(info["container_id"], container)
            self.assertIn(self.image, info["image"])
            self.assertRegex(info["created"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
        finally:
            self.run_ok("delete", "--force", container)
        self.assertFalse(os.path.exists(path))

    def test_nothing_is_left(self):
        self.output(self.image, "true")
        before = self.world.snapshot()
        self.output(self.image, "sh", "-c", "echo data > /file; mkdir /a; sleep 0.01 & wait")
        self.assertEqual(self.run_rm(self.image, "false").code, 1)
        self.assert_same_host(before)

    def test_changes_stay_in_their_container(self):
        self.output(self.image, "sh", "-c", "rm /etc/passwd; echo x > /new")
        self.assertEqual(self.output(self.image, "sh", "-c", "test -e /etc/passwd && test ! -e /new && echo same"), "same")

    def test_two_containers_of_one_image_at_once(self):
        running = [self.world.popen("run", "--rm", self.image, "sh", "-c", f"echo {n} > /n; sleep 0.3; cat /n",
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) for n in range(4)]
        self.assertEqual([p.communicate(timeout=60)[0].strip() for p in running], ["0", "1", "2", "3"])

    def test_signals_are_passed_on(self):
        script = "trap 'echo got term; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
        process = self.world.popen("run", "--rm", self.image, "sh", "-c", script,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
        self.assertEqual((process.returncode, out), (3, "got term\n"))


@support.needs_root
class Terminal(support.Case):
    @classmethod
    def prepare(cls):
        cls.image = cls.world.import_image()

    def start(self, *args):
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (31, 101))
        process = self.world.popen(*args, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                   preexec_fn=lambda: os.close(master))
        self.addCleanup(os.close, master)
        os.close(slave)
        return process, master

    def read_until(self, master, word, seconds=20):
        seen, deadline = b"", time.monotonic() + seconds
        while word not in seen:
            ready, _, _ = select.select([master], [], [], max(0, deadline - time.monotonic()))
            self.assertTrue(ready, f"waited in vain for {word}, saw {seen}")
            try:
                seen += os.read(master, 4096)
            except OSError:
                break
        self.assertIn(word, seen)
        return seen

    def test_terminal_with_size_input_and_status(self):
        process, master = self.start("run", "--rm", "-t", "-i", self.image, "sh", "-c",
                                     "tty; stty size; read line; echo got:$line; exit 5")
        self.read_until(master, b"31 101")
        os.write(master, b"words\n")
        self.read_until(master, b"got:words")
        self.assertEqual(process.wait(30), 5)

    def test_window_changes_are_passed_on(self):
        process, master = self.start("run", "--rm", "-t", "-i", self.image, "sh", "-c",
                                     "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.1; done")
        self.read_until(master, b"ready")
        termios.tcsetwinsize(master, (40, 120))
        process.send_signal(signal.SIGWINCH)
        self.read_until(master, b"40 120")
        self.assertEqual(process.wait(30), 0)

    def test_the_callers_terminal_is_as_it_was(self):
        master, slave = pty.openpty()
        before = termios.tcgetattr(slave)
        process = self.world.popen("run", "--rm", "-t", self.image, "true", stdin=slave, stdout=slave, stderr=slave,
                                   start_new_session=True)
        self.assertEqual(process.wait(30), 0)
        self.assertEqual(termios.tcgetattr(slave), before)
        os.close(master)
        os.close(slave)


if __name__ == "__main__":
    unittest.main()
