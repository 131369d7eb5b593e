"""nexcage on a node itself, with nothing configured: the node's API as root@pam, and `pct exec`.

The node is this test's own: a network namespace in which the double has the API's port, and an /etc with /etc/pve that only the test's
processes see. The library that makes tickets is Perl's, as the product's is; what `pct` does, lxc-attach does: the words behind `--` run
in the guest with the variables that it was given.
"""
import ctypes
import os
import shutil
import subprocess
import tempfile
import unittest

import support
from double import Double
from guests import GuestCase
from test_guests import ImageCase

CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x00020000
LAUNCHER = os.path.join(os.environ.get("NX_BUILD", "build/dev"), "libexec/nexcage/launch")
ACCESS_CONTROL = r"""package PVE::AccessControl; use strict; use warnings;
sub assemble_ticket : prototype($;$) {
    my ($user) = @_;
    die "cluster not ready - no quorum?\n" if !$PVE::Cluster::is_known;
    die "not for $user\n" if $user ne 'root@pam';
    open(my $file, '<', '/etc/pve/priv/ticket') or die "no key: $!\n";
    return scalar <$file>;
}
1;
"""
CLUSTER = "package PVE::Cluster; our $is_known = 0; sub cfs_update { $is_known = 1; } 1;\n"
PCT = """#!/bin/sh
tr '\\0' '\\n' < /proc/self/cmdline > "$(dirname "$0")/seen"
test "$1 $2 $3 $4 $5" = "exec 100 --keep-env 1 --" || exit 255
shift 5
test "$1" = /.nexcage/launch || exit 127
exec {launcher}
"""


def enter_namespaces():
    """For this process, and the threads and programs that it starts from now on."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def setUpModule():
    if os.geteuid() == 0:
        enter_namespaces()


@unittest.skipUnless(os.geteuid() == 0, "makes namespaces: needs root")
@unittest.skipUnless(shutil.which("perl"), "perl is not installed")
class OnTheNode(ImageCase):
    def setUp(self):
        super().setUp()
        self.double.stop()
        self.double = Double(self.VERSION, port=8006)
        self.addCleanup(self.double.stop)
        # Nothing but the network of guests.
        self.settings = {"network": self.NETWORK}
        self.make_node()
        self.bin = self.path("bin")
        os.mkdir(self.bin)
        self.write("bin/pct", PCT.format(launcher=os.path.abspath(LAUNCHER)), 0o755)

    def make_node(self):
        layers = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, layers)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", layers], check=True)
        self.addCleanup(subprocess.run, ["umount", layers], check=True)
        for name in ("upper", "work"):
            os.mkdir(os.path.join(layers, name))
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                        f"lowerdir=/etc,upperdir={layers}/upper,workdir={layers}/work", "/etc"], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", "/etc"], check=True)
        os.makedirs("/etc/pve/nodes/pve1")
        os.symlink("nodes/pve1", "/etc/pve/local")
        os.mkdir("/etc/pve/priv", 0o700)
        shutil.copy(self.double.ca_file, "/etc/pve/local/pve-ssl.pem")
        self.renew_ticket()
        os.makedirs(self.path("perl/PVE"))
        self.write("perl/PVE/AccessControl.pm", ACCESS_CONTROL)
        self.write("perl/PVE/Cluster.pm", CLUSTER)

    def renew_ticket(self):
        self.double.access.users["root@pam"] = "a password that nobody knows"
        made = self.double.access.ticket("root@pam", "a password that nobody knows")
        with open("/etc/pve/priv/ticket", "w", encoding="ascii") as file:
            file.write(made["ticket"])

    def nexcage(self, *words, env=None):
        env = {"PERL5LIB": self.path("perl"), "PATH": f"{self.bin}:{os.environ['PATH']}", **(env or {})}
        return super().nexcage(*words, env=env)

    def run_guest(self):
        self.create("web")
        self.ok("start", "web")
        # The root file system of the guest's first process: this one's.
        self.guest().pid = os.getpid()

    def test_from_create_to_delete(self):
        before = self.picture()
        self.run_guest()
        self.assertTrue(self.guest().running)
        self.assertIn("web", self.ok("list"))
        self.ok("update", "--memory", "128m", "web")
        self.ok("update", "--image", "guest:1", "web")
        self.ok("update", "--rollback", "web")
        self.ok("stop", "web")
        self.ok("delete", "web")
        self.ok("pve", "templates", "prune")
        self.assertEqual(self.picture(), before)

    def test_processes_in_a_guest(self):
        self.run_guest()
        done = self.nexcage("exec", "-e", "SECRET=hidden", "web", "/bin/sh", "-c", "echo $SECRET; exit 7")
        self.assertEqual((done.returncode, done.stdout), (7, "hidden\n"), done.stderr)
        with open(os.path.join(self.bin, "seen"), encoding="utf-8") as file:
            self.assertNotIn("hidden", file.read())
        self.assertEqual(self.ok("exec", "--user", "nobody", "--cwd", "/", "web", "/usr/bin/id", "-un"), "nobody\n")
        done = self.nexcage("exec", "web", "/no/such/program")
        self.assertEqual(done.returncode, 127, done.stderr)
        self.assertIn("no user", self.refused("exec", "--user", "nosuchuser", "web", "/bin/true"))
        self.assertIn("a terminal", self.refused("exec", "-t", "web", "/bin/sh"))
        self.ok("stop", "web")
        self.assertIn("is not running", self.refused("exec", "--user", "nobody", "web", "/bin/true"))

    def test_the_node_is_not_the_guests(self):
        self.run_guest()
        self.double.cluster.nodes["pve2"] = self.double.cluster.nodes["pve1"]
        self.guest().node = "pve2"
        self.assertRegex(self.refused("exec", "web", "/bin/true"), r"another node[\s\S]*on node pve2: pct exec 100")

    def test_what_it_says_when_it_cannot(self):
        os.rename("/etc/pve/priv/ticket", "/etc/pve/priv/away")
        self.assertRegex(self.refused("pve", "doctor"), r"make a ticket of root@pam: no key")
        os.rename("/etc/pve/priv/away", "/etc/pve/priv/ticket")
        self.assertIn("this node", self.ok("pve", "doctor"))
        with open("/etc/pve/priv/ticket", "w", encoding="ascii") as file:
            file.write("PVE:root@pam:00000000::AAAA")
        self.assertIn("authentication failure", self.refused("pve", "doctor"))
        self.renew_ticket()
        self.settings["token_file"] = self.path("token")
        self.assertRegex(self.refused("pve", "doctor"), r"log in is configured, and no host")

    def test_another_certificate(self):
        shutil.copy(self.double.ca_file, "/etc/pve/local/pveproxy-ssl.pem")
        self.ok("pve", "doctor")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                        "/dev/null", "-out", "/etc/pve/local/pveproxy-ssl.pem", "-subj", "/CN=other"], check=True, capture_output=True)
        self.assertIn("not the pinned one", self.refused("pve", "doctor"))


del GuestCase, ImageCase, support

if __name__ == "__main__":
    unittest.main()
