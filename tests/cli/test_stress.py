"""Many life cycles one after the other leave nothing: NX_STRESS_CYCLES of them (default 5) on each backend."""
import os
import shutil
import unittest

import support

CYCLES = int(os.environ.get("NX_STRESS_CYCLES", "5"))


@support.needs_root
class Stress(support.Case):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(support.crun_can_run())
        super().setUpClass()

    def cycles(self, backend):
        bundle = self.world.bundle(["sleep", "1000"])
        argv = [f"{self.world.binary}-{backend}", "--config", self.world.config]

        def cycle():
            container = self.world.new_id()
            for args in (["create", "--bundle", bundle, container], ["start", container], ["kill", container, "KILL"]):
                answer = self.world.raw([*argv, *args])
                self.assertEqual(answer.code, 0, str(answer))
            support.wait_for(lambda: '"stopped"' in self.world.raw([*argv, "state", container]).out)
            answer = self.world.raw([*argv, "delete", container])
            self.assertEqual(answer.code, 0, str(answer))

        cycle()  # directories that stay from the first use on
        before = self.world.snapshot()
        for _ in range(CYCLES):
            cycle()
        self.assert_same_host(before)

    def test_lxc(self):
        self.cycles("lxc")

    @unittest.skipUnless(shutil.which("crun"), "needs the package crun")
    def test_crun(self):
        self.cycles("crun")

    @unittest.skipUnless(shutil.which("runc"), "needs the package runc")
    def test_runc(self):
        self.cycles("runc")


if __name__ == "__main__":
    unittest.main()
