#!/usr/bin/env python3
"""A strict double of the REST API of Proxmox VE: refuses what the product refuses, in the same words, and keeps state.

In tests: `with Double("9.2") as double: double.url`, faults through `double.faults`. By hand, to try things out:
`double.py --version 9.2 --token-file FILE --ca-file FILE [--port 8006]`.
"""
import argparse
import atexit
import functools
import hashlib
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import threading

from pve_access import Access, ApiError
from pve_cluster import Cluster, Storage
from pve_http import Counted, Server, handler_for, plain, read_upload, read_values
from pve_lxc import Lxc
from pve_qemu import Qemu
from pve_schema import RELEASES, Schema
from pve_storage import Storages
from pve_tasks import Faults, Tasks

MAX_BODY = 524288
README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "README.md")


def least_role():
    """What an administrator is told to give (README, "Proxmox VE"): privileges, and the paths where they are given."""
    with open(README, encoding="utf-8") as file:
        text = file.read()
    privileges = re.search(r'^pveum role add Nexcage --privs "([^"]+)"$', text, re.MULTILINE)[1].split()
    paths = re.search(r"^for path in (.+); do pveum acl modify \$path ", text, re.MULTILINE)[1].split()
    return privileges, paths


def certificate(directory, name="localhost"):
    """A key and a self-signed certificate; returns their file."""
    path = os.path.join(directory, "server.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", path, "-out", path + ".crt", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:TRUE"],
                   check=True, capture_output=True)
    with open(path, "a", encoding="ascii") as file, open(path + ".crt", encoding="ascii") as made:
        file.write(made.read())
    return path


@functools.lru_cache
def first_certificate():
    """The one that doubles of this process begin with: its key is made once."""
    directory = tempfile.mkdtemp(prefix="pve-double-")
    atexit.register(shutil.rmtree, directory)
    return certificate(directory)


@functools.lru_cache
def schema_of(version):
    return Schema(version)


class Double:
    """One cluster behind one address. `requests`: what came in, as "METHOD /path"; `problems`: mistakes of the double."""

    def __init__(self, version="9.2", nodes=("pve1",), port=0, cluster=None, tls=True, shared=None):
        self.version, self.schema = version, schema_of(version)
        self.faults, self.requests, self.uploads, self.problems = Faults(), [], [], []
        self.agent, self.agent_runs, self.seen = None, [], []
        self.access = shared.access if shared else Access()
        self.cluster = shared.cluster if shared else Cluster(version, nodes)
        self.tasks = shared.tasks if shared else Tasks(self.faults, self.cluster.lock)
        if not shared:
            self.cluster.storages["local"] = Storage("local")
        self.lxc, self.qemu, self.storages = Lxc(self), Qemu(self), Storages(self)
        self.server = Server(("127.0.0.1", port), handler_for(self))
        self.port, self.pem = self.server.server_address[1], None
        if tls:
            self.use_certificate(first_certificate())
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def new_certificate(self):
        """Another key and certificate, as after a node was set up anew."""
        self.use_certificate(certificate(tempfile.mkdtemp(dir=os.path.dirname(first_certificate()))))

    def use_certificate(self, pem):
        self.pem = pem
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.pem)
        self.context = context

    @property
    def ca_file(self):
        return self.pem + ".crt"

    def fingerprint(self):
        with open(self.ca_file, encoding="ascii") as file:
            der = ssl.PEM_cert_to_DER_cert(file.read())
        text = hashlib.sha256(der).hexdigest().upper()
        return ":".join(text[i:i + 2] for i in range(0, 64, 2))

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def least_token(self, name="nexcage@pve!cli", without=()):
        """A token with the role of the README, some privileges taken away; returns its secret."""
        user = name.split("!")[0]
        self.access.add_user(user, "secret99")
        secret = self.access.add_token(name)
        privileges, paths = least_role()
        for who in (name, user):
            for path in paths:
                self.access.grant(who, path, *(one for one in privileges if one not in without))
        return secret

    # --- requests -----------------------------------------------------------------------------------

    def answer(self, method, path, query, headers, body):
        """What the API answers: the value of `data` and what stands beside it."""
        found = self.schema.find(method, path)
        if found is None:
            if method in ("GET", "DELETE") and body:
                raise ApiError(501, f"Unexpected content for method '{method}'", plain=True)
            raise ApiError(501, f"Method '{method} {path}' not implemented")
        endpoint, in_path, key = found
        is_upload = key.endswith("/upload")
        if method in ("GET", "DELETE") and body:
            raise ApiError(501, f"Unexpected content for method '{method}'", plain=True)
        if len(body) > MAX_BODY and not is_upload:
            raise ApiError(501, "for data too large", plain=True)
        who = None
        if key == "POST /access/ticket":
            if headers.get("Authorization", "").startswith("PVEAPIToken"):
                raise ApiError(403, "Permission check failed (URI '/access/ticket' not available with API token, need proper ticket.\n)")
        else:
            who = self.access.caller(headers, method)
        values, data = read_upload(headers, body) if is_upload else (read_values(query, headers, body), b"")
        self.seen.append((key, dict(values)))
        conflicts = {name: "duplicate parameter (already defined in URI) with conflicting values!" for name, value in in_path.items()
                     if name in values and str(values[name]) != value}
        if conflicts:
            raise ApiError(400, "Parameter verification failed.", conflicts)
        values = {**values, **in_path}
        permissions = endpoint.get("permissions", {})
        check = endpoint.get("permissionsIn", {}).get(RELEASES[self.version], permissions.get("check"))
        if check:
            self.access.check(who, check, values)
        self.reachable(values.get("node"))
        errors = self.schema.check(endpoint, values)
        if errors:
            raise ApiError(400, "Parameter verification failed.", errors)
        return self.handle(key, who, {name: plain(value) for name, value in values.items()}, data)

    def reachable(self, node):
        if node is None:
            return
        if node not in self.cluster.nodes:
            raise ApiError(500, f"hostname lookup '{node}' failed - failed to get address info for: {node}: "
                                "Temporary failure in name resolution")
        if self.cluster.nodes[node] != "online":
            raise ApiError(595, "No route to host")

    def handle(self, key, who, values, data):
        lxc, qemu, storages = self.lxc, self.qemu, self.storages
        at = key.replace("/nodes/{node}", "").replace("/{vmid}", "").replace("/storage/{storage}", "/store")
        table = {
            "GET /version": lambda: {"version": RELEASES[self.version], "release": self.version, "repoid": "0" * 16},
            "POST /access/ticket": lambda: self.access.ticket(values["username"], values["password"]),
            "GET /access/permissions": lambda: self.permissions(who, values),
            "GET /nodes": lambda: [{"node": name, "status": state, "type": "node", "id": f"node/{name}", "level": ""}
                                   for name, state in self.cluster.nodes.items()],
            "GET /cluster/nextid": lambda: self.nextid(values),
            "GET /cluster/resources": lambda: self.resources(who, values),
            "GET /storage": lambda: [{"storage": one.name, "type": one.kind} for one in storages.visible(who, None)],
            "GET /lxc": lambda: self.guests(who, "lxc", values),
            "POST /lxc": lambda: lxc.create(who, values),
            "DELETE /lxc": lambda: lxc.delete(who, values),
            "GET /lxc/config": lambda: lxc.config(values),
            "PUT /lxc/config": lambda: lxc.update(who, values),
            "GET /lxc/pending": lambda: lxc.pending(values),
            "GET /lxc/feature": lambda: lxc.feature(values),
            "GET /lxc/interfaces": lambda: lxc.cluster.guest(values["vmid"], "lxc", values["node"]) and [],
            "GET /lxc/snapshot": lambda: [{"name": "current", "description": "You are here!", "running": 0,
                                           "digest": lxc.config(values)["digest"]}],
            "POST /lxc/snapshot": lambda: lxc.snapshot(who, values),
            "POST /lxc/clone": lambda: lxc.clone(who, values),
            "POST /lxc/template": lambda: lxc.template(who, values),
            "POST /lxc/move_volume": lambda: lxc.move_volume(who, values),
            "PUT /lxc/resize": lambda: lxc.resize(who, values),
            "GET /lxc/status/current": lambda: lxc.status(values),
            "POST /lxc/status/start": lambda: lxc.start(who, values),
            "POST /lxc/status/stop": lambda: lxc.stop(who, values),
            "POST /lxc/status/shutdown": lambda: lxc.stop(who, values, "vzshutdown"),
            "POST /lxc/status/reboot": lambda: lxc.stop(who, values, "vzreboot"),
            "GET /qemu": lambda: self.guests(who, "qemu", values),
            "POST /qemu": lambda: qemu.create(who, values),
            "DELETE /qemu": lambda: qemu.delete(who, values),
            "GET /qemu/config": lambda: qemu.config(values),
            "PUT /qemu/config": lambda: qemu.update(who, values),
            "POST /qemu/config": lambda: qemu.change(who, values),
            "PUT /qemu/resize": lambda: qemu.resize(who, values),
            "POST /qemu/status/suspend": lambda: qemu.pause(who, values, "qmpause"),
            "POST /qemu/status/resume": lambda: qemu.pause(who, values, "qmresume"),
            "GET /qemu/status/current": lambda: qemu.status(values),
            "POST /qemu/status/start": lambda: qemu.start(who, values),
            "POST /qemu/status/stop": lambda: qemu.stop(who, values),
            "POST /qemu/status/shutdown": lambda: qemu.stop(who, values, "qmshutdown"),
            "POST /qemu/agent/exec": lambda: qemu.agent_exec(values),
            "GET /qemu/agent/exec-status": lambda: qemu.agent_status(values),
            "POST /qemu/agent/ping": lambda: qemu.reachable(values) and {"result": {}},
            "GET /store/status": lambda: storages.status(values),
            "GET /store/content": lambda: storages.content(values),
            "POST /store/content": lambda: storages.allocate(values),
            "GET /store/content/{volume}": lambda: storages.info(who, values),
            "DELETE /store/content/{volume}": lambda: storages.delete(who, values),
            "POST /store/upload": lambda: storages.upload(who, values, data),
            "GET /tasks": lambda: self.task_list(who, values),
            "GET /tasks/{upid}/status": lambda: self.tasks.find(values["upid"], self.access, who).describe(),
            "GET /tasks/{upid}/log": lambda: self.task_log(who, values),
            "DELETE /tasks/{upid}": lambda: self.tasks.find(values["upid"], self.access, who).stopping.set(),
        }
        if key == "GET /nodes/{node}/storage":
            return storages.index(who, values)
        if at not in table:
            raise AssertionError(f"{key} is not modelled")
        with self.cluster.lock:
            return table[at]()

    # --- small endpoints ------------------------------------------------------------------------------

    def nextid(self, values):
        if "vmid" in values:
            if int(values["vmid"]) in self.cluster.guests:
                raise ApiError(400, "Parameter verification failed.", {"vmid": f"VM {values['vmid']} already exists"})
            return values["vmid"]
        return str(self.cluster.free_vmid())

    def permissions(self, who, values):
        paths = [values["path"]] if "path" in values else [
            "/", "/vms", "/storage", "/nodes", "/access", "/pool", "/sdn", "/sdn/zones/localnetwork", *self.access.acl.get(who, {})]
        found = {path: {name: 1 for name in sorted(self.access.privileges(who, path))} for path in paths}
        return {path: names for path, names in found.items() if names or "path" in values}

    def guests(self, who, kind, values):
        status = self.lxc.status if kind == "lxc" else self.qemu.status
        return [status({"vmid": vmid, "node": guest.node}) for vmid, guest in sorted(self.cluster.guests.items())
                if guest.kind == kind and guest.node == values["node"] and self.access.may(who, f"/vms/{vmid}", ["VM.Audit"])]

    def resources(self, who, values):
        answer, kind = [], values.get("type")
        for vmid, guest in sorted(self.cluster.guests.items()):
            if kind in (None, "vm") and self.access.may(who, f"/vms/{vmid}", ["VM.Audit"]):
                entry = {"id": f"{guest.kind}/{vmid}", "vmid": vmid, "node": guest.node, "type": guest.kind,
                         "name": guest.config.get("hostname", guest.config.get("name", "")), "template": int(guest.config.get("template", 0)),
                         "status": "running" if guest.running else "stopped"}
                if guest.config.get("tags"):
                    entry["tags"] = guest.config["tags"]
                answer.append(entry)
        for node in self.cluster.nodes:
            if kind in (None, "storage"):
                answer += [{"id": f"storage/{node}/{one.name}", "type": "storage", "storage": one.name, "node": node, "status": "available",
                            "plugintype": one.kind, "shared": int(one.shared), "content": ",".join(sorted(one.content)), "disk": one.used(),
                            "maxdisk": one.space} for one in self.storages.visible(who, node)]
        return answer

    def task_list(self, who, values):
        found = [task for task in self.tasks.all.values() if task.node == values["node"]
                 and values.get("typefilter", task.kind) == task.kind and values.get("vmid", task.about) == task.about
                 and (who in (task.user, task.user.split("!")[0]) or self.access.may(who, f"/nodes/{task.node}", ["Sys.Audit"]))]
        answer = []
        for task in reversed(found):
            entry = task.describe()
            if task.ended:
                entry.update(status=entry.pop("exitstatus"), endtime=task.ended)
            answer.append(entry)
        return Counted(answer[:int(values.get("limit", 50))], len(answer))

    def task_log(self, who, values):
        lines = self.tasks.find(values["upid"], self.access, who).log
        start, limit = int(values.get("start", 0)), int(values.get("limit", 50))
        return Counted([{"n": number + 1, "t": text} for number, text in enumerate(lines)][start:start + (limit or len(lines))], len(lines))


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--version", choices=RELEASES, default="9.2")
    options.add_argument("--port", type=int, default=8006)
    options.add_argument("--token-file", required=True, help="written: the token, USER@REALM!NAME=SECRET")
    options.add_argument("--ca-file", required=True, help="written: the certificate")
    given = options.parse_args()
    double = Double(given.version, port=given.port)
    secret = double.least_token()
    with os.fdopen(os.open(given.token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(f"nexcage@pve!cli={secret}\n")
    with open(double.ca_file, encoding="ascii") as made, open(given.ca_file, "w", encoding="ascii") as file:
        file.write(made.read())
    print(f"{double.url} fingerprint {double.fingerprint()}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
