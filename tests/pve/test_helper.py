"""libexec/nexcage/pve against the double: log-in, certificates, failover, retries, tasks, errors."""
import fcntl
import hashlib
import json
import os
import subprocess
import tempfile
import unittest

from double import Double
from pve_tasks import RequestFault, TaskFault
from test_double import tar_of

HELPER = os.path.join(os.environ.get("NX_BUILD", "build/dev"), "libexec/nexcage/pve")


class Session:
    """One run of the helper: a line for each command, a line for each answer."""

    def __init__(self, env=None, **access):
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()
        self.events, events = os.pipe()

        clean = {key: value for key, value in os.environ.items() if not key.startswith("NEXCAGE_")}
        # Others than 3 to 5, which the shell connects.
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (commands, answers, events)]
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", f'exec "$0" 3<&{moved[0]} 4>&{moved[1]} 5>&{moved[2]}', HELPER], pass_fds=moved,
            stderr=subprocess.PIPE, env={**clean, **(env or {})})
        for fd in (commands, answers, events, *moved):
            os.close(fd)
        self.reader = os.fdopen(self.answers, encoding="utf-8")
        self.opened = self.ask(**access)

    def ask(self, **command):
        os.write(self.commands, (json.dumps(command) + "\n").encode())
        line = self.reader.readline()
        return json.loads(line) if line else {"error": {"code": "ended", "frames": [self.process.stderr.read().decode()]}}

    def call(self, method, path, **params):
        return self.ask(op="call", method=method, path=path, params=params)

    def close(self):
        os.close(self.commands)
        self.reader.close()
        lines = os.fdopen(self.events, encoding="utf-8").read().splitlines()
        self.process.wait(20)
        self.process.stderr.close()
        return [json.loads(line)["line"] for line in lines]


@unittest.skipUnless(os.access(HELPER, os.X_OK), f"{HELPER} is not built")
class Helper(unittest.TestCase):
    def setUp(self):
        self.double = Double("9.2")
        self.addCleanup(self.double.stop)
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.secret = self.double.least_token()

    def file(self, name, text, mode=0o600):
        path = os.path.join(self.directory.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def access(self, **changes):
        token = self.file("token", f"nexcage@pve!cli={self.secret}\n")
        return {"hosts": [f"127.0.0.1:{self.double.port}"], "token_file": token, "ca_file": self.double.ca_file, **changes}

    def ticket(self, **changes):
        password = changes.pop("password_file", None) or self.file("password", "secret99\n")
        return self.access(token_file="", user="nexcage@pve", password_file=password, **changes)

    def session(self, env=None, **access):
        session = Session(env, **(access or self.access()))
        self.addCleanup(lambda: session.process.poll() is None and session.close())
        return session

    def error(self, answer):
        self.assertIn("error", answer)
        return answer["error"]["code"], " / ".join(answer["error"]["frames"])

    # --- who we are -------------------------------------------------------------------------------

    def test_token(self):
        session = self.session()
        self.assertEqual(session.opened, {"ok": True})
        self.assertEqual(session.call("GET", "/version")["ok"]["release"], "9.2")

    def test_token_of_the_environment(self):
        session = self.session({"NEXCAGE_PVE_TOKEN": f"nexcage@pve!cli={self.secret}"}, **self.access(token_file=""))
        self.assertEqual(session.call("GET", "/cluster/nextid")["ok"], "100")

    def test_wrong_token(self):
        self.secret = "00000000-0000-0000-0000-000000000000"
        self.assertEqual(self.error(self.session().call("GET", "/version")),
                         ("PermissionDenied", "GET /version: Authentication failed! (401)"))

    def test_secret_file_that_others_can_read(self):
        session = self.session(**self.access(token_file=self.file("open", "a@b!c=d\n", 0o644)))
        self.assertEqual(self.error(session.opened)[0], "PermissionDenied")

    def test_secret_is_in_no_argument_and_no_environment_of_the_process(self):
        session = self.session({"NEXCAGE_PVE_TOKEN": f"nexcage@pve!cli={self.secret}"}, **self.access(token_file=""))
        with open(f"/proc/{session.process.pid}/cmdline", "rb") as file:
            self.assertNotIn(self.secret.encode(), file.read())

    def test_ticket(self):
        session = self.session(**self.ticket())
        made = session.call("POST", "/nodes/pve1/lxc", vmid="300", ostemplate="local:vztmpl/none.tar.gz", rootfs="local:1")
        self.assertTrue(made["ok"].startswith("UPID:"), made)

    def test_old_ticket_is_renewed(self):
        session = self.session(**self.ticket())
        session.call("GET", "/version")
        self.double.access.clock_skew = 3 * 3600  # the server's clock is set
        self.assertIn("ok", session.call("GET", "/version"))
        self.assertEqual(self.double.requests.count("POST /access/ticket"), 2)

    def test_wrong_password(self):
        session = self.session(**self.ticket(password_file=self.file("bad", "wrong\n")))
        code, text = self.error(session.call("GET", "/version"))
        self.assertEqual(code, "PermissionDenied")
        self.assertIn("authentication failure", text)

    # --- whom we speak to ---------------------------------------------------------------------------

    def test_unknown_certificate(self):
        code, text = self.error(self.session(**self.access(ca_file="")).call("GET", "/version"))
        self.assertEqual(code, "ProxmoxError")
        self.assertIn("certificate", text)

    def test_pinned_certificate(self):
        session = self.session(**self.access(ca_file="", fingerprints=[self.double.fingerprint().lower()]))
        self.assertIn("ok", session.call("GET", "/version"))

    def test_changed_certificate(self):
        pinned = self.double.fingerprint()
        self.double.new_certificate()
        self.double.requests.clear()
        code, text = self.error(self.session(**self.access(ca_file="", fingerprints=[pinned])).call("GET", "/version"))
        self.assertEqual(code, "ProxmoxError")
        self.assertIn("is not the pinned one", text)
        self.assertEqual(self.double.seen, [])

    def test_certificate_that_changes_while_we_speak(self):
        session = self.session(**self.access(ca_file="", fingerprints=[self.double.fingerprint()]))
        self.assertIn("ok", session.call("GET", "/version"))
        self.double.new_certificate()
        self.double.faults.add(RequestFault("GET /version", drop="before"))  # the next one needs a new connection
        self.assertEqual(self.error(session.call("GET", "/version"))[0], "ProxmoxError")

    # --- hosts and retries --------------------------------------------------------------------------

    def test_failover_to_the_next_host(self):
        session = self.session(**self.access(hosts=["127.0.0.1:1", f"127.0.0.1:{self.double.port}"]))
        self.assertEqual(session.call("POST", "/nodes/pve1/lxc/999/status/start")["ok"][:5], "UPID:")
        self.assertEqual(session.ask(op="host")["ok"], f"127.0.0.1:{self.double.port}")

    def test_reading_goes_on_at_the_next_host(self):
        """A host that takes the request and gives no answer is no better than one that is down."""
        silent = Double("9.2", shared=self.double)
        self.addCleanup(silent.stop)
        silent.pem, silent.context = self.double.pem, self.double.context
        silent.faults.add(RequestFault("GET /version", drop="before", times=9))
        session = self.session(**self.access(hosts=[f"127.0.0.1:{silent.port}", f"127.0.0.1:{self.double.port}"]))
        self.assertEqual(session.call("GET", "/version")["ok"]["release"], "9.2")
        self.assertEqual(self.double.requests, ["GET /version"])

    def test_no_host_answers(self):
        self.assertEqual(self.error(self.session(**self.access(hosts=["127.0.0.1:1"])).call("POST", "/x"))[0], "ProxmoxError")

    def test_get_is_asked_again(self):
        self.double.faults.add(RequestFault("GET /cluster/nextid", drop="after", times=2))
        self.assertEqual(self.session().call("GET", "/cluster/nextid")["ok"], "100")
        self.assertEqual(self.double.requests.count("GET /cluster/nextid"), 3)

    def test_post_without_an_answer_is_not_sent_again(self):
        self.double.faults.add(RequestFault("POST /nodes/pve1/lxc", drop="after"))
        answer = self.session().call("POST", "/nodes/pve1/lxc", vmid="300", ostemplate="local:vztmpl/a.tar.gz", rootfs="local:1")
        self.assertIn("may have been carried out", answer["error"]["hint"])
        self.assertEqual(self.double.requests.count("POST /nodes/pve1/lxc"), 1)

    def test_a_connection_that_was_kept_does_not_send_it_again_either(self):
        session = self.session()
        session.call("GET", "/version")
        self.double.faults.add(RequestFault("POST /nodes/pve1/lxc", drop="after"))
        answer = session.call("POST", "/nodes/pve1/lxc", vmid="300", ostemplate="local:vztmpl/a.tar.gz", rootfs="local:1")
        self.assertIn("may have been carried out", answer["error"]["hint"])
        self.assertEqual(self.double.requests.count("POST /nodes/pve1/lxc"), 1)

    def test_errors_have_the_servers_words(self):
        session = self.session()
        self.double.cluster.nodes["pve2"] = "offline"
        for method, path, params, code, text in (
                ("GET", "/nodes/pve1/lxc/999/config", {}, "ProxmoxError", "Configuration file 'nodes/pve1/lxc/999.conf' does not exist"),
                ("GET", "/nosuch", {}, "Unsupported", "Method 'GET /nosuch' not implemented"),
                ("POST", "/nodes/pve1/lxc", {"vmid": "1"}, "ProxmoxError", "vmid: invalid format"),
                ("GET", "/nodes/pve2/lxc", {}, "ProxmoxError", "No route to host (595)"),
                ("GET", "/nodes/pve9/lxc", {}, "ProxmoxError", "hostname lookup 'pve9' failed")):
            with self.subTest(path):
                answer = self.error(session.call(method, path, **params))
                self.assertEqual(answer[0], code)
                self.assertIn(text, answer[1])

    def test_missing_privilege_is_named_with_its_path(self):
        self.double.access.acl.clear()
        code, text = self.error(self.session().call("GET", "/nodes/pve1/lxc/103/config"))
        self.assertEqual(code, "PermissionDenied")
        self.assertIn("/vms/103, VM.Audit", text)

    # --- tasks --------------------------------------------------------------------------------------

    def start(self, session):
        upid = session.call("POST", "/nodes/pve1/lxc/999/status/start")["ok"]
        return session.ask(op="wait", upid=upid, seconds=30)

    def test_task_that_fails(self):
        session = self.session()
        code, text = self.error(self.start(session))
        self.assertEqual(code, "ProxmoxError")
        self.assertEqual(text, "task vzstart 999: Configuration file 'nodes/pve1/lxc/999.conf' does not exist")
        self.assertEqual(session.close(), ["TASK ERROR: Configuration file 'nodes/pve1/lxc/999.conf' does not exist"])

    def test_warnings_are_success(self):
        session = self.session()
        upload = {"op": "upload", "path": "/nodes/pve1/storage/local/upload", "content": "vztmpl", "name": "a.tar.gz"}
        data = tar_of({"x": b"y"})
        path = self.file("a", "")
        with open(path, "wb") as file:
            file.write(data)
        session.close()
        session = self.session(**self.access(readable=[self.directory.name]))
        self.double.faults.add(TaskFault("imgcopy", warnings=["a small thing"]))
        upid = session.ask(**upload, file=path, sha256=hashlib.sha256(data).hexdigest())["ok"]
        self.assertEqual(session.ask(op="wait", upid=upid), {"ok": {"warnings": ["WARN: a small thing"]}})
        self.assertEqual(self.double.cluster.volume("local:vztmpl/a.tar.gz").data, data)

    def test_node_that_goes_away_in_between_is_waited_for(self):
        self.double.faults.add(RequestFault("GET .*/tasks/.*/status", status=595, text="No route to host", times=2))
        session = self.session()
        self.assertIn("does not exist", self.error(self.start(session))[1])

    def test_task_without_end(self):
        self.double.faults.add(TaskFault("vzstart", vanish=True))
        session = self.session()
        upid = session.call("POST", "/nodes/pve1/lxc/999/status/start")["ok"]
        self.assertEqual(self.error(session.ask(op="wait", upid=upid, seconds=1))[0], "Timeout")


if __name__ == "__main__":
    unittest.main()
