"""Boots the virtual machine once and runs guest/test_cgroup2.py in it; its cases appear in the results one by one."""
import os
import shutil
import sys
import unittest

import machine

SOURCE = os.environ.get("NX_SOURCE") or os.path.dirname(os.path.dirname(machine.HERE))
# An emulated processor spends ten seconds on the start of a program with the sanitizers.
RELEASE = os.environ.get("NX_RELEASE", os.path.join(SOURCE, "build/release"))
CACHE = os.environ.get("NX_CACHE", os.path.join(SOURCE, "build/cache"))


class Cgroup2(unittest.TestCase):
    def test_everything_in_the_machine(self):
        if os.geteuid() != 0:
            self.skipTest("needs root: the machine sees the host's files as root")
        missing = machine.missing()
        if missing:
            self.skipTest(f"not installed: {', '.join(missing)}")
        if not os.access(os.path.join(RELEASE, "bin/nexcage"), os.X_OK):
            self.skipTest(f"{RELEASE}/bin/nexcage is not built")
        try:
            vm = machine.Machine(CACHE)
        except RuntimeError as error:
            self.skipTest(str(error))
        self.addCleanup(vm.destroy)
        settings = {"NX_BUILD": RELEASE, "NX_SOURCE": SOURCE, "NX_RESULTS": "/share", "NX_SUITE": "vm_cgroup2_guest",
                    "NX_BACKENDS": os.environ.get("NX_BACKENDS", "lxc,crun,runc")}
        settings.update({name: os.environ[name] for name in ("NX_BARE",) if name in os.environ})
        status, output = vm.run(
            "\n".join(f"export {name}='{value}'" for name, value in settings.items()) +
            f"\nexec {sys.executable} -B {SOURCE}/tests/support/unittests.py"
            f" {machine.HERE}/guest/test_cgroup2.py " + os.environ.get("NX_ONLY", ""), visible=[SOURCE, RELEASE],
            systemd=os.path.exists(machine.SYSTEMD))
        print(output)
        results = os.environ.get("NX_RESULTS")
        if results:
            shutil.copy(os.path.join(vm.share, "vm_cgroup2_guest.xml"), results)
        self.assertEqual(status, 0, "a test failed in the machine")


if __name__ == "__main__":
    unittest.main()
