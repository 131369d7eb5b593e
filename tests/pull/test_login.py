"""login and logout against a registry that asks for a password, and what they leave behind."""
import json
import os
import pty
import select
import stat
import subprocess
import unittest

import registry_docker
import support
from registry_auth import Authority
from registry_docker import PASSWORD, USER, DockerRegistry

HELPER = """#!/bin/sh
echo "$0 $*" >>"$KEPT.calls"
case $1 in
store) cat >"$KEPT" ;;
get) cat "$KEPT" 2>/dev/null || { echo 'credentials not found in native keychain'; exit 1; } ;;
erase) rm "$KEPT" 2>/dev/null || { echo 'credentials not found in native keychain'; exit 1; } ;;
esac
"""


@unittest.skipIf(registry_docker.absent(), registry_docker.absent())
class Login(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = support.World()
        cls.addClassCleanup(cls.world.destroy)
        authority = Authority(cls.new_directory())
        cls.trusting = authority.trusting
        cls.registry = DockerRegistry(cls.world.path(cls.world.new_id() + "r"), htpasswd=True, tls=authority.issue())
        cls.addClassCleanup(cls.registry.stop)
        cls.host = cls.registry.host

    @classmethod
    def new_directory(cls):
        path = cls.world.path(cls.world.new_id() + "d")
        os.makedirs(path)
        return path

    def setUp(self):
        self.home = self.new_directory()
        self.file = os.path.join(self.home, "auth.json")
        self.env = {"HOME": self.home, "PATH": os.environ["PATH"], "REGISTRY_AUTH_FILE": self.file}

    def nexcage(self, *words, data=None):
        return subprocess.run([support.NEXCAGE, *words], input=data, capture_output=True, text=True, env=self.env, timeout=60,
                              check=False)

    def login(self, *words, password=PASSWORD, user=USER):
        return self.nexcage("login", "--cert-dir", self.trusting, "-u", user, "--password-stdin", *(words or [self.host]),
                            data=password + "\n")

    def assert_done(self, answer, text):
        self.assertEqual((answer.returncode, answer.stdout), (0, text), answer.stderr)

    def assert_refused(self, answer, *texts):
        self.assertEqual((answer.returncode, answer.stdout), (125, ""), answer.stderr)
        for text in texts:
            self.assertIn(text, answer.stderr)

    def document(self):
        with open(self.file, encoding="utf-8") as file:
            return json.load(file)

    def test_there_and_back(self):
        self.assert_refused(self.nexcage("login", "--get-login", self.host), f"not logged into {self.host}")
        self.assert_done(self.login(), "Login Succeeded!\n")
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        self.assertEqual(self.document(), {"auths": {self.host: {"auth": "dXNlcjpzZWNyZXQ="}}})
        self.assert_done(self.nexcage("login", "--get-login", self.host), USER + "\n")
        self.assert_done(self.nexcage("login", "--cert-dir", self.trusting, self.host),
                         f"Existing credentials are valid. Already logged in to {self.host}\n")
        self.assert_done(self.nexcage("logout", self.host), f"Removed login credentials for {self.host}\n")
        self.assert_refused(self.nexcage("logout", self.host), f"not logged into {self.host}")

    def test_other_tools_read_it(self):
        self.assert_done(self.login(), "Login Succeeded!\n")
        answer = subprocess.run(["skopeo", "login", "--get-login", "--authfile", self.file, self.host], capture_output=True, text=True,
                                check=False, timeout=60)
        self.assertEqual((answer.returncode, answer.stdout), (0, USER + "\n"), answer.stderr)

    def test_what_other_tools_wrote_is_read(self):
        subprocess.run(["skopeo", "login", "--cert-dir", self.trusting, "-u", USER, "--password-stdin", "--authfile", self.file,
                        self.host], input=PASSWORD, capture_output=True, text=True, check=True, timeout=60)
        self.assert_done(self.nexcage("login", "--get-login", self.host), USER + "\n")
        self.assert_done(self.nexcage("logout", self.host), f"Removed login credentials for {self.host}\n")

    def test_a_wrong_password_is_refused_and_not_kept_nor_shown(self):
        answer = self.login(password="open-sesame")
        self.assert_refused(answer, self.host, "401", "user name or password is wrong")
        self.assertNotIn("sesame", answer.stderr)
        self.assertFalse(os.path.exists(self.file))

    def test_an_unknown_authority_is_refused(self):
        answer = self.nexcage("login", "-u", USER, "--password-stdin", self.host, data=PASSWORD)
        self.assert_refused(answer, self.host, "certificate")
        self.assertFalse(os.path.exists(self.file))

    def test_without_verification(self):
        self.assert_done(self.nexcage("login", "--tls-verify=false", "-u", USER, "--password-stdin", self.host, data=PASSWORD),
                         "Login Succeeded!\n")

    def test_a_registry_without_tls_needs_to_be_called_insecure(self):
        with DockerRegistry(self.world.path(self.world.new_id() + "p"), htpasswd=True) as plain:
            self.assertNotEqual(self.login(plain.host).returncode, 0)
            self.assert_done(self.login("--tls-verify=false", plain.host), "Login Succeeded!\n")
            conf = os.path.join(self.home, "registries.conf")
            with open(conf, "w", encoding="utf-8") as file:
                file.write(f"[[registry]]\nlocation='{plain.host}'\ninsecure=true\n")
            self.env["CONTAINERS_REGISTRIES_CONF"] = conf
            self.assert_done(self.login(plain.host), "Login Succeeded!\n")
            self.assertNotEqual(self.login("--tls-verify", plain.host).returncode, 0)

    def test_a_repository_of_its_own(self):
        self.assert_done(self.login(self.host + "/team"), "Login Succeeded!\n")
        self.assertEqual(list(self.document()["auths"]), [self.host + "/team"])
        self.assert_refused(self.nexcage("login", "--get-login", self.host), "not logged into")

    def test_a_credential_helper_keeps_it(self):
        helper = os.path.join(self.home, "docker-credential-kept")
        with open(helper, "w", encoding="utf-8") as file:
            file.write(HELPER)
        os.chmod(helper, 0o755)
        kept = os.path.join(self.home, "kept")
        self.env.update(PATH=f"{self.home}:{self.env['PATH']}", KEPT=kept)
        with open(self.file, "w", encoding="utf-8") as file:
            json.dump({"credHelpers": {self.host: "kept"}}, file)
        self.assert_done(self.login(), "Login Succeeded!\n")
        self.assertEqual(self.document(), {"credHelpers": {self.host: "kept"}})
        with open(kept, encoding="utf-8") as file:
            self.assertEqual(json.load(file), {"ServerURL": self.host, "Username": USER, "Secret": PASSWORD})
        self.assert_done(self.nexcage("login", "--get-login", self.host), USER + "\n")
        self.assert_done(self.nexcage("logout", self.host), f"Removed login credentials for {self.host}\n")
        with open(kept + ".calls", encoding="utf-8") as file:
            self.assertNotIn(PASSWORD, file.read())

    def test_all_are_forgotten(self):
        with open(self.file, "w", encoding="utf-8") as file:
            json.dump({"auths": {"a.example": {"auth": "YTpi"}, "b.example": {"auth": "YTpi"}}, "other": 1}, file)
        self.assert_done(self.nexcage("logout", "--all"), "Removed login credentials for all registries\n")
        self.assertEqual(self.document(), {"auths": {}, "other": 1})

    def test_usage(self):
        self.assert_refused(self.nexcage("login", "--password-stdin", self.host, data="x"), "--password-stdin needs --username")
        self.assert_refused(self.nexcage("login", "-u", "u", self.host, data=""), "no terminal", "--password-stdin")
        self.assert_refused(self.nexcage("login", "-u", "u", "-p", "x", self.host), "unknown option -p")
        self.assert_refused(self.login("name"), "is no registry")
        self.assert_refused(self.login("--tls-verify=maybe", self.host), "--tls-verify")
        self.assert_refused(self.nexcage("logout", "--all", "x.example"), "no registry beside --all")

    def test_the_terminal_is_asked_and_shows_no_password(self):
        pid, master = pty.fork()
        if pid == 0:
            os.execve(support.NEXCAGE, ["nexcage", "login", "--cert-dir", self.trusting, self.host], self.env)
        said = b""
        answers = {b"Username: ": USER.encode() + b"\n", b"Password: ": PASSWORD.encode() + b"\n"}
        while select.select([master], [], [], 60)[0]:
            try:
                said += os.read(master, 4096)
            except OSError:
                break
            for question in [q for q in answers if said.endswith(q)]:
                os.write(master, answers.pop(question))
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0, said)
        self.assertIn(b"Login Succeeded!", said)
        self.assertNotIn(PASSWORD.encode(), said)


if __name__ == "__main__":
    unittest.main()
