"""Runs inside the virtual machine: what the test machine itself cannot show, on every backend. Pure cgroup v2 with
all controllers, all capabilities, AppArmor, CRIU.
"""
import functools
import os
import shutil
import subprocess
import tempfile
import unittest

import support

PROFILE = """
profile nexcage-test flags=(attach_disconnected,mediate_deleted) {
  file,
  capability,
  signal,
  mount,
  pivot_root,
  umount,
  unix,
  deny /forbidden w,
}
"""
# What `criu check` asks of the kernel.
CRIU_MODULES = ("tun", "veth", "nfnetlink", "nf_tables", "macvlan", "inet_diag", "tcp_diag", "udp_diag", "raw_diag", "unix_diag",
                "netlink_diag", "af_packet_diag")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read().strip()


IMAGE = "localhost/bb:1"


@functools.cache
def podman():
    """The client with a store of its own that has the image."""
    base = tempfile.mkdtemp(prefix="nexcage-podman.")
    argv = ["podman", "--root", base + "/root", "--runroot", base + "/run", "--events-backend", "file"]
    subprocess.run([*argv, "import", "-q", "-c", "ENV PATH=/bin", "-", IMAGE], input=support.busybox_layer(), check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return argv


class Suite:
    """The tests of one backend. NX_BARE=1 in the environment: the bare program, to tell its ways from ours."""

    backend = ""
    unit_has_limits = True  # the limits are properties of the systemd unit, too, and outlive its daemon-reload

    @classmethod
    def setUpClass(cls):
        if cls.backend not in os.environ["NX_BACKENDS"].split(","):
            raise unittest.SkipTest(f"{cls.backend} is not asked for")
        if cls.backend != "lxc" and not shutil.which(cls.backend):
            raise unittest.SkipTest(f"{cls.backend} is not installed")
        bare = os.environ.get("NX_BARE")
        binary = shutil.which(cls.backend) if bare else os.path.join(support.BUILD, "bin", "nexcage-" + cls.backend)
        if not bare and support.absent_backend(binary):
            raise unittest.SkipTest(support.absent_backend(binary))
        cls.world = support.World(binary)
        cls.addClassCleanup(cls.world.destroy)
        if bare:
            cls.world.argv = lambda *args: [binary, "--root", cls.world.path("run"), *map(str, args)]

    def command(self, *args, code=0, stdin=""):
        answer = self.world.run(*args, stdin=stdin)
        if code is not None:
            self.assertEqual(answer.code, code, str(answer))
        return answer

    def detached(self, bundle):
        """A running container, deleted after the test. Its streams are /dev/null: CRIU takes no deleted file."""
        container = self.world.new_id()
        self.addCleanup(self.world.run, "delete", "--force", container)
        null = subprocess.DEVNULL
        self.assertEqual(self.world.popen("run", "--detach", "--bundle", bundle, container, stdin=null, stdout=null,
                                          stderr=null).wait(60), 0)
        return container

    def state(self, container):
        return self.command("state", container).json()

    def test_life_cycle_and_limits(self):
        parent = f"/{self.world.token}"
        resources = {"memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20}, "pids": {"limit": 50},
                     "cpu": {"quota": 50000, "period": 100000, "shares": 512, "cpus": "0"},
                     "unified": {"memory.high": str(48 << 20)}}
        bundle = self.world.bundle(["sleep", "1000"], linux={"resources": resources, "cgroupsPath": f"{parent}/one"})
        container = self.world.new_id()
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.command("create", "--bundle", bundle, container)
        self.assertEqual(self.state(container)["status"], "created")
        self.command("start", container)
        pid = self.state(container)["pid"]
        group = support.CGROUPS + read(f"/proc/{pid}/cgroup").split("::")[1]
        self.assertTrue(group.startswith(f"{support.CGROUPS}{parent}/one"), group)

        expected = {"memory.max": str(64 << 20), "memory.swap.max": str(32 << 20), "memory.low": str(32 << 20),
                    "pids.max": "50", "cpu.max": "50000 100000", "cpuset.cpus": "0", "memory.high": str(48 << 20)}
        self.assertEqual({name: read(group, name) for name in expected}, expected)
        self.assertIn(read(group, "cpu.weight"), ("20", "59"))  # 512 shares: by the older and the newer rule

        self.command("exec", container, "sh", "-c", "exit 7", code=7)
        self.command("pause", container)
        self.assertEqual(read(group, "cgroup.freeze"), "1")
        self.assertEqual(self.state(container)["status"], "paused")
        self.command("resume", container)
        self.assertEqual(self.state(container)["status"], "running")
        self.command("update", "--memory", 70 << 20, "--memory-swap", 80 << 20, "--pids-limit", 60, container)
        self.assertEqual([read(group, name) for name in ("memory.max", "memory.swap.max", "pids.max")],
                         [str(70 << 20), str(10 << 20), "60"])
        self.command("kill", container, "KILL")
        support.wait_for(lambda: self.state(container)["status"] == "stopped")
        self.command("delete", container)
        self.assertFalse(os.path.exists(group))

    def limited(self, **resources):
        """A running container with limits and the directory of its cgroup."""
        container = self.detached(self.world.bundle(["sleep", "1000"], linux={"resources": resources}))
        pid = self.state(container)["pid"]
        return container, support.CGROUPS + read(f"/proc/{pid}/cgroup").split("::")[1]

    def test_statistics(self):
        if os.environ.get("NX_BARE") and self.backend == "crun":
            self.skipTest("crun has no events")
        container, _ = self.limited(memory={"limit": 64 << 20, "swap": 96 << 20}, pids={"limit": 50})
        event = self.command("events", "--stats", container).json()
        self.assertEqual((event["type"], event["id"]), ("stats", container))
        data = event["data"]
        self.assertEqual(data["pids"], {"current": 1, "limit": 50})
        self.assertGreater(data["cpu"]["usage"]["total"], 0)
        self.assertGreater(data["memory"]["usage"]["usage"], 0)
        self.assertEqual(data["memory"]["usage"]["limit"], 64 << 20)
        self.assertEqual(data["memory"]["swap"]["limit"], 96 << 20, "memory and swap together, as on version 1")
        self.assertIn("anon", data["memory"]["raw"])

    def test_memory_limit_kills(self):
        bundle = self.world.bundle(["tail", "-c", "60m", "/dev/zero"],
                                   linux={"resources": {"memory": {"limit": 16 << 20, "swap": 16 << 20}}})
        self.command("run", "--bundle", bundle, self.world.new_id(), code=137)

    def test_device_rules_by_ebpf(self):
        # 1:11 is /dev/kmsg: nobody's default; allowed by the second rule in the second container only.
        caps = ["CAP_MKNOD", "CAP_SYSLOG"]
        for allowed in (False, True):
            rules = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "access": "m"}]
            rules += [{"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rw"}] if allowed else []
            bundle = self.world.bundle(
                ["sh", "-c", "mknod /k c 1 11 || exit 9; echo x > /dev/null || exit 8; exec 3</k"],
                process={"capabilities": {kind: caps for kind in ("bounding", "effective", "permitted")}},
                linux={"resources": {"devices": rules}})
            with self.subTest(allowed=allowed):
                answer = self.command("run", "--bundle", bundle, self.world.new_id(), code=None)
                self.assertEqual("Operation not permitted" in answer.err, not allowed, str(answer))
                self.assertEqual(answer.code == 0, allowed, str(answer))

    def test_apparmor_profile(self):
        if not shutil.which("apparmor_parser"):
            self.skipTest("apparmor is not installed")
        subprocess.run(["apparmor_parser", "--replace", "--skip-cache"], input=PROFILE, text=True, check=True,
                       stdout=subprocess.DEVNULL)
        bundle = self.world.bundle(["sh", "-c", "echo x > /forbidden; echo y > /allowed; exec sleep 1000"],
                                   process={"apparmorProfile": "nexcage-test"})
        container = self.detached(bundle)
        pid = self.state(container)["pid"]
        support.wait_for(lambda: read(f"/proc/{pid}/comm") == "sleep")
        self.assertEqual(read(f"/proc/{pid}/attr/current"), "nexcage-test (enforce)")
        self.assertTrue(os.path.exists(os.path.join(bundle, "rootfs/allowed")))
        self.assertFalse(os.path.exists(os.path.join(bundle, "rootfs/forbidden")))
        self.assertEqual(self.command("exec", container, "cat", "/proc/self/attr/current").out.strip(),
                         "nexcage-test (enforce)")

    def test_what_needs_every_capability(self):
        caps = ["CAP_SYS_RESOURCE", "CAP_SYS_ADMIN", "CAP_AUDIT_WRITE"]
        bundle = self.world.bundle(
            ["sh", "-c", "ulimit -Hn; cat /proc/self/oom_score_adj; grep CapEff /proc/self/status | cut -f2"],
            process={"capabilities": {kind: caps for kind in ("bounding", "effective", "permitted")}, "oomScoreAdj": -500,
                     "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1 << 20, "hard": 1 << 20}]})
        answer = self.command("run", "--bundle", bundle, self.world.new_id())
        self.assertEqual(answer.out.split(), [str(1 << 20), "-500", f"{1 << 24 | 1 << 21 | 1 << 29:016x}"])

    def test_systemd_scope(self):
        if read("/proc/1/comm") != "systemd":
            self.skipTest("systemd is not installed")
        name = self.world.new_id()
        unit = f"nxt-{name}.scope"
        bundle = self.world.bundle(["sleep", "1000"], linux={"cgroupsPath": f"system.slice:nxt:{name}",
                                                             "resources": {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}})
        self.addCleanup(self.world.run, "--systemd-cgroup", "delete", "--force", name)
        answer = self.command("--systemd-cgroup", "run", "--detach", "--bundle", bundle, name, code=None)
        if self.backend == "lxc" and "cgroups made by systemd" in answer.err:
            self.skipTest(answer.err.strip())
        self.assertEqual(answer.code, 0, str(answer))
        pid = self.state(name)["pid"]
        shown = subprocess.run(["systemctl", "show", "-p", "ActiveState,MemoryMax,TasksMax,Slice", unit], capture_output=True,
                               text=True, check=True).stdout.split()
        limits = [f"MemoryMax={64 << 20}", "TasksMax=50"] if self.unit_has_limits else [
            word for word in shown if "Max=" in word]
        self.assertEqual(sorted(shown), sorted(["ActiveState=active", "Slice=system.slice", *limits]))
        group = support.CGROUPS + read(f"/proc/{pid}/cgroup").split("::")[1]
        self.assertIn(f"/system.slice/{unit}", group)
        self.assertEqual(read(group, "memory.max"), str(64 << 20))
        self.assertEqual(self.command("exec", name, "sh", "-c", "exit 7", code=7).code, 7)
        self.command("kill", name, "KILL")
        support.wait_for(lambda: self.state(name)["status"] == "stopped")
        self.command("--systemd-cgroup", "delete", name)
        self.assertFalse(os.path.exists(group))
        self.assertEqual(subprocess.run(["systemctl", "is-active", unit], capture_output=True, text=True, check=False).stdout,
                         "inactive\n")

    def test_podman_as_it_comes(self):
        # On a machine with systemd Podman asks for scopes, unless told otherwise.
        if not shutil.which("podman"):
            self.skipTest("podman is not installed")
        def run(manager):
            return self.world.raw([*podman(), "--cgroup-manager", manager, "--runtime", self.world.binary, "run", "--rm",
                                   "--network=none", "--memory=64m", "--pids-limit=50", IMAGE, "sh", "-c",
                                   "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max; exit 7"])

        answer = run("systemd" if read("/proc/1/comm") == "systemd" else "cgroupfs")
        if self.backend == "lxc" and "cgroups made by systemd" in answer.err:
            answer = run("cgroupfs")
        self.assertEqual((answer.code, answer.out.split()), (7, [str(64 << 20), "50"]), str(answer))

    def counting(self):
        """A container that counts; the counter's file is in the bundle."""
        bundle = self.world.bundle(["sh", "-c", "n=0; while :; do n=$((n+1)); echo $n > /counter; sleep 0.1; done"])
        container = self.detached(bundle)
        counter = os.path.join(bundle, "rootfs/counter")
        support.wait_for(lambda: os.path.exists(counter) and int(read(counter) or 0) > 3)
        return bundle, container, counter


class Lxc(Suite, unittest.TestCase):
    backend = "lxc"

    def test_an_update_leaves_the_rest_and_holds_together_or_not_at_all(self):
        container, group = self.limited(memory={"limit": 64 << 20, "swap": 96 << 20},
                                        cpu={"quota": 50000, "period": 200000}, pids={"limit": 50})
        self.command("update", "--cpu-quota", 20000, "--memory-swap", 80 << 20, container)
        self.assertEqual([read(group, name) for name in ("cpu.max", "memory.max", "memory.swap.max", "pids.max")],
                         ["20000 200000", str(64 << 20), str(16 << 20), "50"])
        self.command("update", "--cpu-period", 100000, "--cpu-share", 1024, "--memory", "-1", container)
        self.assertEqual([read(group, name) for name in ("cpu.max", "cpu.weight", "memory.max", "memory.swap.max")],
                         ["20000 100000", "39", "max", "max"])
        answer = self.command("update", "--pids-limit", 60, "--cpuset-cpus", 99, "--memory", 70 << 20, container, code=1)
        self.assertIn("cpuset.cpus", answer.err)
        self.assertEqual([read(group, name) for name in ("pids.max", "memory.max", "memory.swap.max")], ["50", "max", "max"])
        answer = self.command("update", "--cpu-rt-period", 5000, container, code=1)
        self.assertIn("cgroup version 2 has no such setting", answer.err)
        answer = self.command("update", "-r", "-", container, code=1,
                              stdin='{"memory": {"limit": 4096, "checkBeforeUpdate": true}}')
        self.assertIn("bytes are in use", answer.err)

    def test_the_limits_of_a_scope_outlive_a_reload(self):
        if read("/proc/1/comm") != "systemd":
            self.skipTest("systemd is not installed")
        name = self.world.new_id()
        devices = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rw"}]
        resources = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}, "devices": devices,
                     "cpu": {"quota": 50000, "period": 100000, "cpus": "0"}}
        bundle = self.world.bundle(["sleep", "1000"], linux={"cgroupsPath": f"nxt-a.slice:p:{name}", "resources": resources})
        self.addCleanup(self.world.run, "delete", "--force", name)
        self.command("--systemd-cgroup", "run", "--detach", "--bundle", bundle, name)
        group = support.CGROUPS + read(f"/proc/{self.state(name)['pid']}/cgroup").split("::")[1]
        self.assertIn(f"/nxt.slice/nxt-a.slice/p-{name}.scope", group)
        self.command("update", "--memory", 70 << 20, "--pids-limit", 60, name)
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        files = ("memory.max", "pids.max", "cpu.max", "cpuset.cpus")
        self.assertEqual([read(group, file) for file in files], [str(70 << 20), "60", "50000 100000", "0"])
        shown = subprocess.run(["systemctl", "show", "-p", "DevicePolicy,DeviceAllow", f"p-{name}.scope"], capture_output=True,
                               text=True, check=True).stdout
        self.assertIn("DevicePolicy=strict", shown)
        self.assertIn("/dev/char/1:11 rw", shown)
        self.command("exec", name, "sh", "-c", "echo x > /dev/null")
        # The same name is refused while the scope is there, and is free afterwards.
        self.command("delete", "--force", name)
        self.assertFalse(os.path.exists(group))
        self.command("--systemd-cgroup", "run", "--detach", "--bundle", bundle, name)

    def test_a_scope_goes_with_a_create_that_is_killed(self):
        if read("/proc/1/comm") != "systemd":
            self.skipTest("systemd is not installed")
        name = self.world.new_id()
        hooks = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $PPID; sleep 1"]}]}
        bundle = self.world.bundle(["true"], hooks=hooks, linux={"cgroupsPath": f"system.slice:nxt:{name}"})
        self.command("--systemd-cgroup", "create", "--bundle", bundle, name, code=-9)
        self.command("list")  # any command finishes the roll-back
        self.assertEqual(self.command("list", "--quiet").out, "")
        support.wait_for(lambda: subprocess.run(["systemctl", "is-active", f"nxt-{name}.scope"], capture_output=True,
                                                text=True, check=False).stdout == "inactive\n")
        self.assertFalse(os.path.exists(f"{support.CGROUPS}/system.slice/nxt-{name}.scope"))

    def test_out_of_memory_is_an_event(self):
        container, _ = self.limited(memory={"limit": 16 << 20, "swap": 16 << 20})
        events = self.world.popen("events", "--interval", "500ms", container, stdout=subprocess.PIPE, text=True)
        self.addCleanup(events.stdout.close)
        self.addCleanup(events.wait)
        self.addCleanup(events.kill)
        self.assertIn("stats", events.stdout.readline())
        self.command("exec", container, "tail", "-c", "60m", "/dev/zero", code=137)
        found = next((line for line in events.stdout if "stats" not in line), "")
        self.assertEqual(found, f'{{"type":"oom","id":"{container}"}}\n')
        self.command("kill", container, "KILL")
        self.assertEqual(events.wait(60), 0)

    def test_checkpoint_is_refused(self):
        _, container, _ = self.counting()
        answer = self.command("checkpoint", "--image-path", self.world.path("image"), container, code=1)
        self.assertIn("checkpoint", answer.err)
        self.assertEqual(self.state(container)["status"], "running")


class Crun(Suite, unittest.TestCase):
    backend = "crun"
    unit_has_limits = False


class Runc(Suite, unittest.TestCase):
    backend = "runc"

    def test_checkpoint_and_restore(self):
        if not shutil.which("criu"):
            self.skipTest("criu is not installed")
        subprocess.run(["modprobe", "-a", *CRIU_MODULES], check=True)
        bundle, container, counter = self.counting()
        image, work = self.world.path("image"), self.world.path("work")
        answer = self.command("checkpoint", "--image-path", image, "--work-path", work, container, code=None)
        self.assertEqual(answer.code, 0, f"{answer}\n{[line for line in read(work, 'dump.log').splitlines() if 'Error' in line]}")
        self.assertIn("inventory.img", os.listdir(image))
        reached = int(read(counter))
        support.wait_for(lambda: self.world.run("state", container).code != 0 or self.state(container)["status"] == "stopped")
        if self.world.run("state", container).code == 0:
            self.command("delete", container)
        null = subprocess.DEVNULL
        restored = self.world.popen("restore", "--detach", "--image-path", image, "--work-path", work, "--bundle", bundle,
                                    container, stdin=null, stdout=null, stderr=null).wait(60)
        self.assertEqual(restored, 0, read(work, "restore.log") if os.path.exists(f"{work}/restore.log") else "")
        self.assertEqual(self.state(container)["status"], "running")
        support.wait_for(lambda: int(read(counter) or 0) > reached + 2, what="the counter to go on")


if __name__ == "__main__":
    unittest.main()
