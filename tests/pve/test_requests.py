"""The requests that 500 random specs become, against the schema of the API in each release that takes them."""
import json
import os
import subprocess
import unittest

from pve_schema import Schema

PROGRAM = os.path.join(os.environ.get("NX_BUILD", "build/dev"), "tests/nx_pve_requests")


@unittest.skipUnless(os.access(PROGRAM, os.X_OK), f"{PROGRAM} is not built")
class Requests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = subprocess.run([PROGRAM], capture_output=True, text=True, check=False)
        if made.returncode:
            raise AssertionError(made.stderr)
        cls.requests = [json.loads(line) for line in made.stdout.splitlines()]

    def check(self, version, made_for):
        schema = Schema(version)
        create, _, _ = schema.find("POST", "/nodes/pve1/lxc")
        update, _, _ = schema.find("PUT", "/nodes/pve1/lxc/100/config")
        for number, requests in enumerate(self.requests, 1):
            with self.subTest(seed=number):
                request = requests[made_for]
                whole = {"node": "pve1", "vmid": "100", "ostemplate": "local:vztmpl/a.tar.gz", **request}
                self.assertEqual(schema.check(create, whole), {})
                changes = {name: value for name, value in request.items() if name not in ("pool", "unprivileged")}
                self.assertEqual(schema.check(update, {"node": "pve1", "vmid": "100", **changes}), {})

    def test_there_are_500(self):
        self.assertEqual(len(self.requests), 500)

    def test_release_9_2(self):
        self.check("9.2", "9.2")

    def test_release_9_1(self):
        self.check("9.1", "9.2")

    def test_release_8_4(self):
        self.check("8.4", "8.4")

    def test_release_8_4_has_no_entrypoint(self):
        schema = Schema("8.4")
        create, _, _ = schema.find("POST", "/nodes/pve1/lxc")
        errors = schema.check(create, {"node": "pve1", "vmid": "100", "ostemplate": "local:vztmpl/a.tar.gz", **self.requests[0]["9.2"]})
        self.assertEqual(set(errors), {"entrypoint", "env"})


if __name__ == "__main__":
    unittest.main()
