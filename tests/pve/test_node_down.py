"""A node that is down for good in the middle of a task: nexcage looks for it for a minute, so this runs beside the other files."""
import unittest

from guests import ImageCase
from pve_tasks import RequestFault, TaskFault


class NodeDown(ImageCase):
    def test_node_down_in_mid_task(self):
        """What was made is not forgotten, and goes when the node is back."""
        before = self.picture()

        def down():
            self.double.cluster.nodes["pve1"] = "offline"
        self.double.faults.add(TaskFault("vzcreate", seconds=1))
        self.double.faults.add(RequestFault("GET /nodes/pve1/tasks/.*vzcreate.*/status", before=down))
        error = self.refused("create", "--runtime", "proxmox-lxc", "--name", "web", "guest:1")
        self.assertIn("No route to host", error)
        self.assertEqual(self.picture()[2], ["web"])
        self.double.cluster.nodes["pve1"] = "online"
        self.create("next")
        self.assertEqual(self.guest().config["hostname"], "next")
        self.ok("delete", "next")
        self.assertEqual(self.picture()[1:], before[1:])


if __name__ == "__main__":
    unittest.main()
