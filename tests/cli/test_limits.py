"""Limits changed while a container runs, and what it used: `update` and `events`, read back from the files
of its control groups."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import unittest

import support

MEBI = 1 << 20


def controller_dir(name):
    """Where a version 1 controller of the host is mounted; None when it is on version 2 or absent."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            kind, _, options = rest.split()[:3]
            if kind == "cgroup" and name in options.split(","):
                return fields.split()[4]
    return None


class Limited(support.Case):
    """Containers whose cgroups a test can look into."""

    def start(self, args=("sleep", "1000"), **resources):
        container = self.world.new_id()
        bundle = self.world.bundle(args, linux={"resources": resources})
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.run_ok("create", "--bundle", bundle, container)
        self.run_ok("start", container)
        return container

    def limit(self, container, controller, file):
        """Content of one file of the container's cgroup, version 1."""
        path = os.path.join(controller_dir(controller), self.world.token, container, file)
        with open(path, encoding="utf-8") as content:
            return content.read().strip()

    def memory(self, container):
        return [int(self.limit(container, "memory", f"memory.{name}limit_in_bytes")) // MEBI
                for name in ("", "memsw.", "soft_")]


@support.needs_root
@unittest.skipUnless(controller_dir("memory"), "needs the memory controller on cgroup version 1")
class Update(Limited):
    @classmethod
    def prepare(cls):
        if not os.path.exists(controller_dir("memory") + "/memory.memsw.limit_in_bytes"):
            raise unittest.SkipTest("needs a kernel that counts swap (swapaccount=1)")

    def test_memory_and_swap_go_up_and_down_in_any_order(self):
        container = self.start(memory={"limit": 64 * MEBI, "swap": 128 * MEBI})
        for memory, swap in ((256, 512), (32, 48), (48, 48), (300, 300), (20, 400)):
            self.run_ok("update", "--memory", f"{memory}m", "--memory-swap", str(swap * MEBI), container)
            self.assertEqual(self.memory(container)[:2], [memory, swap])
        self.run_ok("update", "--memory", "-1", container)
        self.assertGreater(min(self.memory(container)[:2]), 1 << 40, "no limit of memory is none of swap")

    def test_what_is_not_named_stays(self):
        container = self.start(memory={"limit": 64 * MEBI, "swap": 128 * MEBI}, pids={"limit": 50},
                               cpu={"shares": 512, "quota": 20000, "period": 50000})
        self.run_ok("update", "--memory-reservation", "32m", "--pids-limit", "60", container)
        self.assertEqual(self.memory(container), [64, 128, 32])
        self.assertEqual(self.limit(container, "pids", "pids.max"), "60")
        self.run_ok("update", "--cpu-quota", "100000", "--cpu-period", "200000", "--cpu-share", "0", container)
        self.assertEqual([self.limit(container, "cpu", f"cpu.{f}") for f in ("cfs_quota_us", "cfs_period_us", "shares")],
                         ["100000", "200000", "512"])
        self.run_ok("update", "--cpu-quota=-1", "--cpu-share", "2048", "--cpuset-cpus", "0", container)
        self.assertEqual([self.limit(container, "cpu", f"cpu.{f}") for f in ("cfs_quota_us", "cfs_period_us", "shares")],
                         ["-1", "200000", "2048"])
        self.assertEqual(self.limit(container, "cpuset", "cpuset.cpus"), "0")
        self.run_ok("update", "--pids-limit", "-1", container)
        self.assertEqual(self.limit(container, "pids", "pids.max"), "max")

    def test_resources_from_a_file_and_from_standard_input(self):
        container = self.start(devices=[{"allow": False, "access": "rwm"}])
        file = self.world.path("resources.json")
        with open(file, "w", encoding="utf-8") as out:
            json.dump({"memory": {"limit": 64 * MEBI}, "pids": {"limit": 9}, "cpu": {"shares": 0}}, out)
        self.run_ok("update", f"--resources={file}", container)
        self.assertEqual(self.memory(container)[0], 64)
        self.assertEqual(self.limit(container, "pids", "pids.max"), "9")
        # Engines send the whole section of the spec again, device rules included.
        same = {"devices": [{"allow": False, "access": "rwm"}], "pids": {"limit": 10}}
        self.run_ok("update", "-r", "-", container, stdin=json.dumps(same))
        self.assertEqual(self.limit(container, "pids", "pids.max"), "10")
        answer, records = self.world.logged("update", "-r", "-", container,
                                            stdin='{"devices": [{"allow": true, "access": "rwm"}]}')
        self.assert_error(answer, records, "Unsupported", 1, "devices")
        answer, records = self.world.logged("update", "-r", "-", container, stdin='{"pids": {"limit": "many"}}')
        self.assert_error(answer, records, "InvalidSpec", 1, "/pids/limit")
        answer, records = self.world.logged("update", "-r", "-", container, stdin="no JSON")
        self.assert_error(answer, records, "InvalidJson", 1)
        answer, records = self.world.logged("update", "-r", file, "--pids-limit", "3", container)
        self.assert_error(answer, records, "InvalidSpec", 1, "--pids-limit", "--resources")

    def test_one_refused_limit_takes_the_others_back(self):
        container = self.start(memory={"limit": 64 * MEBI, "swap": 128 * MEBI}, pids={"limit": 50})
        processors = os.cpu_count()
        answer, records = self.world.logged("update", "--memory", "128m", "--pids-limit", "60", "--cpuset-cpus",
                                            str(processors + 100), container)
        self.assert_error(answer, records, "FileError", 1, "cpu.cpus", "cpuset.cpus")
        self.assertEqual(self.memory(container)[:2], [64, 128])
        self.assertEqual(self.limit(container, "pids", "pids.max"), "50")
        answer, records = self.world.logged("update", "--memory", "256m", container)
        self.assert_error(answer, records, "InvalidConfig", 1, "memory.limit", "swap")
        self.assertEqual(self.memory(container)[:2], [64, 128])

    def test_memory_that_is_in_use_cannot_be_taken(self):
        container = self.start(args=["sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=30; exec sleep 1000"],
                               memory={"limit": 128 * MEBI, "swap": 128 * MEBI})
        support.wait_for(lambda: int(self.limit(container, "memory", "memory.usage_in_bytes")) > 30 * MEBI)
        answer, records = self.world.logged("update", "--memory", "8m", "--memory-swap", "8m", container)
        self.assert_error(answer, records, "FileError", 1, "memory.limit")
        self.assertIn("bytes are in use", records[-1]["hint"])
        self.assertEqual(self.memory(container)[:2], [128, 128])

    def test_block_weight_in_the_file_that_this_kernel_has(self):
        container = self.start()
        directory = os.path.join(controller_dir("blkio"), self.world.token, container)
        names = [n for n in ("blkio.weight", "blkio.bfq.weight") if os.path.exists(os.path.join(directory, n))]
        if not names:
            answer, records = self.world.logged("update", "--blkio-weight", "200", container)
            self.assert_error(answer, records, "Unsupported", 1, "blockIO.weight")
            return
        self.run_ok("update", "--blkio-weight", "200", container)
        self.assertEqual(self.limit(container, "blkio", names[0]), "200")

    def test_a_container_that_has_ended(self):
        container = self.start()
        self.run_ok("kill", container, "KILL")
        support.wait_for(lambda: self.status(container) == "stopped")
        answer, records = self.world.logged("update", "--pids-limit", "5", container)
        self.assert_error(answer, records, "InvalidState", 1, "not running")
        answer, records = self.world.logged("events", "--stats", container)
        self.assert_error(answer, records, "InvalidState", 1, "not running")

    def test_while_it_is_paused_or_only_created(self):
        container = self.start()
        self.run_ok("pause", container)
        self.run_ok("update", "--pids-limit", "77", container)
        self.assertEqual(self.limit(container, "pids", "pids.max"), "77")
        self.run_ok("resume", container)
        created = self.world.new_id()
        self.addCleanup(self.world.run, "delete", "--force", created)
        self.run_ok("create", "--bundle", self.world.bundle(["true"]), created)
        self.run_ok("update", "--pids-limit", "78", created)
        self.assertEqual(self.limit(created, "pids", "pids.max"), "78")


@support.needs_root
class OtherRuntimes(support.Case):
    """The same verbs over crun and runc: update is theirs, statistics and ps are ours."""

    def life(self, runtime):
        def call(*args, **kwargs):
            argv = [f"{self.world.binary}-{runtime}", "--config", self.world.config, *map(str, args)]
            answer = self.world.raw(argv, **kwargs)
            self.assertEqual(answer.code, 0, str(answer))
            return answer

        if shutil.which(runtime) is None:
            self.skipTest(f"needs the package {runtime}")
        container = self.world.new_id()
        bundle = self.world.bundle(["sleep", "1000"], linux={"resources": {"pids": {"limit": 20}}})
        self.addCleanup(self.world.run, "delete", "--force", container)
        call("create", "--bundle", bundle, container)
        call("start", container)
        pid = call("state", container).json()["pid"]
        self.assertEqual(call("ps", "--format", "json", container).json(), [pid])
        self.assertEqual(call("events", "--stats", container).json()["data"]["pids"], {"current": 1, "limit": 20})
        call("update", "--pids-limit", 33, container)
        self.assertEqual(call("events", "--stats", container).json()["data"]["pids"]["limit"], 33)
        call("update", "-r", "-", container, stdin='{"pids": {"limit": 34}}')
        stats = call("events", "--stats", container).json()["data"]
        self.assertEqual(stats["pids"]["limit"], 34)
        self.assertGreater(stats["memory"]["usage"]["usage"], 0)
        call("delete", "--force", container)

    def test_runc(self):
        self.life("runc")

    def test_crun(self):
        with support.crun_can_run():
            self.life("crun")


@support.needs_root
class ExecCgroups(Limited):
    """exec --cgroup: a process in a cgroup below the container's."""

    def directories(self, container):
        found = [os.path.join(support.CGROUPS, name, self.world.token, container) for name in os.listdir(support.CGROUPS)]
        return [directory for directory in [os.path.join(support.CGROUPS, self.world.token, container), *found]
                if os.path.isdir(directory)]

    def test_below_the_containers_own(self):
        container = self.start()
        for directory in self.directories(container):
            os.mkdir(os.path.join(directory, "sub"))
        lines = self.run_ok("exec", "--cgroup", "/sub", container, "cat", "/proc/self/cgroup").out.splitlines()
        inside = [line for line in lines if line.endswith(f"{self.world.token}/{container}/sub")]
        self.assertEqual(len(inside), len(self.directories(container)), lines)
        lines = self.run_ok("exec", "--cgroup", "pids:sub", container, "cat", "/proc/self/cgroup").out.splitlines()
        inside = [line for line in lines if line.endswith("/sub")]
        self.assertEqual(len(inside), 1, lines)
        self.run_ok("exec", container, "true")
        for words in ("none", "pids:none", "nosuch:sub", "a:b:c", ".."):
            answer = self.world.run("exec", "--cgroup", words, container, "true")
            self.assertEqual(answer.code, 125, str(answer))
            self.assertIn("--cgroup", answer.err)
        self.run_ok("delete", "--force", container)
        self.assertEqual(self.directories(container), [])


@support.needs_root
class Events(Limited):
    def test_stats_once(self):
        container = self.start(args=["sh", "-c", "while :; do :; done"], pids={"limit": 20})
        support.wait_for(lambda: self.stats(container)["cpu"]["usage"].get("total", 0) > 0)
        data = self.stats(container)
        self.assertEqual(list(data), ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt",
                                      "network_interfaces"], "runc's members, in its order")
        self.assertEqual(data["pids"], {"current": 1, "limit": 20})
        self.assertGreater(data["memory"]["usage"]["usage"], 0)
        self.assertIn("failcnt", data["memory"]["swap"])

    def stats(self, container):
        event = self.run_ok("events", "--stats", container).json()
        self.assertEqual((event["type"], event["id"]), ("stats", container))
        return event["data"]

    def test_continuous_until_the_container_ends(self):
        container = self.start()
        process = self.world.popen("events", "--interval", "50ms", container, stdout=subprocess.PIPE)
        try:
            lines = [json.loads(process.stdout.readline()) for _ in range(3)]
            self.assertEqual({(l["type"], l["id"]) for l in lines}, {("stats", container)})
            self.run_ok("kill", container, "KILL")
            process.stdout.read()
            self.assertEqual(process.wait(20), 0)
        finally:
            process.stdout.close()
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait()

    @unittest.skipUnless(controller_dir("memory"), "needs the memory controller on cgroup version 1")
    def test_out_of_memory(self):
        eater = "read go < /tmp/go; dd if=/dev/zero of=/dev/null bs=64M count=1; sleep 1000"
        bundle = self.world.bundle(["sh", "-c", f"mkfifo /tmp/go; {eater}"],
                                   linux={"resources": {"memory": {"limit": 16 * MEBI, "swap": 16 * MEBI}}})
        container = self.world.new_id()
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.run_ok("create", "--bundle", bundle, container)
        self.run_ok("start", container)
        process = self.world.popen("events", "--interval", "100ms", container, stdout=subprocess.PIPE)
        try:
            process.stdout.readline()  # statistics: it is watching by now
            self.run_ok("exec", container, "sh", "-c", "echo go > /tmp/go")
            events = iter(process.stdout.readline, b"")
            oom = next((line for line in events if json.loads(line)["type"] != "stats"), None)
            self.assertEqual(json.loads(oom), {"type": "oom", "id": container})
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def test_interval_must_be_a_span_of_time(self):
        for interval in ("0s", "5", "-1s", ""):
            answer, records = self.world.logged("events", "--interval", interval, "none")
            self.assert_error(answer, records, "InvalidSpec", 1, "--interval")


if __name__ == "__main__":
    unittest.main()
