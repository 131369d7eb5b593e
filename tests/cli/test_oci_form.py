"""The OCI runtime's command line: bundles, create and start apart, hooks, console socket."""
import array
import json
import os
import socket
import stat
import subprocess
import unittest

import subreaper
import support

POINTS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]


@support.needs_root
class LifeCycle(support.Case):
    def create(self, bundle, *options, container=None, **kwargs):
        container = container or self.world.new_id()
        answer = self.world.run("create", "--bundle", bundle, *options, container, **kwargs)
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.assertEqual(answer.code, 0, str(answer))
        return container

    def test_created_waits_for_start(self):
        marker = self.world.path("marker")
        bundle = self.world.bundle(["sh", "-c", "echo ran > /mnt/ran; exec sleep 100"], mounts=[
            {"destination": "/mnt", "type": "bind", "source": self.world.dir, "options": ["bind"]}])
        container = self.create(bundle, "--pid-file", marker)
        state = self.run_ok("state", container).json()
        self.assertEqual(state["ociVersion"].split(".")[0], "1")
        self.assertEqual((state["id"], state["status"], state["bundle"]), (container, "created", bundle))
        with open(marker, encoding="utf-8") as file:
            self.assertEqual(int(file.read()), state["pid"])
        self.assertFalse(os.path.exists(self.world.path("ran")), "the user process ran before start")
        self.run_ok("start", container)
        support.wait_for(lambda: os.path.exists(self.world.path("ran")))
        self.assertEqual(self.status(container), "running")
        self.assertEqual(self.run_ok("state", container).json()["pid"], state["pid"])
        answer, records = self.world.logged("start", container)
        self.assert_error(answer, records, "InvalidState", 1)
        self.run_ok("kill", container, "9")
        support.wait_for(lambda: self.status(container) == "stopped")
        answer, records = self.world.logged("kill", container, "TERM")
        self.assert_error(answer, records, "InvalidState", 1)
        self.run_ok("delete", container)
        answer, records = self.world.logged("state", container)
        self.assert_error(answer, records, "ContainerNotFound", 1)

    def test_run_with_a_bundle(self):
        container = self.world.new_id()
        answer = self.world.run("run", "--bundle", self.world.bundle(["sh", "-c", "echo in bundle; exit 3"]), container)
        self.assertEqual((answer.code, answer.out), (3, "in bundle\n"), str(answer))

    def test_config_file_elsewhere(self):
        bundle = self.world.bundle(["sleep", "9"])
        other = self.world.path("other.json")
        spec = support.spec_of(["echo", "other"])
        with open(other, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        answer = self.world.run("run", "-f", other, "--bundle", bundle, self.world.new_id())
        self.assertEqual(answer.out, "other\n", str(answer))

    def test_the_caller_that_is_the_subreaper_gets_the_exit_status(self):
        # What conmon and containerd's shim rely on: init is re-parented to the nearest subreaper.
        bundle, container = self.world.bundle(["sh", "-c", "sleep 0.2; exit 42"]), self.world.new_id()
        answer = subreaper.exit_status(self.world, self.world.binary, bundle, container)
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.assertEqual((answer.code, answer.out), (0, "42\n"), str(answer))

    def test_hooks_in_order_with_the_state(self):
        out = self.world.path("hooks.log")
        # The container's own hooks see its files: a bind mount takes the log in.
        hook = lambda point, shell, log: {"path": shell, "args": ["sh", "-c", f"(echo {point}; cat; echo) >> {log}"],
                                          "env": ["PATH=/bin:/usr/bin"]}
        inside = {"startContainer"}
        hooks = {p: [hook(p, "/bin/sh", "/mnt/hooks.log" if p in inside else out)] for p in POINTS}
        bundle = self.world.bundle(["sleep", "100"], hooks=hooks, annotations={"a": "b"}, mounts=[
            {"destination": "/mnt", "type": "bind", "source": self.world.dir, "options": ["bind"]}])
        container = self.create(bundle)
        pid = self.run_ok("state", container).json()["pid"]
        self.run_ok("start", container)
        self.run_ok("delete", "--force", container)
        with open(out, encoding="utf-8") as file:
            text = file.read()
        seen = self.entries(text)
        self.assertEqual([p for p, _ in seen], POINTS, text)
        for point, state in seen:
            with self.subTest(hook=point):
                self.assertEqual(state["id"], container)
                self.assertEqual(state["bundle"], bundle)
                self.assertEqual(state["annotations"], {"a": "b"})
                # Hooks that run inside the container see its init as pid 1.
                if point != "poststop":
                    self.assertEqual(state["pid"], 1 if point in ("createContainer", "startContainer") else pid)
        expected = {"prestart": ("creating", "created"), "createRuntime": ("creating", "created"),
                    "createContainer": ("creating", "created"), "startContainer": ("created",),
                    "poststart": ("running",), "poststop": ("stopped",)}
        for point, state in seen:
            self.assertIn(state["status"], expected[point], point)

    @staticmethod
    def entries(text):
        """Pairs of hook point and the JSON that followed it."""
        decoder, found = json.JSONDecoder(), []
        while text.strip():
            point, _, rest = text.lstrip().partition("\n")
            state, end = decoder.raw_decode(rest.lstrip())
            found.append((point, state))
            text = rest.lstrip()[end:]
        return found

    def test_hooks_get_their_environment_only(self):
        out = self.world.path("env.log")
        hooks = {"createRuntime": [
            {"path": "/bin/sh", "args": ["sh", "-c", f"/usr/bin/env > {out}"], "env": ["ONLY=this"]}]}
        container = self.create(self.world.bundle(["true"], hooks=hooks), env={"SECRET": "x"})
        with open(out, encoding="utf-8") as file:
            text = file.read()
        self.assertIn("ONLY=this", text)
        self.assertNotIn("SECRET", text, container)

    def test_preserved_descriptors(self):
        with open(self.world.path("given"), "w+", encoding="utf-8") as file:
            bundle = self.world.bundle(["sh", "-c", "echo through >&3"])
            os.dup2(file.fileno(), 3, inheritable=True) if file.fileno() != 3 else os.set_inheritable(3, True)
            answer = self.world.run("run", "--preserve-fds", "1", "--bundle", bundle, self.world.new_id(), pass_fds=(3,))
            self.assertEqual(answer.code, 0, str(answer))
        with open(self.world.path("given"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "through\n")

    def test_console_socket_receives_the_terminal(self):
        path = self.world.path("console.sock")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen(1)
            bundle = self.world.bundle(["sh", "-c", "tty; exec sleep 100"], process={"terminal": True})
            container = self.create(bundle, "--console-socket", path)
            server.settimeout(10)
            connection, _ = server.accept()
            with connection:
                _, control, _, _ = connection.recvmsg(64, socket.CMSG_SPACE(4))
            fds = array.array("i", control[0][2][:4])
            try:
                self.assertTrue(os.isatty(fds[0]))
                self.run_ok("start", container)
                self.assertIn(b"/dev/", os.read(fds[0], 100))
            finally:
                os.close(fds[0])

    def test_created_container_with_a_terminal_holds_nothing_of_the_caller(self):
        # containerd's shim reads what `create` prints until the pipe is closed, before it asks for `start`.
        path = self.world.path("console2.sock")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen(1)
            bundle = self.world.bundle(["sleep", "100"], process={"terminal": True})
            argv = self.world.argv("create", "--bundle", bundle, "--console-socket", path, container := self.world.new_id())
            self.addCleanup(self.world.run, "delete", "--force", container)
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_terminal_without_console_socket_is_refused(self):
        bundle = self.world.bundle(["true"], process={"terminal": True})
        answer, records = self.world.logged("create", "--bundle", bundle, self.world.new_id())
        self.assertEqual(answer.code, 1, str(answer))
        self.assertIn("console", records[-1]["msg"])

    def test_pid_file_is_private_to_its_writer(self):
        path = self.world.path("pidfile")
        self.create(self.world.bundle(["sleep", "9"]), "--pid-file", path)
        self.assertEqual(os.stat(path).st_mode & stat.S_IWOTH, 0)

    def test_state_directory_is_not_for_others(self):
        container = self.create(self.world.bundle(["sleep", "9"]))
        self.assertEqual(os.stat(self.world.path("run", container)).st_mode & 0o077, 0)

    def test_process_settings(self):
        script = "id -u; id -g; id -G; umask; cat /proc/self/status | grep -E '^(CapBnd|NoNewPrivs)'; cat /proc/self/oom_score_adj; ulimit -n; pwd"
        bundle = self.world.bundle(["sh", "-c", script], process={
            "user": {"uid": 1000, "gid": 1001, "additionalGids": [7], "umask": 0o77}, "cwd": "/tmp", "oomScoreAdj": 100,
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 321, "hard": 321}]})
        answer = self.world.run("run", "--bundle", bundle, self.world.new_id())
        self.assertEqual(answer.out.split("\n")[:4], ["1000", "1001", "1001 7", "0077"], str(answer))
        self.assertIn("NoNewPrivs:\t1", answer.out)
        self.assertIn("CapBnd:\t0000000020000420", answer.out)
        self.assertTrue(answer.out.endswith("100\n321\n/tmp\n"), answer.out)

    def test_masked_and_read_only_paths_and_sysctl(self):
        bundle = self.world.bundle(
            ["sh", "-c", "head -c 1 /proc/kcore | wc -c; echo 1 > /proc/sys/kernel/domainname; cat /proc/sys/net/ipv4/ip_forward"],
            linux={"sysctl": {"net.ipv4.ip_forward": "1"}})
        answer = self.world.run("run", "--bundle", bundle, self.world.new_id())
        self.assertEqual(answer.out, "0\n1\n", str(answer))
        self.assertIn("Read-only", answer.err)

    def test_read_only_root(self):
        bundle = self.world.bundle(["touch", "/x"], root={"readonly": True})
        answer = self.world.run("run", "--bundle", bundle, self.world.new_id())
        self.assertNotEqual(answer.code, 0)
        self.assertIn("Read-only", answer.err)

    def test_seccomp_filter_applies(self):
        bundle = self.world.bundle(["sh", "-c", "mkdir /forbidden; echo status $?"], linux={"seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}})
        answer = self.world.run("run", "--bundle", bundle, self.world.new_id())
        self.assertEqual(answer.out, "status 1\n", str(answer))
        self.assertIn("No space left", answer.err)

    def test_user_namespace(self):
        # In a chroot the kernel makes none, not even for root (user_namespaces(7), EPERM).
        if subprocess.run(["unshare", "--user", "true"], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("needs user namespaces: not in a chroot")
        bundle = self.world.bundle(["sh", "-c", "cat /proc/self/uid_map; id -u"], linux={
            "namespaces": [{"type": t} for t in ("pid", "network", "ipc", "uts", "mount", "user")],
            "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]})
        answer = self.world.run("run", "--bundle", bundle, self.world.new_id())
        self.assertEqual(answer.out.split(), ["0", "100000", "65536", "0"], str(answer))

    def test_joins_a_network_namespace_by_path(self):
        holder = subprocess.Popen(["unshare", "-n", "sleep", "60"])
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        path = f"/proc/{holder.pid}/ns/net"
        support.wait_for(lambda: os.readlink(path) != os.readlink("/proc/self/ns/net"))
        bundle = self.world.bundle(["readlink", "/proc/self/ns/net"], linux={
            "namespaces": [{"type": t} for t in ("pid", "ipc", "uts", "mount")] + [{"type": "network", "path": path}]})
        answer = self.world.run("run", "--bundle", bundle, self.world.new_id())
        self.assertEqual(answer.out.strip(), os.readlink(path), str(answer))

    def test_nothing_is_left_of_a_whole_life(self):
        bundle = self.world.bundle(["sleep", "100"])
        self.run_ok("delete", "--force", self.create(bundle))
        before = self.world.snapshot()
        container = self.create(bundle)
        self.run_ok("start", container)
        self.run_ok("exec", container, "true")
        self.run_ok("delete", "--force", container)
        self.assert_same_host(before)


class Texts(support.Case):
    def test_version_and_features(self):
        answer = self.run_ok("--version")
        self.assertRegex(answer.out, r"^nexcage (version )?\d+\.\d+\.\d+")
        self.assertIn("spec:", answer.out)
        features = self.run_ok("features").json()
        self.assertEqual(features["ociVersionMin"].split(".")[0], "1")
        self.assertLessEqual(set(POINTS), set(features["hooks"]))
        self.assertTrue(features["linux"]["namespaces"])
        self.assertTrue(features["linux"]["cgroup"]["systemd"])

    def test_checkpoint_help_says_that_lxc_cannot(self):
        """Podman tries it before `podman container checkpoint`."""
        for verb in ("checkpoint", "restore"):
            answer = self.world.raw([self.world.binary + "-lxc", "--config", self.world.config, verb, "--help"])
            self.assertEqual((answer.code, answer.out), (1, ""), str(answer))
            self.assertIn("CRIU", answer.err)
            self.assertIn("--image-path", self.run_ok(verb, "--help").out)

    def test_spec_is_accepted_as_it_is(self):
        directory = self.world.path("spec")
        os.makedirs(directory)
        answer = self.world.raw([self.world.binary, "spec"], cwd=directory)
        self.assertEqual(answer.code, 0, str(answer))
        with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["process"]["args"], ["sh"])
        again = self.world.raw([self.world.binary, "spec"], cwd=directory)
        self.assertNotEqual(again.code, 0, "an existing config.json is not overwritten")

    def test_list_of_nothing(self):
        self.assertEqual(self.run_ok("list", "--format", "json").json(), [])


if __name__ == "__main__":
    unittest.main()
