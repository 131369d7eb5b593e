"""Boots the virtual machine once and runs files of guest/ in it; their cases appear in the results one by one.

For people: NX_GUESTS picks files ("layerfs"), NX_ONLY cases of them ("Verity").
"""
import os
import shutil
import sys
import unittest

import machine

SOURCE = os.environ.get("NX_SOURCE") or os.path.dirname(os.path.dirname(machine.HERE))
# An emulated processor spends ten seconds on the start of a program with the sanitizers.
RELEASE = os.environ.get("NX_RELEASE", os.path.join(SOURCE, "build/release"))
CACHE = os.environ.get("NX_CACHE", os.path.join(SOURCE, "build/cache"))
# What is handed on to the machine.
SETTINGS = {"NX_BUILD": RELEASE, "NX_SOURCE": SOURCE, "NX_RESULTS": "/share",
            "NX_BACKENDS": os.environ.get("NX_BACKENDS", "lxc,crun,runc")}
SETTINGS.update({name: os.environ[name] for name in ("NX_BARE", "NX_LONG") if name in os.environ})


class Case(unittest.TestCase):
    """Base of the tests that boot a machine."""

    def run_guests(self, names, zfs=False, systemd=False, seconds=1200):
        """Runs guest/test_NAME.py of each of the names; skips where there can be no such machine."""
        guests = os.environ.get("NX_GUESTS", names).split()
        if os.geteuid() != 0:
            self.skipTest("needs root: the machine sees the host's files as root")
        missing = machine.missing(zfs)
        if missing:
            self.skipTest(f"not installed: {', '.join(missing)}")
        if not os.access(os.path.join(RELEASE, "bin/nexcage"), os.X_OK):
            self.skipTest(f"{RELEASE}/bin/nexcage is not built")
        try:
            # A second emulated processor costs ZFS more than it brings.
            vm = machine.Machine(CACHE, zfs=zfs, processors=1 if zfs else 2)
        except RuntimeError as error:
            self.skipTest(str(error))
        self.addCleanup(vm.destroy)
        script = [f"export {name}='{value}'" for name, value in SETTINGS.items()] + ["code=0"]
        script += [f"NX_SUITE=vm_{guest}_guest {sys.executable} -B {SOURCE}/tests/support/unittests.py"
                   f" {machine.HERE}/guest/test_{guest}.py {os.environ.get('NX_ONLY', '')} || code=1" for guest in guests]
        status, output = vm.run("\n".join([*script, "exit $code"]), visible=[SOURCE, RELEASE], seconds=seconds, systemd=systemd)
        print(output)
        results = os.environ.get("NX_RESULTS")
        if results:
            for guest in guests:
                shutil.copy(os.path.join(vm.share, f"vm_{guest}_guest.xml"), results)
        self.assertEqual(status, 0, "a test failed in the machine")
