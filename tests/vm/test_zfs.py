"""What needs ZFS, in the virtual machine; see guests.py."""
import unittest

import guests


class Zfs(guests.Case):
    def test_everything_in_the_machine(self):
        self.run_guests("zfs_pool zfs_client zfs_storage", zfs=True, seconds=2600)


if __name__ == "__main__":
    unittest.main()
