"""checkpoint and restore: what is handed on to the runtime, and what is refused. CRIU itself is seen in the VM tests."""
import os
import shutil
import unittest

import support

FAKE = '''#!/bin/sh
# runc in all but checkpoint and restore, which need CRIU and a kernel that it knows.
echo "$*" >> {calls}
case "$*" in *--help*) exit 0 ;; esac
for word in "$@"; do
  case "$word" in
    checkpoint) [ -e {fail} ] && {{ echo '{{"level":"error","msg":"criu failed: type DUMP errno 0"}}' > "$4"; exit 1; }}
      case "$*" in *--leave-running*) exit 0 ;; esac
      for id; do :; done
      exec {runc} --root "$2" delete --force "$id" ;;
    restore) shift 6; bundle= pid=
      while [ $# -gt 1 ]; do
        case "$1" in --bundle) bundle=$2 ;; --pid-file) pid=$2 ;; esac
        shift
      done
      {runc} --root {root} create --bundle "$bundle" --pid-file "$pid" "$1" && exec {runc} --root {root} start "$1" ;;
  esac
done
exec {runc} "$@"
'''


@support.needs_root
@unittest.skipUnless(shutil.which("runc"), "needs the package runc")
class OnRunc(support.Case):
    @classmethod
    def prepare(cls):
        cls.fake, cls.calls, cls.fail_mark = (cls.world.path(n) for n in ("fake", "calls", "fail"))
        with open(cls.fake, "w", encoding="utf-8") as file:
            file.write(FAKE.format(calls=cls.calls, runc=shutil.which("runc"), fail=cls.fail_mark,
                                   root=cls.world.path("run/@runc")))
        os.chmod(cls.fake, 0o755)
        cls.world.write_config(extra=f'[runtime.runc]\npath = "{cls.fake}"\n')
        cls.world.binary += "-runc"
        cls.bundle = cls.world.bundle(["sleep", "100"])
        done = cls.world.run("run", "--bundle", cls.world.bundle(["true"]), cls.world.new_id())
        if done.code:
            raise unittest.SkipTest(f"runc runs no container here: {done.err.strip()}")

    def setUp(self):
        with open(self.calls, "w", encoding="utf-8"):
            pass

    def running(self):
        container = self.world.new_id()
        self.run_ok("run", "--detach", "--bundle", self.bundle, container)
        self.addCleanup(self.world.run, "delete", "--force", container)
        return container

    def called(self, verb):
        with open(self.calls, encoding="utf-8") as file:
            lines = [line.split() for line in file]
        return [line[line.index(verb):] for line in lines if verb in line and "--help" not in line]

    def test_checkpoint_ends_and_deletes(self):
        before = self.world.snapshot()
        container = self.running()
        self.run_ok("checkpoint", "--image-path", "/i", "--work-path", "/w", "--tcp-established", "--ext-unix-sk",
                    "--shell-job", "--file-locks", "--manage-cgroups-mode", "full", container)
        self.assertEqual(self.called("checkpoint"), [[
            "checkpoint", "--image-path", "/i", "--work-path", "/w", "--tcp-established", "--ext-unix-sk", "--shell-job",
            "--file-locks", "--manage-cgroups-mode", "full", container]])
        answer, records = self.world.logged("state", container)
        self.assert_error(answer, records, "ContainerNotFound", 1)
        self.assert_same_host(before)

    def test_checkpoint_may_leave_it_running(self):
        container = self.running()
        self.run_ok("checkpoint", "--leave-running", container)
        self.assertEqual(self.status(container), "running")

    def test_restore(self):
        container, pid_file = self.world.new_id(), self.world.path("pid")
        self.run_ok("restore", "--detach", "--image-path", "/i", "--bundle", self.bundle, "--pid-file", pid_file, container)
        self.addCleanup(self.world.run, "delete", "--force", container)
        self.assertEqual(self.called("restore"), [[
            "restore", "--detach", "--bundle", self.bundle, "--pid-file", pid_file, "--image-path", "/i", container]])
        state = self.run_ok("state", container).json()
        self.assertEqual(state["status"], "running")
        with open(pid_file, encoding="utf-8") as file:
            self.assertEqual(int(file.read()), state["pid"])
        answer, records = self.world.logged("restore", "--detach", "--bundle", self.bundle, container)
        self.assert_error(answer, records, "ContainerExists", 1)

    def test_restore_in_the_foreground_gives_the_exit_code(self):
        before = self.world.snapshot()
        bundle = self.world.bundle(["sh", "-c", "sleep 0.1; exit 6"])
        self.assertEqual(self.world.run("restore", "--bundle", bundle, self.world.new_id()).code, 6)
        self.assert_same_host(before)

    def test_a_failure_is_told_in_the_runtimes_words(self):
        container = self.running()
        with open(self.fail_mark, "w", encoding="utf-8"):
            pass
        self.addCleanup(os.unlink, self.fail_mark)
        answer, records = self.world.logged("checkpoint", container)
        self.assert_error(answer, records, "RuntimeError", 1, "criu failed: type DUMP errno 0")
        self.assertEqual(self.status(container), "running")

    def test_a_stopped_container_is_refused(self):
        container = self.running()
        self.run_ok("kill", container, "KILL")
        support.wait_for(lambda: self.status(container) == "stopped")
        answer, records = self.world.logged("checkpoint", container)
        self.assert_error(answer, records, "InvalidState", 1)


@support.needs_root
class Refused(support.Case):
    def test_lxc_says_why(self):
        bundle, container = self.world.bundle(["sleep", "100"]), self.world.new_id()
        self.run_ok("run", "--detach", "--bundle", bundle, container)
        self.addCleanup(self.world.run, "delete", "--force", container)
        answer, records = self.world.logged("checkpoint", container)
        self.assert_error(answer, records, "Unsupported", 1, "lxc", "CRIU")
        self.assertEqual(self.status(container), "running")
        before = self.world.snapshot()
        answer, records = self.world.logged("restore", "--bundle", bundle, self.world.new_id())
        self.assert_error(answer, records, "Unsupported", 1, "lxc")
        self.assert_same_host(before)

    def test_lxc_has_no_other_manager_of_cgroups(self):
        bundle = self.world.bundle(["true"])
        for options in (["--systemd-cgroup"], ["--cgroup-manager", "systemd"], ["--cgroup-manager", "disabled"]):
            answer, records = self.world.logged(*options, "create", "--bundle", bundle, self.world.new_id())
            self.assert_error(answer, records, "Unsupported", 1, "cgroup")

    @unittest.skipUnless(shutil.which("crun"), "needs the package crun")
    def test_crun_without_criu_says_so(self):
        fake = self.world.path("crun")
        with open(fake, "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\n[ "$1" = checkpoint ] && exit 1\necho crun version 1.8.1\n')
        os.chmod(fake, 0o755)
        self.addCleanup(self.world.write_config)
        self.world.write_config(extra=f'[runtime.crun]\npath = "{fake}"\n')
        self.world.run("--runtime", "crun", "list")
        answer, records = self.world.logged("restore", "--runtime", "crun", "--bundle", self.world.bundle(["true"]),
                                            self.world.new_id())
        self.assert_error(answer, records, "Unsupported", 1, "this build of crun has no checkpoint")


if __name__ == "__main__":
    unittest.main()
