"""containerd's Kubernetes interface (CRI, runtime.v1) on a private machine, as the kubelet uses it: a RuntimeClass
becomes the handler of RunPodSandbox. Messages are written by hand: field numbers are those of the CRI's api.proto.
"""
import json
import os
import sys
import time
import unittest

import containerd
import engine

try:
    import grpc
except ImportError:  # Debian's package is for Debian's Python, and good for others of the same version
    sys.path.append("/usr/lib/python3/dist-packages")
    try:
        import grpc
    except ImportError:
        grpc = None

NETWORK = {
    "cniVersion": "1.0.0", "name": "pods", "plugins": [
        {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True,
         "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap", "capabilities": {"portMappings": True}}]}


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def message(fields):
    """Protocol buffer of {number: int, text, bytes, nested fields, or a list of these}."""
    out = b""
    for number, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int):
                out += varint(number << 3) + varint(one)
                continue
            data = message(one) if isinstance(one, dict) else one.encode() if isinstance(one, str) else one
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def fields_of(data):
    """{number: [int or bytes]} of a protocol buffer."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        elif key & 7 == 2:
            length = number()
            value, at = data[at:at + length], at + length
        else:
            raise ValueError(f"wire type {key & 7}")
        found.setdefault(key >> 3, []).append(value)
    return found


class CriCase(containerd.ContainerdCase):
    tools = (*containerd.ContainerdCase.tools, "/usr/lib/cni/bridge", "/usr/lib/cni/portmap", "iptables")
    kept = frozenset(["/run/containerd/io.containerd.grpc.v1.cri/containers/"])

    @classmethod
    def setUpClass(cls):
        if grpc is None:
            raise unittest.SkipTest("not installed: python3-grpcio")
        super().setUpClass()

    @classmethod
    def prepare(cls):
        os.makedirs("/etc/cni/net.d")
        with open("/etc/cni/net.d/10-pods.conflist", "w", encoding="utf-8") as file:
            json.dump(NETWORK, file)
        plugin = 'plugins."io.containerd.grpc.v1.cri"'
        # The last two: this machine has no AppArmor, and its root may not lower an oom_score_adj.
        cls.start_daemon(f'''[{plugin}.containerd]
  default_runtime_name = "{engine.RUNTIME}"
[{plugin}.containerd.runtimes.{engine.RUNTIME}]
  runtime_type = "io.containerd.runc.v2"
  [{plugin}.containerd.runtimes.{engine.RUNTIME}.options]
    BinaryName = "{engine.BINARY}"
    SystemdCgroup = false
[{plugin}.cni]
  bin_dir = "/usr/lib/cni"
[{plugin}]
  sandbox_image = "{containerd.IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
''')
        cls.import_image("k8s.io", Cmd=["sleep", "100000"])
        cls.channel = grpc.insecure_channel("unix://" + containerd.SOCKET)
        unittest.addModuleCleanup(cls.channel.close)
        deadline = time.monotonic() + 20
        while True:  # the socket is there before the plugin
            try:
                cls.call("Version", {})
                break
            except grpc.RpcError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        cls.remove_pod(cls.start_pod({})[0])  # makes the directories that containerd keeps

    @classmethod
    def call(cls, method, request):
        """A call of runtime.v1.RuntimeService: fields in, fields out."""
        plain = lambda data: data
        rpc = cls.channel.unary_unary(f"/runtime.v1.RuntimeService/{method}", plain, plain)
        return fields_of(rpc(message(request), timeout=60))

    @classmethod
    def start_pod(cls, ports):
        """(id, config) of a new sandbox."""
        logs = cls.world.path("pod-logs")
        os.makedirs(logs, exist_ok=True)
        config = {1: {1: "pod", 2: cls.world.new_id(), 3: "default"}, 2: "podhost", 3: logs,
                  5: [{2: inside, 3: outside, 4: "127.0.0.1"} for outside, inside in ports.items()],
                  8: {1: "/" + cls.world.token}}
        return cls.call("RunPodSandbox", {1: config, 2: engine.RUNTIME})[1][0].decode(), config

    @classmethod
    def remove_pod(cls, pod):
        cls.call("StopPodSandbox", {1: pod})
        cls.call("RemovePodSandbox", {1: pod})

    def pod(self, ports=()):
        """A sandbox, removed after the test: (id, config, address). ports: {host: container}."""
        pod, config = self.start_pod(dict(ports))
        self.addCleanup(self.remove_pod, pod)
        status = fields_of(self.call("PodSandboxStatus", {1: pod})[1][0])
        return pod, config, fields_of(status[5][0])[1][0].decode()

    def container(self, pod, config, name, script, **linux):
        """A started container of a pod; linux: cpu_quota=, memory=."""
        resources = {1: 100000, 2: linux.get("cpu_quota", 0), 4: linux.get("memory", 0)}
        container = self.call("CreateContainer", {1: pod, 2: {
            1: {1: name}, 2: {1: containerd.IMAGE}, 3: ["sh", "-c"], 4: script, 11: name + ".log", 15: {1: resources}},
            3: config})[1][0].decode()
        self.call("StartContainer", {1: container})
        return container

    def execute(self, container, *command):
        """(exit code, output) of ExecSync."""
        answer = self.call("ExecSync", {1: container, 2: list(command)})
        return answer.get(3, [0])[0], answer.get(1, [b""])[0].decode()

    def files(self):
        return super().files() | engine.support.tree("/run/netns")
