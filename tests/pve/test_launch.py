"""The first process of a guest: user, groups, directory, arguments, variables, signals, exit code."""
import base64
import os
import signal
import subprocess
import tempfile
import unittest

PROGRAM = os.path.join(os.environ.get("NX_BUILD", "build/dev"), "libexec/nexcage/launch")
FIRST = ["/usr/bin/unshare", "--pid", "--fork", "--kill-child"]  # the first process of a pid namespace
PYTHON = "/usr/bin/python3"  # other users can execute it
SHOW = ("import os, sys; print(os.getresuid(), os.getresgid(), sorted(os.getgroups()), os.getcwd(), sys.argv[1:],"
        " os.environ.get('odd.name'), 'NEXCAGE_RUN' in os.environ, oct(os.umask(0)))")


def record(args, uid=0, gid=0, groups=(), umask="", privileges=0, stop=15, cwd="/", env=()):
    fields = ["1", uid, gid, len(groups), *groups, umask, privileges, stop, cwd, len(args), *args, len(env)]
    for place, entry in enumerate(env):
        fields += [place, entry]
    return base64.b64encode("".join(f"{field}\0" for field in fields).encode()).decode()


@unittest.skipUnless(os.access(PROGRAM, os.X_OK), f"{PROGRAM} is not built")
@unittest.skipUnless(os.geteuid() == 0, "becomes other users: needs root")
class Launch(unittest.TestCase):
    def run_it(self, *words, timeout=30, **about):
        about["args"] = [PYTHON, "-c", *words] if words else about["args"]
        return subprocess.run([*FIRST, PROGRAM], env={"PATH": os.environ["PATH"], "NEXCAGE_RUN": record(**about)},
                              capture_output=True, text=True, timeout=timeout, check=False)

    def test_user_directory_and_arguments(self):
        with tempfile.TemporaryDirectory() as above:
            os.chmod(above, 0o755)
            cwd = above + "/not/there"
            done = self.run_it(SHOW, "it's", 'a "b"', "two\nlines", uid=12, gid=34, groups=[5, 6], umask=0o27, cwd=cwd,
                               env=["odd.name=x y"])
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.stdout.strip(), f"(12, 12, 12) (34, 34, 34) [5, 6] {cwd} "
                         + repr(["it's", 'a "b"', "two\nlines"]) + " x y False 0o27")

    def test_exit_codes(self):
        self.assertEqual(self.run_it("import sys; sys.exit(7)").returncode, 7)
        self.assertEqual(self.run_it("import os; os.kill(os.getpid(), 9)").returncode, 137)
        self.assertEqual(self.run_it(args=["/no/such"]).returncode, 127)

    def test_halt_becomes_the_stop_signal(self):
        child = subprocess.Popen([*FIRST, PROGRAM], stdout=subprocess.PIPE, env={"NEXCAGE_RUN": record(
            [PYTHON, "-c", "import signal, time, sys\nsignal.signal(3, lambda *_: sys.exit(33))\nprint('up', flush=True)\n"
             "time.sleep(20)"], stop=3)})
        self.assertEqual(child.stdout.readline(), b"up\n")
        with open(f"/proc/{child.pid}/task/{child.pid}/children", encoding="utf-8") as file:
            os.kill(int(file.read()), signal.SIGPWR)
        self.assertEqual(child.wait(10), 33)
        child.stdout.close()

    def test_in_a_guest_that_runs_it_becomes_the_program(self):
        script = "import os, sys; print(os.getpid(), sorted(os.environ), os.getresuid())"
        child = subprocess.Popen([PROGRAM], stdout=subprocess.PIPE, text=True, env={
            "PATH": "/bin", "OTHER": "1", "NEXCAGE_RUN": record([PYTHON, "-c", script], uid=12, env=["A=b c"])})
        out, _ = child.communicate(timeout=30)
        self.assertEqual(out.split(" ", 1)[0], str(child.pid))
        self.assertNotIn("OTHER", out)
        self.assertNotIn("NEXCAGE_RUN", out)
        self.assertIn("'A'", out)
        self.assertIn("(12, 12, 12)", out)
        self.assertEqual(subprocess.run([PROGRAM], env={"NEXCAGE_RUN": record(["/no/such"])}, check=False).returncode, 127)

    def test_no_new_privileges(self):
        done = self.run_it("print([l for l in open('/proc/self/status') if l.startswith('NoNewPrivs')])", privileges=1)
        self.assertIn("1", done.stdout)

    def test_damaged_record(self):
        for text in ("", "AAAA", record(["/bin/true"])[:20]):
            done = subprocess.run([*FIRST, PROGRAM], env={"NEXCAGE_RUN": text}, capture_output=True, check=False, timeout=20)
            self.assertEqual(done.returncode, 126, done)


if __name__ == "__main__":
    unittest.main()
