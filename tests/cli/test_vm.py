"""Containers in virtual machines: the same verbs, in an emulated machine with a stock kernel."""
import contextlib
import fcntl
import hashlib
import json
import os
import pty
import signal
import struct
import subprocess
import tempfile
import termios
import unittest
import urllib.request

import machine_kernel
import support

BOOT = 300  # of an emulated machine on a busy host
# More of the same, which takes minutes on an emulated processor.
LONG = os.environ.get("NX_LONG")


@support.needs_root
class VirtualMachine(support.Case):
    @classmethod
    def prepare(cls):
        cls.world.write_config(extra=machine_kernel.settings())
        cls.image = cls.world.import_image()
        # The image's disk is made once, and stays.
        cls.world.run("run", "--rm", "--runtime", "vm", cls.image, "true", timeout=BOOT)

    def run_vm(self, *args, **kwargs):
        return self.world.run("run", "--rm", "--runtime", "vm", *args, timeout=BOOT, **kwargs)

    def detached(self, *command, options=(), **kwargs):
        name = self.world.new_id()
        answer = self.world.run("run", "-d", "--runtime", "vm", "--name", name, *options, self.image, *command,
                                timeout=BOOT, **kwargs)
        self.assertEqual(answer.code, 0, str(answer))
        self.addCleanup(self.world.run, "delete", "--force", name)
        return name

    def status(self, name):
        return self.world.run("state", name).json()["status"]

    def test_output_and_exit_codes(self):
        answer = self.run_vm(self.image, "sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual((answer.code, answer.out, answer.err), (7, "out\n", "err\n"), str(answer))
        self.assertEqual(self.run_vm(self.image, "true").code, 0)
        self.assertEqual(self.run_vm(self.image, "sh", "-c", "sh -c 'kill -9 $$'; exit $?").code, 137)

    def test_kvm_is_used_only_where_it_boots(self):
        """A device that is there proves nothing: what is found out is right on every host, and remembered."""
        def run():
            name = self.detached("true", env={"NEXCAGE_VM_ACCELERATOR": "auto"})
            return self.world.run("state", name).json()["annotations"]["org.nexcage.vm.accelerator"]

        taken = run()
        path = self.world.path("run", "@vm", "accelerator.json")
        if not os.path.exists(path):
            # Nothing to be found out, or a machine that only stood still.
            self.assertEqual(taken, "tcg")
            return
        with open(path, encoding="utf-8") as file:
            self.assertEqual(list(json.load(file)["answers"].values()), [taken])
        before = os.stat(path)
        self.assertEqual(run(), taken)
        after = os.stat(path)
        self.assertEqual((after.st_ino, after.st_mtime_ns), (before.st_ino, before.st_mtime_ns))

    def test_the_kernel_is_another(self):
        answer = self.run_vm(self.image, "uname", "-r")
        self.assertNotEqual(answer.out.strip(), os.uname().release, str(answer))

    def test_features_name_what_is_honoured_of_the_section_vm(self):
        annotations = self.world.run("--runtime", "vm", "features").json()["annotations"]
        self.assertEqual(annotations["org.nexcage.vm"].split(","),
                         ["vm.hypervisor.path", "vm.hypervisor.parameters", "vm.kernel.path", "vm.kernel.parameters",
                          "vm.kernel.initrd", "vm.image.path", "vm.image.format", "vm.hwConfig.vcpus", "vm.hwConfig.memory"])
        self.assertIn("user", annotations["org.nexcage.network"].split(","))

    def test_missing_command_is_127(self):
        answer = self.run_vm(self.image, "no-such-command")
        self.assertEqual(answer.code, 127, str(answer))

    def test_everything_comes_through(self):
        size = (100 if LONG else 16) << 20
        command = f"head -c {size} /dev/zero | tr '\\0' x"
        argv = self.world.argv("run", "--rm", "--runtime", "vm", self.image, "sh", "-c", command)
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=self.world.environment())
        count, digest = 0, hashlib.sha256()
        for part in iter(lambda: process.stdout.read(1 << 20), b""):
            count += len(part)
            digest.update(part)
        self.assertEqual((process.wait(), count), (0, size))
        self.assertEqual(digest.hexdigest(), hashlib.sha256(b"x" * size).hexdigest())

    def test_input_reaches_it(self):
        answer = self.run_vm("-i", self.image, "sh", "-c", "cat | wc -c", stdin="y" * 300000)
        self.assertEqual(answer.out.strip(), "300000", str(answer))

    def test_exec_state_pause_and_kill(self):
        name = self.detached("sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done")
        self.assertEqual(self.status(name), "running")
        answer = self.world.run("exec", name, "sh", "-c", "cat; exit 9", stdin="to exec")
        self.assertEqual((answer.code, answer.out), (9, "to exec"), str(answer))
        self.assertEqual(self.world.run("exec", name, "no-such-command").code, 127)
        self.assertEqual(self.world.run("pause", name).code, 0)
        self.assertEqual(self.status(name), "paused")
        self.assertEqual(self.world.run("resume", name).code, 0)
        self.assertEqual(self.world.run("kill", name, "TERM").code, 0)
        waited = self.world.run("wait", name, timeout=30)
        self.assertEqual(waited.out.strip(), "3", str(waited))
        self.assertEqual(self.status(name), "stopped")

    def test_a_killed_machine_is_stopped_and_can_be_deleted(self):
        name = self.detached("sleep", "1000")
        pid = self.world.run("state", name).json()["pid"]
        children = subprocess.run(["pgrep", "-P", str(pid), "qemu"], capture_output=True, text=True,
                                  check=False).stdout.split()
        self.assertEqual(len(children), 1)
        os.kill(int(children[0]), signal.SIGKILL)
        support.wait_for(lambda: self.status(name) == "stopped", what="the state stopped")
        annotations = self.world.run("state", name).json()["annotations"]
        self.assertIn("QEMU was ended by SIGKILL", annotations["org.nexcage.vm.reason"])
        self.assertEqual(annotations["org.nexcage.vm.accelerator"], "tcg")
        self.assertEqual(annotations["org.nexcage.vm.board"], "microvm")
        self.assertEqual(self.world.run("delete", name).code, 0)

    def test_of_a_process_that_has_ended_the_code_outlives_the_machine(self):
        """And its output, which nobody has read yet."""
        name, size = self.world.new_id(), 200_000  # more than a pipe holds, less than what may be under way
        process = self.world.popen("run", "--runtime", "vm", "--name", name, self.image, "sh", "-c",
                                   f"echo up; head -c {size} /dev/zero; exit 7", stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE)
        self.addCleanup(self.world.run, "delete", "--force", name)
        self.assertEqual(process.stdout.read(3), b"up\n")
        support.wait_for(lambda: "stopped" in self.world.run("exec", name, "true").err, what="the end of the process")
        pid = self.world.run("state", name).json()["pid"]
        qemu = subprocess.run(["pgrep", "-P", str(pid), "qemu"], capture_output=True, text=True, check=True).stdout
        os.kill(int(qemu), signal.SIGKILL)
        support.wait_for(lambda: not os.path.exists(f"/proc/{int(qemu)}"), what="the end of QEMU")
        out, _ = process.communicate(timeout=60)
        self.assertEqual((process.returncode, len(out)), (7, size))
        annotations = self.world.run("state", name).json()["annotations"]
        self.assertIn("QEMU was ended by SIGKILL", annotations["org.nexcage.vm.reason"])

    def test_a_killed_helper_takes_the_machine_along(self):
        name = self.detached("sleep", "1000")
        pid = self.world.run("state", name).json()["pid"]
        os.kill(pid, signal.SIGKILL)
        support.wait_for(lambda: self.status(name) == "stopped", what="the state stopped")
        support.wait_for(lambda: f"nexcage-{name}" not in "".join(
            " ".join(support.arguments(p)) for p in support.processes()), what="the end of QEMU")

    def test_a_helper_that_does_not_answer_can_be_deleted(self):
        name = self.detached("sleep", "1000")
        pid = self.world.run("state", name).json()["pid"]
        os.kill(pid, signal.SIGSTOP)
        self.assertEqual(self.status(name), "running")
        answer = self.world.run("delete", "--force", name, timeout=60)
        self.assertEqual(answer.code, 0, str(answer))
        support.wait_for(lambda: not os.path.exists(f"/proc/{pid}"), what="the helper to be reaped")

    def test_the_helper_is_not_in_the_hosts_network(self):
        bundle = self.world.bundle(["sleep", "1000"])
        name = self.world.new_id()
        self.addCleanup(self.world.run, "delete", "--force", name)
        answer = self.world.run("create", "--runtime", "vm", "--bundle", bundle, name, timeout=BOOT)
        self.assertEqual(answer.code, 0, str(answer))
        pid = self.world.run("state", name).json()["pid"]
        self.assertNotEqual(os.readlink(f"/proc/{pid}/ns/net"), os.readlink("/proc/self/ns/net"))

    def test_qemu_has_no_privileges(self):
        name = self.detached("sleep", "1000")
        pid = self.world.run("state", name).json()["pid"]
        qemu = subprocess.run(["pgrep", "-P", str(pid), "qemu"], capture_output=True, text=True, check=True).stdout.strip()

        def fields(process):
            with open(f"/proc/{process}/status", encoding="utf-8") as file:
                return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        of_qemu = fields(qemu)
        self.assertNotIn("0", of_qemu["Uid"].split())
        self.assertNotIn("0", of_qemu["Gid"].split())
        for sets in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"):
            self.assertEqual(int(of_qemu[sets], 16), 0, sets)
        self.assertEqual(of_qemu["NoNewPrivs"], "1")
        kill = 1 << 5
        self.assertEqual(int(fields(pid)["CapEff"], 16), kill)

    def run_at_once(self, count):
        argv = self.world.argv("run", "--rm", "--runtime", "vm", self.image, "echo", "here")
        running = [subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=self.world.environment())
                   for _ in range(count)]
        for process in running:
            out, _ = process.communicate(timeout=4 * BOOT)
            self.assertEqual((process.returncode, out), (0, b"here\n"))

    def links(self):
        return sorted(os.listdir("/sys/class/net"))

    def test_machines_one_after_the_other_and_side_by_side_leave_nothing(self):
        before, links = self.world.snapshot(), self.links()
        for _ in range(20 if LONG else 2):
            self.run_at_once(1)
        self.run_at_once(4 if LONG else 2)
        self.assert_same_host(before)
        self.assertEqual(self.links(), links)

    def kill_create_at(self, point, *options):
        before = self.world.snapshot()
        self.kill_at(point, "create", "--runtime", "vm", "--name", self.world.new_id(), *options, self.image, "true")
        self.assertEqual(self.world.run("list", "--format", "json").json(), [])
        self.assert_same_host(before)

    def kill_at(self, point, *command):
        with tempfile.TemporaryFile() as errors:
            process = self.world.popen(*command, env={"NEXCAGE_TESTPOINT": point}, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=errors)
            state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            if state.si_code != os.CLD_STOPPED:
                process.wait()
                errors.seek(0)
                self.fail(f"{point} was not reached: {errors.read().decode()}")
            process.send_signal(signal.SIGKILL)
            process.wait(10)

    def test_a_create_that_is_killed_leaves_nothing(self):
        for point in ("vm-helper-started", "vm-prepared"):
            with self.subTest(point=point):
                self.kill_create_at(point)

    @staticmethod
    def ip(*words):
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def network(self):
        """Name of a network namespace with two interfaces."""
        name = self.world.new_id()
        self.ip("ip", "netns", "add", name)
        self.addCleanup(self.ip, "ip", "netns", "delete", name)
        self.ip("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        for interface in ("eth0", "eth1"):
            self.ip("ip", "-n", name, "link", "set", interface, "up")
        return name

    def assert_not_redirected(self, network):
        self.assertNotIn("nxtap", self.ip("ip", "-n", network, "link"))
        self.assertNotIn("ingress", self.ip("tc", "-n", network, "qdisc", "show"))

    def test_a_create_that_is_killed_leaves_the_network_as_it_was(self):
        name = self.network()
        self.kill_create_at("vm-network-connected", "--network", f"ns:/run/netns/{name}")
        self.assert_not_redirected(name)

    def test_a_removal_that_is_killed_leaves_the_network_as_it_was(self):
        network = self.network()
        before = self.world.snapshot()
        name = self.detached("sleep", "1000", options=("--network", f"ns:/run/netns/{network}"))
        self.kill_at("vm-machine-removed", "delete", "--force", name)
        self.assertIn("ingress", self.ip("tc", "-n", network, "qdisc", "show"))
        self.assertEqual(self.world.run("list", "--format", "json").json(), [])
        self.assert_not_redirected(network)
        self.assert_same_host(before)

    def test_published_ports_lead_into_a_machine_from_which_nothing_goes_out(self):
        ports = ("-p", "127.0.0.1::80", "--network", "user")
        script = ("mkdir /www; echo fetched > /www/page; httpd -p 80 -h /www; "
                  "ip address show eth0; ip route; wget -T 5 -qO- http://10.0.2.2:1/ 2>&1; echo up; sleep 1000")
        name = self.detached("sh", "-c", script, options=ports)
        support.wait_for(lambda: "up\n" in self.world.run("logs", name).out, seconds=60, what="the server")
        self.assertIn("10.0.2.15/24", self.world.run("logs", name).out)
        published = self.world.run("state", name).json()["annotations"]["org.nexcage.network.ports"]
        address = published.split("->")[0]
        self.assertRegex(address, r"^127\.0\.0\.1:[0-9]+$")
        for _ in range(3):
            with urllib.request.urlopen(f"http://{address}/page", timeout=30) as answer:
                self.assertEqual(answer.read(), b"fetched\n")
        again = self.world.run("create", "--runtime", "vm", "--network", "user", "-p", f"{address}:80",
                               "--name", self.world.new_id(), self.image, "true", timeout=BOOT)
        self.assertIn("port " + address.split(":")[1], again.err.replace("127.0.0.1:", "port "))
        self.assertNotEqual(again.code, 0)
        self.assertEqual(self.world.run("delete", "--force", name).code, 0)
        with self.assertRaises(OSError):
            urllib.request.urlopen(f"http://{address}/page", timeout=5)

    def test_the_user_network_is_for_machines(self):
        answer = self.world.run("run", "--rm", "--runtime", "lxc", "--network", "user", self.image, "true")
        self.assertEqual(answer.code, 125, str(answer))
        self.assertIn("--network user", answer.err)

    def test_terminal(self):
        argv = self.world.argv("run", "--rm", "-it", "--runtime", "vm", self.image, "sh", "-c",
                               "tty; stty size; read word; echo got $word; exit 4")
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=self.world.environment(),
                                   start_new_session=True)
        os.close(slave)
        os.write(master, b"typed\n")
        text = b""
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while part := os.read(master, 4096):
                text += part
        os.close(master)
        self.assertEqual(process.wait(), 4, text)
        for word in (b"/dev/pts/0", b"33 99", b"got typed"):
            self.assertIn(word, text)

    def test_a_volume_outlives_its_machine(self):
        name = self.world.new_id()
        self.addCleanup(self.world.run, "delete", "--force", name)
        answer = self.world.run("run", "--runtime", "vm", "--name", name, "--annotation", "org.nexcage.raw=ext4",
                                "--annotation", "org.nexcage.raw.size=64m", self.image, "sh", "-c",
                                "cat /kept || echo first > /kept", timeout=BOOT)
        self.assertEqual((answer.code, answer.out), (0, ""), str(answer))
        self.assertEqual(self.world.run("start", name, timeout=BOOT).code, 0)
        self.world.run("wait", name, timeout=30)
        self.assertIn("first", self.world.run("logs", name).out)

    def test_what_has_no_meaning_is_refused_by_name(self):
        answer = self.world.run("run", "--rm", "--runtime", "vm", "--network", "host", self.image, "true")
        self.assertNotEqual(answer.code, 0)
        self.assertIn("linux.namespaces", answer.err)

    def test_without_a_kernel_the_command_that_makes_one_is_named(self):
        answer = self.run_vm(self.image, "true", env={"NEXCAGE_VM_KERNEL": "/no/such/kernel"})
        self.assertEqual(answer.code, 125, str(answer))
        self.assertIn("nexcage vm setup", answer.err)

    def test_a_directory_of_the_host(self):
        shared = self.world.path("shared")
        os.mkdir(shared)
        with open(os.path.join(shared, "in"), "w", encoding="utf-8") as file:
            file.write("from the host\n")
        answer = self.run_vm("-v", f"{shared}:/mnt", self.image, "sh", "-c", "cat /mnt/in; echo back > /mnt/out")
        self.assertEqual((answer.code, answer.out), (0, "from the host\n"), str(answer))
        with open(os.path.join(shared, "out"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "back\n")
        self.look_at_it_read_only(shared)
        with open(os.path.join(shared, "out"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "back\n")

    def look_at_it_read_only(self, shared):
        """What the host mounts below it while the machine runs stays the host's."""
        later = os.path.join(shared, "later")
        os.mkdir(later)
        subprocess.run(("mount", "--bind", shared, shared), check=True)
        self.addCleanup(subprocess.run, ("umount", "--recursive", shared), check=True)
        subprocess.run(("mount", "--make-shared", shared), check=True)
        script = "echo up; read word; echo no > /mnt/out; ls /mnt/later; echo no > /mnt/later/out; exit 5"
        process = self.world.popen("run", "--rm", "-i", "--runtime", "vm", "-v", f"{shared}:/mnt:ro", self.image,
                                   "sh", "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), "up\n")
        subprocess.run(("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", later), check=True)
        with open(os.path.join(later, "seen"), "w", encoding="utf-8"):
            pass
        out, err = process.communicate("go\n", timeout=BOOT)
        self.assertEqual((process.returncode, out), (5, ""), err)
        self.assertEqual(err.count("Read-only file system"), 2, err)
        self.assertEqual(os.listdir(later), ["seen"])

    def test_a_bundle_with_a_machine_of_its_own(self):
        bundle = self.world.bundle(["sh", "-c", "nproc; cat /proc/cmdline; grep MemTotal /proc/meminfo"])
        config = os.path.join(bundle, "config.json")
        with open(config, encoding="utf-8") as file:
            spec = json.load(file)
        kernel = machine_kernel.prepared_kernel()
        spec["vm"] = {"kernel": {"path": f"{kernel}/vmlinux", "initrd": f"{kernel}/initrd",
                                 "parameters": ["nexcage.word=given"]},
                      "hwConfig": {"vcpus": 2, "memory": 200 << 20}}
        with open(config, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        answer = self.world.run("run", "--runtime", "vm", "--bundle", bundle, self.world.new_id(), timeout=BOOT)
        self.assertEqual(answer.code, 0, str(answer))
        lines = answer.out.splitlines()
        self.assertEqual(lines[0], "2")
        self.assertIn("nexcage.word=given", lines[1])
        self.assertLess(int(lines[2].split()[1]), 200 << 10)


if __name__ == "__main__":
    unittest.main()
