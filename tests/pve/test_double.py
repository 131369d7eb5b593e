"""The double against what the product answered: every recorded example, in its order, on a state built alike."""
import gzip
import hashlib
import http.client
import io
import json
import os
import ssl
import tarfile
import unittest
import urllib.parse

from double import Double
from pve_cluster import Volume
from pve_schema import HERE

PRIVILEGED = "root@pam!nexcage"
# Texts of the product's own libraries and tools, which the double has no need to repeat.
OTHER_WORDS = {"lxc-create-missing-template-task"}
# Values that differ each time; their keys and types are compared.
SHAPE = {"pressurecpufull", "pressurecpusome", "pressureiofull", "pressureiosome", "pressurememoryfull", "pressurememorysome",
         "memhost", "nics", "clipboard", "serial", "meta", "vmgenid", "maxcpu", "maxmem", "maxdisk", "disk", "cpu", "uptime", "mem"}


def tar_of(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def oci_archive():
    blobs = {}

    def put(data):
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data)}
    layer = put(tar_of({"bin/sh": b"#", "bin/sleep": b"#", "etc/alpine-release": b"3\n", "etc/passwd": b"app:x:1000:1000::/:/bin/sh\n",
                        "etc/group": b"more:x:1001:app\n"}))
    config = put(json.dumps({"config": {"Env": ["PATH=/bin:/sbin:/usr/bin", "A=b c"], "User": "app", "WorkingDir": "/tmp",
                                        "StopSignal": "SIGQUIT", "Cmd": ["/bin/sh", "-c", "echo hello; sleep 300"]}}).encode())
    manifest = put(json.dumps({"config": config, "layers": [
        {"mediaType": "application/vnd.oci.image.layer.v1.tar", **layer}]}).encode())
    index = {"manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", **manifest}]}
    return tar_of({"oci-layout": b"{}", "index.json": json.dumps(index).encode(), **blobs})


class Client:
    def __init__(self, double):
        self.double = double
        self.context = ssl.create_default_context(cafile=double.ca_file)

    def ask(self, method, path, headers, body=None):
        connection = http.client.HTTPSConnection("127.0.0.1", self.double.port, context=self.context, timeout=20)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, answer.reason, json.loads(text) if text.startswith("{") else text
        finally:
            connection.close()


def multipart(parts):
    text = b""
    for name, value in parts:
        file = f'; filename="{value[0]}"' if isinstance(value, tuple) else ""
        data = value[1] if isinstance(value, tuple) else value.encode()
        text += f'--XX\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"
    return text + b"--XX--\r\n", {"Content-Type": "multipart/form-data; boundary=XX"}


UPLOADS = {
    "upload-ok": [("content", "import"), ("filename", ("u.raw", b"x" * 2000))],
    "upload-order": [("filename", ("u.raw", b"x")), ("content", "import")],
    "upload-bad-ext": [("content", "vztmpl"), ("filename", ("u.raw", b"x"))],
    "upload-bad-content": [("content", "images"), ("filename", ("u.raw", b"x"))],
    "upload-bad-checksum": [("content", "import"), ("checksum-algorithm", "sha256"), ("checksum", "00"), ("filename", ("v.raw", b"x"))],
}


class Examples(unittest.TestCase):
    def setUp(self):
        self.double = Double("9.2")
        self.addCleanup(self.double.stop)
        self.double.tasks.seconds = 0
        self.client = Client(self.double)
        secret = self.double.access.add_token(PRIVILEGED, privsep=False)
        self.root = {"Authorization": f"PVEAPIToken={PRIVILEGED}={secret}"}
        self.double.access.add_user("ex@pve", "secret99")
        volumes = self.double.cluster.storages["local"].volumes
        mini = gzip.compress(tar_of({"sbin/init": b"#", "etc/alpine-release": b"3\n"}))
        volumes["vztmpl/app_1.tar"] = Volume(1044480, "vztmpl", data=oci_archive())
        volumes["vztmpl/mini_1.0_amd64.tar.gz"] = Volume(1032395, "vztmpl", data=mini)
        volumes["import/tiny.raw"] = Volume(16 << 20, "import", data=b"disk")

    def headers_for(self, example):
        name = example["name"]
        if name == "auth-missing" or name.startswith("ticket-") and name != "ticket-with-token":
            return {}
        if name == "auth-bad-token":
            return {"Authorization": "PVEAPIToken=root@pam!nexcage=00000000-0000-0000-0000-000000000000"}
        if name in ("csrf-missing", "csrf-ok-no-perm", "no-perm-create", "permissions-empty", "list-filtered"):
            made = self.double.access.ticket("ex@pve", "secret99")
            headers = {"Cookie": "PVEAuthCookie=" + made["ticket"]}
            return headers if name == "csrf-missing" else {**headers, "CSRFPreventionToken": made["CSRFPreventionToken"]}
        return dict(self.root)

    def play(self, example, upid):
        name, path = example["name"], example["path"]
        if name == "task-missing":
            path = path.replace(path.split("/")[4], urllib.parse.quote(path.split("/")[4], safe=""))
        path = f"/api2/{example.get('formatter', 'json')}" + path.replace("{upid}", urllib.parse.quote(upid, safe=""))
        headers, body = self.headers_for(example), None
        if name in UPLOADS:
            body, kind = multipart(UPLOADS[name])
            headers.update(kind)
        elif name == "body-too-large":
            body = "description=" + "x" * 600000
        elif "json" in example:
            headers["Content-Type"], body = "application/json", json.dumps(example["json"])
        elif "form" in example:
            headers["Content-Type"], body = "application/x-www-form-urlencoded", urllib.parse.urlencode(example["form"])
        return self.client.ask(example["method"], path, headers, body)

    def compare(self, example, answer):
        status, reason, body = answer
        self.assertEqual(status, example["status"], answer)
        if "reason" in example:
            self.assertEqual(reason, example["reason"], answer)
        want = example["body"]
        if status != 200 or "data" not in want:
            self.assertEqual(body, want)
        elif example["name"].endswith("-task"):
            got, wanted = body["data"], want["data"]
            self.assertEqual(set(got), set(wanted))
            if example["name"] not in OTHER_WORDS and not str(wanted["exitstatus"]).startswith("checksum mismatch"):
                self.assertEqual(got["exitstatus"], wanted["exitstatus"])
            self.assertEqual((got["type"], got["status"]), (wanted["type"], "stopped"))
        else:
            self.same_shape(body["data"], want["data"], example["name"])

    def same_shape(self, got, want, where):
        self.assertEqual(type(got), type(want), where)
        if isinstance(want, dict):
            self.assertEqual(set(got) - SHAPE, set(want) - SHAPE, where)
            for key in set(want) & set(got):
                if not isinstance(want[key], (int, float, type(None))):
                    self.same_shape(got[key], want[key], f"{where}.{key}")
        elif isinstance(want, list) and want and got and isinstance(want[0], dict):
            self.same_shape(got[0], want[0], f"{where}[0]")

    def test_examples(self):
        with open(os.path.join(HERE, "data/examples.json"), encoding="utf-8") as file:
            examples = json.load(file)["examples"]
        upid = ""
        for example in examples:
            with self.subTest(example["name"]):
                answer = self.play(example, upid)
                if answer[0] == 200 and isinstance(answer[2].get("data"), str) and answer[2]["data"].startswith("UPID:"):
                    upid = answer[2]["data"]
                    self.assertTrue(self.double.tasks.all[upid].done.wait(10))
                self.compare(example, answer)
        self.assertEqual(self.double.problems, [])


if __name__ == "__main__":
    unittest.main()
