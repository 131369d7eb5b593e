"""What needs pure cgroup v2, AppArmor, every capability or another kernel, in the virtual machine; see guests.py."""
import os
import unittest

import guests
import machine


class Cgroup2(guests.Case):
    def test_everything_in_the_machine(self):
        self.run_guests("cgroup2 layerfs", systemd=os.path.exists(machine.SYSTEMD))


if __name__ == "__main__":
    unittest.main()
