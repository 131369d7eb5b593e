"""The command line against runc's and crun's, option by option, and the very calls that engines make.

golden/oci-options.txt lists every option of the two. Each is taken, with its short names and in both ways to give a
value, or refused with a reason; none may be lost. Where the real binaries of these versions are installed the list is
compared with their own help.
"""
import json
import os
import re
import shutil
import subprocess
import unittest

import support

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden/oci-options.txt")
VERSIONS = {"runc": "runc version 1.1.5", "crun": "crun version 1.8.1"}
# Values that pass the first look, where a word would not.
VALUES = {"--log-format": "json", "--rootless": "auto", "--cgroup-manager": "cgroupfs", "--preserve-fds": "0",
          "--format": "json", "--interval": "1s", "--additional-gids": "5", "--log": "/dev/null"}
NEEDS_NO_WORD = {"list", "ps", "spec", "features"}


def listed():
    """(runtime, verb, [names], takes a value, reason or None) of every line."""
    with open(GOLDEN, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                runtime, verb, names, kind, answer = line.split(maxsplit=4)
                reason = answer.strip().removeprefix("no: ") if answer.startswith("no: ") else None
                yield runtime, verb.strip("-"), names.split(","), kind == "VALUE", reason


def nexcage(*args, **kwargs):
    binary = support.NEXCAGE + "-lxc"
    return subprocess.run([binary, *args], capture_output=True, text=True, timeout=60, check=False, **kwargs)


def long_options(text):
    return set(re.findall(r"(?m)^ +(?:-., )*(--[a-z0-9][a-z0-9-]*)", text))


@unittest.skipUnless(os.access(support.NEXCAGE, os.X_OK), "nexcage is not built")
class Options(unittest.TestCase):
    def test_each_is_taken_with_all_its_names(self):
        taken = {}
        for _, verb, names, takes_value, reason in listed():
            if reason is None:
                for name in names:
                    taken.setdefault(verb, {})[name] = takes_value
        for verb, options in taken.items():
            with self.subTest(verb=verb):
                # By the name that fixes no backend: nexcage-lxc does not explain what lxc cannot do.
                shown = subprocess.run([support.NEXCAGE, *([verb] if verb else []), "--help"], capture_output=True,
                                       text=True, timeout=60, check=False).stdout
                for name, takes_value in options.items():
                    line = re.search(rf"(?m)^ .*{re.escape(name)}(?=[ ,\n]).*$", shown)
                    self.assertIsNotNone(line, f"{verb} --help does not know {name}")
                    title = line.group(0).strip().split("  ")[0]
                    self.assertEqual(bool(re.search(r" [A-Z0-9\[]", title)), takes_value, title)
                # All at once: the parser takes them, and the first thing missed is the container.
                for joined in (False, True):
                    words = []
                    for name, takes_value in options.items():
                        value = VALUES.get(name, "1")
                        if name in ("--help", "-h", "--version", "-v"):
                            continue
                        if not takes_value:
                            words.append(name + "=false" if joined and name.startswith("--") else name)
                        elif joined and name.startswith("--"):
                            words.append(f"{name}={value}")
                        else:
                            words += [name, value]
                    if verb in NEEDS_NO_WORD:
                        words.append("--no-such-option")
                    answer = nexcage(*([verb] if verb else []), *words, *([] if verb else ["state"]))
                    self.assertNotEqual(answer.returncode, 0)
                    expected = "unknown option --no-such-option" if verb in NEEDS_NO_WORD else "missing argument"
                    self.assertIn(expected, answer.stderr, f"{verb} {words}")

    def test_the_others_are_refused_with_the_reason(self):
        refused = [entry for entry in listed() if entry[4] is not None]
        self.assertTrue(refused)
        for _, verb, names, takes_value, reason in refused:
            for name in names:
                with self.subTest(verb=verb, option=name):
                    words = [verb] * bool(verb) + [name] + ["x"] * takes_value + ["c1"]
                    answer = nexcage(*words)
                    self.assertNotEqual(answer.returncode, 0)
                    self.assertIn(reason, answer.stderr)

    def test_the_list_is_that_of_the_real_programs(self):
        for runtime, version in VERSIONS.items():
            with self.subTest(runtime=runtime):
                program = shutil.which(runtime)
                if program is None:
                    self.skipTest(f"needs the package {runtime}")
                if not subprocess.run([program, "--version"], capture_output=True, text=True,
                                      check=True).stdout.startswith(version):
                    self.skipTest(f"needs {version}")
                self.compare(program, runtime)

    def compare(self, program, runtime):
        known, verbs = {}, set()
        for name, verb, names, _, _ in listed():
            if name == runtime:
                known.setdefault(verb, set()).update(n for n in names if n.startswith("--"))
        text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
        verbs = set(re.findall(r"(?m)^(?:   |\t)([a-z]+)(?:,| ) ", text)) - {"init", "help"}
        self.assertGreater(len(verbs), 10)
        for verb in {"", *verbs}:
            text = subprocess.run([program, *([verb] if verb else []), "--help"], capture_output=True, text=True,
                                  check=True).stdout
            real = long_options(text[max(text.find("OPTIONS:"), 0):])
            real -= {"--help"} | ({"--usage"} if verb else set())
            self.assertEqual(real, known.get(verb, set()) - {"--help"}, f"{runtime} {verb}")


@support.needs_root
class EngineCalls(support.Case):
    """The argument vectors that conmon, Podman and containerd's shim were seen to use, word for word."""

    def call(self, *args, code=0, **kwargs):
        answer = self.world.raw([self.world.binary + "-lxc", *map(str, args)],
                                env={"NEXCAGE_CONFIG": self.world.config}, **kwargs)
        self.assertEqual(answer.code, code, str(answer))
        return answer

    def process_file(self, *args):
        path = self.world.path("process.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**support.spec_of(args)["process"], "env": ["PATH=/bin", "A=of the file"]}, file)
        return path

    def error_of(self, log):
        """What an engine shows: the last line of level error."""
        with open(log, encoding="utf-8") as file:
            records = [json.loads(line) for line in file]
        record = [r for r in records if r["level"] == "error"][-1]
        self.assertTrue({"level", "msg", "time"} <= set(record), record)
        return record["msg"]

    def test_podman_and_conmon(self):
        bundle, pid_file, log = self.world.bundle(["sleep", "1000"]), self.world.path("pidfile"), self.world.path("oci-log")
        container = (self.world.token + "0" * 64)[:64]
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.call("--log-format=json", "--log", log, "create", "--bundle", bundle, "--pid-file", pid_file, container)
        self.call("start", container)
        for _ in range(2):
            self.call("pause", container)
            self.call("resume", container)
        out = os.path.join(bundle, "rootfs/out")
        self.call("exec", "--pid-file", self.world.path("exec_pid"), "--process",
                  self.process_file("sh", "-c", "echo $A > /out"), "--detach", container)
        support.wait_for(lambda: os.path.exists(out) and os.path.getsize(out))
        with open(out, encoding="utf-8") as file:
            self.assertEqual(file.read(), "of the file\n")
        with open(self.world.path("exec_pid"), encoding="utf-8") as file:
            self.assertGreater(int(file.read()), 1)
        resources = self.world.path("podman123")
        with open(resources, "w", encoding="utf-8") as file:
            json.dump({"pids": {"limit": 100}, "memory": {}, "cpu": {}, "blockIO": {}}, file)
        self.call("update", "--resources=" + resources, container)
        self.call("kill", container, "10")
        self.call("kill", "--all", container, "9")
        support.wait_for(lambda: self.status(container) == "stopped")
        self.call("delete", "--force", container)
        self.call("delete", "--force", container)

    def test_containerd_shim(self):
        bundle, root = self.world.bundle(["sleep", "1000"]), self.world.path("shim-root/ns")
        log, container = os.path.join(bundle, "log.json"), self.world.new_id()
        front = ["--root", root, "--log", log, "--log-format", "json"]
        self.addCleanup(self.call, *front, "delete", "--force", container)
        self.call(*front, "create", "--bundle", bundle, "--pid-file", os.path.join(bundle, "init.pid"), container, cwd=bundle)
        self.call(*front, "start", container, cwd=bundle)
        with open(os.path.join(bundle, "init.pid"), encoding="utf-8") as file:
            init = int(file.read())
        self.assertEqual(self.call(*front, "ps", "--format", "json", container).json(), [init])
        self.call(*front, "exec", "--process", self.process_file("true"), "--detach", "--pid-file",
                  os.path.join(bundle, "e1.pid"), container)
        self.call(*front, "pause", container)
        self.call(*front, "resume", container)
        self.call(*front, "kill", container, "9")
        support.wait_for(lambda: support.stopped(init))
        self.call(*front, "delete", container)
        self.call(*front, "delete", "--force", container)
        self.call(*front, "delete", container, code=1)
        self.assertIn("does not exist", self.error_of(log), "containerd knows a missing container by these words")

    def test_ps_as_runc_prints_it(self):
        container = self.world.new_id()
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.run_ok("create", "--bundle", self.world.bundle(["sleep", "1000"]), container)
        self.run_ok("start", container)
        pid = str(self.run_ok("state", container).json()["pid"])
        support.wait_for(lambda: "sleep 1000" in self.run_ok("ps", container).out)
        heading, row = [line.split() for line in self.run_ok("ps", container).out.splitlines()]
        self.assertEqual(heading, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"])
        self.assertEqual((row[0], row[1], row[7:]), ("root", pid, ["sleep", "1000"]))
        if shutil.which("ps") is None:
            self.skipTest("needs the package procps")
        self.assertEqual(self.run_ok("ps", container, "-e", "-o", "pid,comm").out.split(), ["PID", "COMMAND", pid, "sleep"])
        self.call("ps", container, "-e", "-o", "comm", code=1)
        self.call("ps", "--format", "json", container, "-ef", code=1)

    def test_words_that_become_126_and_127(self):
        log = self.world.path("oci-log")
        cases = [(["/nonexist"], "no such file or directory"), (["nonexist"], "executable file not found in $path"),
                 (["/etc/passwd"], "permission denied")]
        for args, words in cases:
            with self.subTest(args=args):
                container = self.world.new_id()
                self.addCleanup(self.world.run, "delete", "--force", container)
                with open(log, "w", encoding="utf-8"):
                    pass
                front = ["--log-format=json", "--log", log]
                self.call(*front, "create", "--bundle", self.world.bundle(args), "--pid-file", self.world.path("pid"),
                          container, code=1)
                self.assertIn(words, self.error_of(log).lower())


if __name__ == "__main__":
    unittest.main()
