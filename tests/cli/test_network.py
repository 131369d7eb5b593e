"""Networks of containers made from images: real CNI plugins in a network namespace of this test's own."""
import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import unittest

import support

CLONE_NEWNET = 0x40000000
PLUGINS = "/usr/lib/cni"
LIBC = ctypes.CDLL(None, use_errno=True)


def missing():
    """Why these tests cannot run here; empty when they can."""
    if os.geteuid() != 0:
        return "needs root: network namespaces"
    for plugin in ("bridge", "host-local", "portmap", "firewall", "static", "tuning"):
        if not os.access(f"{PLUGINS}/{plugin}", os.X_OK):
            return f"CNI plugin {plugin} is not installed (package containernetworking-plugins)"
    for program in ("/usr/sbin/iptables", "/usr/sbin/iptables-save", "/sbin/ip"):
        if not os.access(program, os.X_OK):
            return f"{program} is not installed"
    return ""


def setUpModule():
    reason = missing()
    if reason:
        raise unittest.SkipTest(reason)
    if LIBC.unshare(CLONE_NEWNET) != 0:
        raise unittest.SkipTest("cannot make a network namespace: " + os.strerror(ctypes.get_errno()))
    ip("link", "set", "lo", "up")
    probe = subprocess.run(["iptables", "-t", "nat", "-S"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise unittest.SkipTest("iptables has no nat table here: " + probe.stderr.strip())


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


def links():
    return sorted(link["ifname"] for link in json.loads(ip("-j", "link")))


def rules():
    """The packet filter without counters and comments of time."""
    text = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    return sorted(line for line in text.split("\n") if line.startswith("-A"))


def leases():
    """Addresses that are given away, in all networks with leases in their usual places."""
    found = set()
    for directory, _, files in os.walk("/run/cni/networks"):
        found.update(os.path.join(directory, f) for f in files if f[0].isdigit())
    return found


def in_namespace(path, code, **kwargs):
    """Starts Python code in a network namespace; it says "ready" when the test may go on."""
    process = subprocess.Popen(["nsenter", f"--net={path}", sys.executable, "-c", code], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, text=True, **kwargs)
    assert process.stdout.readline() == "ready\n"
    return process


UDP_ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", {port}))
print("ready", flush=True)
data, peer = s.recvfrom(100)
s.sendto(b"got " + data, peer)
"""


def http_get(address, port, timeout=5):
    """The first line that busybox' httpd serves; retried until the server listens."""

    def once():
        with contextlib.suppress(OSError):
            with socket.create_connection((address, port), timeout) as connection:
                connection.sendall(b"GET /word HTTP/1.0\r\n\r\n")
                text = b""
                while chunk := connection.recv(4096):
                    text += chunk
                return text.decode().split("\r\n\r\n")[-1].strip()
        return None

    return support.wait_for(once, what=f"http at {address}:{port}")


SERVE = ("sh", "-c", "echo $(hostname) > /tmp/word; exec httpd -f -p 80 -h /tmp")


class NetworkCase(support.Case):
    @classmethod
    def prepare(cls):
        cls.image = cls.world.import_image()
        cls.world.write_config(network="")
        # The bridge, the common chains and directories are there from the first container on.
        answer = cls.world.run("run", "--rm", "-p", "127.0.0.1::80", cls.image, "true")
        if answer.code != 0:
            raise AssertionError(str(answer))

    def setUp(self):
        self.before = self.picture()
        self.addCleanup(self.check_nothing_left)

    def picture(self):
        return {"links": links(), "rules": rules(), "leases": leases(), "host": self.world.snapshot(),
                "networks": sorted(os.listdir(self.world.path("run/@network")))}

    def check_nothing_left(self):
        for container in self.run_ok("list", "--quiet").out.split():
            self.run_ok("delete", "--force", container)
        after = self.picture()
        for what, old in self.before.items():
            if what != "host":
                self.assertEqual(after[what], old, what)
        # host-local and mount(8) leave their files; leases are compared above.
        self.assert_same_host(self.before["host"], ignore=(
            "/run/cni/networks/", "/run/mount/", "/@crun", "/@runc", "/run/crun/"))

    def detach(self, *options, command=("sleep", "100"), name=None):
        container = name or self.world.new_id()
        self.run_ok("run", "-d", "--name", container, *options, self.image, *command)
        return container

    def output(self, *options, command):
        return self.run_ok("run", "--rm", *options, self.image, *command).out

    def info(self, container):
        with open(self.world.path("images/containers", container, "info.json"), encoding="utf-8") as file:
            return json.load(file)["network"]

    def address(self, container):
        return self.info(container)["addresses"][0].split("/")[0]

    def refused(self, code, *words, options, status=125):
        answer, records = self.world.logged("run", "--rm", *options, self.image, "true")
        self.assert_error(answer, records, code, status, *words)


class Bridge(NetworkCase):
    def test_containers_reach_each_other_and_nobody_else_sees_their_traffic(self):
        server = self.detach("--hostname", "server", command=SERVE)
        address = self.address(server)
        out = support.wait_for(
            lambda: self.world.run("run", "--rm", self.image, "wget", "-q", "-O", "-", f"http://{address}/word").out)
        self.assertEqual(out, "server\n")
        # From the host, too; the gateway is the bridge.
        self.assertEqual(http_get(address, 80), "server")
        self.assertIn("nexcage0", links())
        info = self.info(server)
        self.assertEqual((info["mode"], info["name"], info["ports"]), ("bridge", "nexcage", []))
        self.assertRegex(info["mac"], "^[0-9a-f:]{17}$")
        self.assertTrue(info["gateway"].endswith(".0.1"))

    def test_default_route_leads_to_the_bridge(self):
        out = self.output(command=["ip", "route"])
        gateway = json.loads(ip("-j", "addr", "show", "nexcage0"))[0]["addr_info"][0]["local"]
        self.assertIn(f"default via {gateway} dev eth0", out)
        self.assertIn("127.0.0.1/8", self.output(command=["ip", "addr", "show", "lo"]))

    def test_fixed_address_and_hardware_address(self):
        gateway = json.loads(ip("-j", "addr", "show", "nexcage0"))[0]["addr_info"][0]["local"]
        wanted = gateway.rsplit(".", 2)[0] + ".2.77"
        out = self.output("--network", f"bridge,ip={wanted},mac=02:00:00:00:be:ef", command=["ip", "addr", "show", "eth0"])
        self.assertIn(f"inet {wanted}/22", out)
        self.assertIn("02:00:00:00:be:ef", out)
        self.refused("InvalidSpec", "10.255.0.1", options=["--network", "bridge,ip=10.255.0.1"])
        first = self.detach("--network", f"bridge,ip={wanted}")
        self.assertEqual(self.address(first), wanted)
        self.refused("RuntimeNotAvailable", "plugin bridge", wanted + " is not available", options=["--network", f"bridge,ip={wanted}"])

    def test_address_is_free_again_after_rm(self):
        for _ in range(2):
            self.output(command=["true"])
            self.assertEqual(leases(), self.before["leases"])

    def test_detached_container_that_removes_itself(self):
        container = self.detach("--rm", "-p", "127.0.0.1::80", command=("true",))
        support.wait_for(lambda: container not in self.run_ok("list", "--quiet").out.split())
        support.wait_for(lambda: leases() == self.before["leases"])

    def test_first_containers_at_once_share_one_network(self):
        ip("link", "delete", "nexcage0")
        names = [self.world.new_id() for _ in range(4)]
        processes = [self.world.popen("create", "--name", n, self.image, "sleep", "9", stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL) for n in names]
        self.assertEqual([p.wait(60) for p in processes], [0] * len(names))
        addresses = [self.info(n)["addresses"][0] for n in names]
        self.assertEqual(len(set(addresses)), len(names))
        self.assertEqual({a.split("/")[1] for a in addresses}, {"22"})
        self.assertEqual(len({a.rsplit(".", 2)[0] for a in addresses}), 1)

    def test_configured_subnet_is_used(self):
        self.addCleanup(self.world.write_config, network="")
        self.world.write_config(network='subnet = "10.99.9.0/24"')
        self.refused("ConfigError", "10.99.9.0/24", "nexcage0", options=[])
        ip("link", "delete", "nexcage0")
        self.assertIn("inet 10.99.9.", self.output(command=["ip", "addr", "show", "eth0"]))
        ip("link", "delete", "nexcage0")
        self.world.write_config(network="")
        self.output(command=["true"])  # the bridge as before

    def test_another_bridge_by_name(self):
        ip("link", "add", "brx", "type", "bridge")
        self.addCleanup(ip, "link", "delete", "brx")
        ip("addr", "add", "10.66.0.1/24", "dev", "brx")
        ip("link", "set", "brx", "up")
        self.before["links"] = sorted([*self.before["links"], "brx"])
        self.addCleanup(self.before["links"].remove, "brx")
        out = self.output("--network", "bridge:brx,ip=10.66.0.5", command=["sh", "-c", "ip addr show eth0; ip route"])
        self.assertIn("inet 10.66.0.5/24", out)
        self.assertIn("default via 10.66.0.1", out)
        # Nobody but its owner gives addresses there.
        out = self.output("--network", "bridge:brx,mac=02:00:00:00:00:11", command=["ip", "addr", "show", "eth0"])
        self.assertNotIn("inet 10", out)
        self.assertIn("02:00:00:00:00:11", out)
        server = self.detach("--network", "bridge:brx,ip=10.66.0.6", "-p", "127.0.0.1:18090:80", command=SERVE)
        self.assertEqual(http_get("127.0.0.1", 18090), server[:12])
        self.run_ok("delete", "--force", server)
        # Where the kernel cannot filter VLANs the plugin says so; either way nothing is left.
        answer = self.world.run("run", "--rm", "--network", "bridge:brx,vlan=7,ip=10.3.3.3/24", self.image, "true")
        self.assertIn(answer.code, (0, 125), str(answer))
        if answer.code == 125:
            self.assertIn("vlan", answer.err)
        self.refused("ConfigError", "bridge bry", options=["--network", "bridge:bry"])
        self.refused("ConfigError", "lo is no bridge", options=["--network", "bridge:lo"])
        self.refused("InvalidSpec", "--publish", options=["--network", "bridge:brx", "-p", "80:80"])


class Publish(NetworkCase):
    def test_tcp_and_udp_on_loopback(self):
        server = self.detach("-p", "127.0.0.1:18080:80", "-p", "127.0.0.1:18053:53/udp", command=SERVE)
        self.assertEqual(http_get("127.0.0.1", 18080), server[:12])
        echo = in_namespace(self.world.path("run/@network", server, "netns"), UDP_ECHO.format(port=53))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.sendto(b"hello", ("127.0.0.1", 18053))
            self.assertEqual(client.recvfrom(100)[0], b"got hello")
        self.assertEqual(echo.wait(10), 0)
        echo.stdout.close()
        ports = "127.0.0.1:18080->80/tcp,127.0.0.1:18053->53/udp"
        self.assertEqual(self.info(server)["ports"], ports.split(","))
        annotations = self.run_ok("state", server).json()["annotations"]
        self.assertEqual(annotations["org.nexcage.network.ports"], ports)
        self.assertEqual(annotations["org.nexcage.network"], "nexcage")
        self.assertEqual(annotations["org.nexcage.network.ip"], self.info(server)["addresses"][0])
        self.assertIn(ports, self.run_ok("ps").out)
        self.assertEqual(self.run_ok("ps", "--format", "json").json()[0]["ports"], ports)

    def test_on_all_addresses(self):
        server = self.detach("-p", "18081:80", command=SERVE)
        gateway = self.info(server)["gateway"]
        self.assertEqual(http_get(gateway, 18081), server[:12])
        # And from another container, through the host's address.
        self.assertEqual(self.output(command=["wget", "-q", "-O", "-", f"http://{gateway}:18081/word"]).strip(), server[:12])

    def test_any_free_port_and_ranges(self):
        server = self.detach("-p", "127.0.0.1::80", "-p", "18100-18102:90-92", command=SERVE)
        ports = self.info(server)["ports"]
        chosen = int(re.match(r"127\.0\.0\.1:(\d+)->80/tcp", ports[0]).group(1))
        self.assertGreater(chosen, 1023)
        self.assertEqual(http_get("127.0.0.1", chosen), server[:12])
        self.assertEqual(ports[1:], [f"0.0.0.0:1810{i}->9{i}/tcp" for i in range(3)])

    def test_a_port_is_given_once(self):
        first = self.detach("-p", "127.0.0.1:18082:80")
        self.refused("InvalidState", first, "18082", options=["-p", "18082:80"])
        self.run_ok("run", "--rm", "-p", "18082:80/udp", self.image, "true")
        with socket.create_server(("127.0.0.1", 18083)):
            self.refused("InvalidState", "18083", "program of the host", options=["-p", "127.0.0.1:18083:80"])
        self.refused("ConfigError", "203.0.113.9", options=["-p", "203.0.113.9:18084:80"])
        self.run_ok("delete", "--force", first)
        self.run_ok("run", "--rm", "-p", "18082:80", self.image, "true")

    def test_words_that_make_no_sense(self):
        self.refused("InvalidSpec", "--publish", options=["-p", "x:80"])
        self.refused("InvalidSpec", "--publish", options=["-p", "80:80", "--network", "host"])
        self.refused("InvalidSpec", "--publish", options=["-p", "80:80", "--network", "none"])
        self.refused("Unsupported", "sctp", options=["-p", "80:80/sctp"])
        self.refused("InvalidSpec", "--network", options=["--network", "brigde"])


class OtherModes(NetworkCase):
    def test_host(self):
        out = self.output("--network", "host", command=["sh", "-c", "ls /sys/class/net; readlink /proc/self/ns/net"])
        self.assertIn("nexcage0", out)
        self.assertIn(os.readlink("/proc/self/ns/net"), out)

    def test_none(self):
        out = self.output("--network", "none", command=["sh", "-c", "ip -o link; ip addr show lo; cat /etc/hosts"])
        self.assertEqual(len(re.findall(r"(?m)^\d+: lo:.*UP", out)), 2)
        self.assertNotIn("eth0", out)
        self.assertIn("inet 127.0.0.1/8", out)

    def test_path_of_a_namespace(self):
        ip("netns", "add", "first")  # ip makes a mount for all of them
        ip("netns", "delete", "first")
        self.before["host"] = self.world.snapshot()
        ip("netns", "add", "nxtest")
        self.addCleanup(ip, "netns", "delete", "nxtest")
        ip("-n", "nxtest", "link", "add", "marker", "type", "bridge")
        self.assertIn("marker", self.output("--network", "ns:/run/netns/nxtest", command=["ip", "link"]))
        self.refused("InvalidSpec", "no network namespace", options=["--network", "ns:/etc/passwd"])
        self.refused("FileError", "/run/netns/nothing", options=["--network", "ns:/run/netns/nothing"])

    def test_configured_default(self):
        self.addCleanup(self.world.write_config, network="")
        self.world.write_config(network='default = "none"')
        self.assertNotIn("eth0", self.output(command=["ip", "link"]))
        self.assertIn("eth0", self.output("--network", "bridge", command=["ip", "link"]))
        self.world.write_config(network='default = "bridgg"')
        self.refused("InvalidSpec", "bridgg", options=[])


class Files(NetworkCase):
    def test_hosts_hostname_and_resolver(self):
        container = self.detach("--hostname", "web", "--add-host", "db:10.1.2.3", "--add-host", "up:host-gateway",
                                "--dns", "10.9.9.9", "--dns-search", "a.example")
        read = lambda name: self.run_ok("exec", container, "cat", f"/etc/{name}").out
        self.assertEqual(read("hostname"), "web\n")
        self.assertEqual(read("resolv.conf").split("\n")[:2], ["search a.example", "nameserver 10.9.9.9"])
        hosts = read("hosts")
        gateway = self.info(container)["gateway"]
        for line in ("127.0.0.1\tlocalhost", "10.1.2.3\tdb", f"{gateway}\tup", f"{gateway}\thost.containers.internal",
                     f"{self.address(container)}\tweb"):
            self.assertIn(line, hosts)
        # Writable and owned by root, as Podman's; the image's own files are not touched.
        self.run_ok("exec", container, "sh", "-c", "echo 10.0.0.1 more >> /etc/hosts")
        mode = os.stat(self.world.path("containers", container, "hosts"))
        self.assertEqual((stat.S_IMODE(mode.st_mode), mode.st_uid), (0o644, 0))

    def test_name_servers_of_the_host_without_those_on_loopback(self):
        text = "search host.example\nnameserver 127.0.0.1\nnameserver 10.7.7.7\noptions ndots:3\n"
        with self.bound("/etc/resolv.conf", text):
            self.assertEqual(self.output(command=["cat", "/etc/resolv.conf"]),
                             "search host.example\nnameserver 10.7.7.7\noptions ndots:3\n")
            self.assertEqual(self.output("--network", "host", command=["cat", "/etc/resolv.conf"]), text)

    def test_name_servers_behind_resolveds_stub(self):
        os.makedirs("/run/systemd/resolve")
        self.addCleanup(os.removedirs, "/run/systemd/resolve")
        with open("/run/systemd/resolve/resolv.conf", "w", encoding="utf-8") as file:
            file.write("nameserver 10.8.8.8\n")
        self.addCleanup(os.unlink, "/run/systemd/resolve/resolv.conf")
        self.before["host"] = self.world.snapshot()
        with self.bound("/etc/resolv.conf", "nameserver 127.0.0.53\n"):
            self.assertEqual(self.output(command=["cat", "/etc/resolv.conf"]), "nameserver 10.8.8.8\n")

    @contextlib.contextmanager
    def bound(self, target, text):
        """Another text in the place of a file of the host, in this test's mount namespace."""
        source = self.world.path("bound")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        subprocess.run(["mount", "--bind", source, os.path.realpath(target)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", os.path.realpath(target)], check=True)
            os.unlink(source)

    def test_hosts_of_the_host(self):
        with self.bound("/etc/hosts", "10.5.5.5 of-the-host\n"):
            self.assertIn("10.5.5.5 of-the-host\n", self.output("--network", "host", command=["cat", "/etc/hosts"]))
            self.assertNotIn("of-the-host", self.output(command=["cat", "/etc/hosts"]))

    def test_mounts_of_the_user_win(self):
        mine = self.world.path("mine")
        with open(mine, "w", encoding="utf-8") as file:
            file.write("mine\n")
        out = self.output("-v", f"{mine}:/etc/resolv.conf", command=["cat", "/etc/resolv.conf", "/etc/hostname"])
        self.assertTrue(re.fullmatch("mine\n[0-9a-f]{12}\n", out), out)
        etc = self.world.path("etc")
        os.makedirs(etc)
        self.output("-v", f"{etc}:/etc", command=["true"])
        self.assertEqual(os.listdir(etc), [])

    def test_read_only_root(self):
        answer = self.world.run("run", "--rm", "--read-only", self.image, "sh", "-c", "cat /etc/hosts; echo x >> /etc/hosts")
        self.assertIn("localhost", answer.out)
        self.assertIn("Read-only", answer.err)


class ConfiguredNetworks(NetworkCase):
    """cni:NAME, with plugins that are real and plugins that are shell scripts."""

    def setUp(self):
        super().setUp()
        self.directory = self.world.path("net.d")
        self.plugins = self.world.path("plugins")
        self.calls = self.world.path("calls")
        for path in (self.directory, self.plugins, self.calls):
            os.makedirs(path)
            self.addCleanup(subprocess.run, ["rm", "-rf", path], check=True)
        self.world.write_config(network=f'cni_config_dir = "{self.directory}"\ncni_plugin_dir = "{self.plugins}:{PLUGINS}"')
        self.addCleanup(self.world.write_config, network="")

    def conflist(self, name, plugins, version="1.0.0", file=None):
        with open(os.path.join(self.directory, file or f"{name}.conflist"), "w", encoding="utf-8") as out:
            json.dump({"cniVersion": version, "name": name, "plugins": plugins}, out)

    def plugin(self, name, add='{"cniVersion":"1.0.0"}', add_status=0, delete=":"):
        """A plugin that notes every call and answers ADD with a text."""
        path = os.path.join(self.plugins, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"""#!/bin/sh
input=$(cat)
echo "$CNI_COMMAND {name}" >> {self.calls}/order
echo "$input" > {self.calls}/{name}.$CNI_COMMAND
env > {self.calls}/{name}.$CNI_COMMAND.env
if [ $CNI_COMMAND = ADD ]; then
cat <<'END'
{add}
END
exit {add_status}
fi
{delete}
""")
        os.chmod(path, 0o755)

    def order(self):
        with open(os.path.join(self.calls, "order"), encoding="utf-8") as file:
            return file.read().split("\n")[:-1]

    def call(self, name):
        with open(os.path.join(self.calls, name), encoding="utf-8") as file:
            return json.load(file)

    def bridge(self, **more):
        return {"type": "bridge", "bridge": "nxcni0", "isGateway": True, "ipMasq": True,
                "ipam": {"type": "host-local", "dataDir": "/run/cni/networks",
                         "ranges": [[{"subnet": "10.67.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}, **more}

    def test_a_network_as_podman_writes_it(self):
        self.conflist("podlike", [self.bridge(), {"type": "portmap", "capabilities": {"portMappings": True}},
                                  {"type": "firewall"}, {"type": "tuning"}], version="0.4.0")
        self.run_ok("run", "--rm", "--network", "cni:podlike", self.image, "true")
        self.addCleanup(ip, "link", "delete", "nxcni0")
        before = self.picture()
        # No plugin of it declares "ips" or "mac": they go as CNI_ARGS.
        server = self.detach("--network", "cni:podlike,ip=10.67.0.9", "-p", "127.0.0.1:18070:80", command=SERVE)
        self.assertEqual(http_get("127.0.0.1", 18070), server[:12])
        self.assertEqual(self.info(server)["addresses"], ["10.67.0.9/24"])
        self.assertEqual((self.info(server)["mode"], self.info(server)["name"]), ("cni", "podlike"))
        self.run_ok("delete", "--force", server)
        self.assertEqual(self.picture()["rules"], before["rules"])
        self.before.update(before)
        self.before["links"].remove("nxcni0")

        self.conflist("noports", [self.bridge()])
        self.refused("Unsupported", "no plugin for it", options=["--network", "cni:noports", "-p", "80:80"])
        self.refused("ConfigError", "nowhere", options=["--network", "cni:nowhere"])

    def test_every_plugin_is_called_in_order_and_back(self):
        one = '{"cniVersion":"1.0.0","ips":[{"address":"10.68.0.2/24","gateway":"10.68.0.1"}],"dns":{"nameservers":["10.68.0.53"]}}'
        self.plugin("first", one)
        self.plugin("second", one)
        self.conflist("chain", [{"type": "first", "own": {"kept": True}},
                                {"type": "second", "capabilities": {"portMappings": True}}])
        out = self.output("--network", "cni:chain", "-p", "18071:71/udp", command=["cat", "/etc/resolv.conf"])
        self.assertIn("nameserver 10.68.0.53", out)
        self.assertEqual(self.order(), ["ADD first", "ADD second", "DEL second", "DEL first"])
        first, second = self.call("first.ADD"), self.call("second.ADD")
        self.assertEqual(first, {"cniVersion": "1.0.0", "name": "chain", "type": "first", "own": {"kept": True}})
        self.assertEqual(second["prevResult"], json.loads(one))
        self.assertEqual(second["runtimeConfig"],
                         {"portMappings": [{"hostPort": 18071, "containerPort": 71, "protocol": "udp"}]})
        self.assertNotIn("capabilities", second)
        self.assertEqual(self.call("first.DEL")["prevResult"], json.loads(one))
        with open(os.path.join(self.calls, "first.ADD.env"), encoding="utf-8") as file:
            environment = dict(line.split("=", 1) for line in file.read().split("\n")[:-1])
        self.assertEqual(environment["CNI_IFNAME"], "eth0")
        self.assertTrue(environment["CNI_CONTAINERID"].startswith(self.world.token) or environment["CNI_CONTAINERID"])
        self.assertNotIn("HOME", environment)

    def test_a_plugin_that_fails_costs_nothing(self):
        self.plugin("good")
        self.plugin("bad", '{"code": 7, "msg": "no good", "details": "at all"}', add_status=1)
        self.plugin("never")
        self.conflist("fails", [{"type": "good"}, {"type": "bad"}, {"type": "never"}])
        self.refused("ConfigError", "network fails", "plugin bad", "no good: at all", options=["--network", "cni:fails"])
        self.assertEqual(self.order(), ["ADD good", "ADD bad", "DEL never", "DEL bad", "DEL good"])
        self.plugin("bad", "", add_status=3)
        self.refused("RuntimeNotAvailable", "exit status 3", options=["--network", "cni:fails"])
        for garbage in ("", "nonsense", "[1]", '{"ips": [{"address": "x"}]}'):
            self.plugin("bad", garbage)
            self.plugin("never", garbage)
            self.refused("InvalidJson", "network fails", options=["--network", "cni:fails"])

    def test_a_real_chain_that_fails_at_its_end_leaves_nothing(self):
        self.conflist("late", [self.bridge(), {"type": "portmap", "capabilities": {"portMappings": True}}, {"type": "bad"}])
        self.plugin("bad", '{"code": 100, "msg": "too late"}', add_status=1)
        self.refused("RuntimeNotAvailable", "too late", options=["--network", "cni:late", "-p", "18072:80"])
        self.addCleanup(ip, "link", "delete", "nxcni0")

    def test_a_plugin_that_gives_another_address(self):
        self.plugin("mule", '{"cniVersion":"1.0.0","ips":[{"address":"10.68.0.2/24"}]}')
        self.conflist("mule", [{"type": "mule"}])
        self.refused("ConfigError", "did not give address 10.68.0.9", options=["--network", "cni:mule,ip=10.68.0.9"])

    def test_plugins_that_are_not_installed(self):
        self.conflist("gone", [{"type": "no-such-plugin"}])
        self.refused("RuntimeNotAvailable", "no-such-plugin", options=["--network", "cni:gone"])
        self.conflist("ipam", [{"type": "bridge", "ipam": {"type": "no-such-ipam"}}])
        self.refused("RuntimeNotAvailable", "no-such-ipam", options=["--network", "cni:ipam"])
        self.world.write_config(network=f'cni_plugin_dir = "{self.calls}"')
        answer = self.world.run("run", "--rm", self.image, "true")
        self.assertEqual(answer.code, 125)
        self.assertIn("containernetworking-plugins", answer.err)
        self.assertIn("--network none", answer.err)
        self.run_ok("run", "--rm", "--network", "none", self.image, "true")

    def test_a_del_that_fails_is_tried_again(self):
        flag = self.world.path("calls/broken")
        self.plugin("stuck", delete=f'if [ -e {flag} ]; then echo \'{{"code":100,"msg":"stuck now"}}\'; exit 1; fi')
        self.plugin("other")
        self.conflist("stuck", [{"type": "other"}, {"type": "stuck"}])
        container = self.detach("--network", "cni:stuck")
        with open(flag, "w", encoding="utf-8"):
            pass
        answer, records = self.world.logged("delete", "--force", container)
        self.assert_error(answer, records, "RuntimeNotAvailable", 1, "stuck now")
        self.assertIn("DEL other", self.order(), "the others are called all the same")
        namespace = self.world.path("run/@network", container, "netns")
        self.assertTrue(os.path.ismount(namespace))
        os.unlink(flag)
        self.run_ok("list")
        self.assertFalse(os.path.exists(namespace))
        self.assertEqual(self.order().count("DEL stuck"), 2)


class EveryBackend(NetworkCase):
    """Networks are made above the backends: each only has to join the namespace of the spec."""

    def check(self, backend):
        if self.world.run("--runtime", backend, "features").code != 0:
            self.skipTest(f"this build has no backend {backend}")
        server = self.detach("--runtime", backend, "-p", "127.0.0.1:18050:80", "--add-host", "db:10.1.2.3", command=SERVE)
        self.assertEqual(self.run_ok("state", server).json()["backend"], backend)
        self.assertEqual(http_get("127.0.0.1", 18050), server[:12])
        run = lambda network, *command: self.output("--runtime", backend, "--network", network, command=command)
        self.assertIn("10.1.2.3\tdb", self.run_ok("exec", server, "cat", "/etc/hosts").out)
        self.assertRegex(run("none", "ip", "-o", "link"), r"^\d+: lo: <[^>]*\bUP\b[^\n]*\n$")
        self.assertIn("nexcage0", run("host", "ls", "/sys/class/net"))
        self.assertIn("eth0", run(f"ns:{self.world.path('run/@network', server, 'netns')}", "ip", "link"))

    def test_lxc(self):
        self.check("lxc")

    def test_runc(self):
        self.check("runc")

    def test_crun(self):
        with support.crun_can_run():
            self.check("crun")


class Killed(NetworkCase):
    def test_nothing_is_left_of_a_create_that_was_killed(self):
        for place in ("network-plugin", "network", "lxc-init-started", "phase-8"):
            with self.subTest(place=place):
                container = self.world.new_id()
                process = self.world.popen("create", "--name", container, "-p", "127.0.0.1:18060:80", self.image,
                                           "sleep", "100", env={"NEXCAGE_TESTPOINT": place}, stdin=subprocess.DEVNULL,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
                self.assertEqual(state.si_code, os.CLD_STOPPED, "the place was not reached")
                self.assertNotEqual(leases(), self.before["leases"])
                process.send_signal(signal.SIGKILL)
                process.wait(10)
                self.run_ok("list")
                self.check_nothing_left()

    def test_a_delete_that_was_killed_is_finished(self):
        container = self.detach("-p", "127.0.0.1:18061:80")
        # The state is gone only when the roll-back log has run: kill at any time, the next one ends it.
        for delay in (0.01, 0.05, 0.1):
            process = self.world.popen("delete", "--force", container, stdin=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(delay)
            process.kill()
            process.wait()
        self.run_ok("delete", "--force", container)

    def test_foreground_container_that_is_killed_with_its_runtime(self):
        container = self.world.new_id()
        process = self.world.popen("run", "--rm", "--name", container, self.image, "sleep", "100",
                                   stdin=subprocess.DEVNULL)
        support.wait_for(lambda: self.world.run("state", container).code == 0 and self.status(container) == "running")
        process.kill()
        process.wait()
        self.run_ok("delete", "--force", container)


if __name__ == "__main__":
    unittest.main()
