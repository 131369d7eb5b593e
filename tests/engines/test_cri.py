"""Kubernetes on nexcage, as far as a node sees it: pods through containerd's CRI with nexcage as the handler."""
import unittest
import urllib.request

import support
from cri import CriCase, fields_of
from engine import limit, read


def fetched(url):
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
            return answer.read()
    except OSError:
        return None


class Pods(CriCase):
    def test_life_of_a_pod(self):
        pod, config, address = self.pod({18082: 80})
        web = self.container(pod, config, "web", "echo up; mkdir /tmp/w; echo hello > /tmp/w/index.html; "
                             "exec httpd -f -p 80 -h /tmp/w", memory=64 << 20, cpu_quota=50000)
        for url in (f"http://{address}/", "http://127.0.0.1:18082/"):
            self.assertEqual(support.wait_for(lambda u=url: fetched(u), what=url), b"hello\n")
        log = self.world.path("pod-logs/web.log")
        support.wait_for(lambda: read(log).endswith("stdout F up"))

        pid = next(p for p in support.processes() if support.arguments(p)[:1] == ["httpd"])
        self.assertEqual(limit(pid, "memory", "memory.limit_in_bytes", "memory.max"), str(64 << 20))
        self.assertEqual(limit(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0], "50000")
        self.call("UpdateContainerResources", {1: web, 2: {4: 96 << 20}})
        self.assertEqual(limit(pid, "memory", "memory.limit_in_bytes", "memory.max"), str(96 << 20))
        self.assertTrue(self.call("ContainerStats", {1: web}))

        self.assertEqual(self.execute(web, "sh", "-c", "hostname; exit 5"), (5, "podhost\n"))
        # A second container is in the same network, ipc and uts namespace, and has its own root.
        side = self.container(pod, config, "side", "exec sleep 1000")
        spaces = [self.execute(c, "sh", "-c", "for n in net ipc uts mnt; do readlink /proc/self/ns/$n; done")[1].split()
                  for c in (web, side)]
        self.assertEqual([a == b for a, b in zip(*spaces)], [True, True, True, False])
        self.assertEqual(self.execute(side, "wget", "-q", "-O", "-", "http://127.0.0.1/"), (0, "hello\n"))

        self.call("StopContainer", {1: web, 2: 5})
        status = fields_of(self.call("ContainerStatus", {1: web})[1][0])
        self.assertEqual((status[3], status[7]), ([2], [143]))  # CONTAINER_EXITED, SIGTERM
        self.call("RemoveContainer", {1: web})

    def test_command_that_is_missing(self):
        pod, config, _ = self.pod()
        container = self.call("CreateContainer", {1: pod, 2: {1: {1: "x"}, 2: {1: "localhost/bb:1"}, 3: "/no/such"}, 3: config})
        with self.assertRaisesRegex(Exception, "(?i)/no/such.*no such file or directory"):
            self.call("StartContainer", {1: container[1][0].decode()})


if __name__ == "__main__":
    unittest.main()
