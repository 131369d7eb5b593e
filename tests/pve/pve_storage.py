"""Storages: what they hold, uploads, volumes made and removed by hand."""
import hashlib
import re

from pve_access import ApiError
from pve_cluster import UNITS, Volume
from pve_tasks import TaskError

ENDINGS = {"vztmpl": r"\.tar\.(gz|xz|zst)", "iso": r"\.(iso|img)", "import": r"\.(ova|ovf|qcow2|raw|vmdk)"}
FORMATS = {"gz": "tgz", "xz": "txz", "zst": "tzst", "tar": "tar"}


class Storages:
    def __init__(self, double):
        self.double, self.cluster, self.access = double, double.cluster, double.access

    def visible(self, who, node):
        for storage in self.cluster.storages.values():
            if storage.nodes and node not in storage.nodes:
                continue
            if self.access.may(who, f"/storage/{storage.name}", ["Datastore.Audit", "Datastore.AllocateSpace"], any_of=True):
                yield storage

    def index(self, who, values):
        wanted = values.get("content", "").replace(";", ",").split(",") if values.get("content") else []
        return [self.describe(storage) for storage in self.visible(who, values["node"])
                if (not values.get("storage") or storage.name == values["storage"]) and set(wanted) <= storage.content]

    @staticmethod
    def describe(storage):
        used = storage.used()
        return {"storage": storage.name, "type": storage.kind, "content": ",".join(sorted(storage.content)), "enabled": 1,
                "active": 1, "shared": int(storage.shared), "total": storage.space, "used": used,
                "avail": storage.space - used, "used_fraction": used / storage.space}

    def status(self, values):
        answer = self.describe(self.cluster.storage(values["storage"], values["node"]))
        return {key: answer[key] for key in ("type", "content", "enabled", "active", "shared", "total", "used", "avail")}

    def content(self, values):
        storage = self.cluster.storage(values["storage"], values["node"])
        answer = []
        for name, volume in sorted(storage.volumes.items()):
            if values.get("content") not in (None, volume.content):
                continue
            if values.get("vmid") and str(volume.owner) != values["vmid"]:
                continue
            entry = {"volid": f"{storage.name}:{name}", "content": volume.content, "size": volume.size, "ctime": 1795289790,
                     "format": FORMATS.get(name.rsplit(".", 1)[-1], volume.form) if volume.content == "vztmpl" else volume.form}
            if volume.owner:
                entry["vmid"] = volume.owner
            answer.append(entry)
        return answer

    def volume(self, who, values):
        volid = values["volume"] if ":" in values["volume"] else f"{values['storage']}:{values['volume']}"
        self.cluster.storage(volid.partition(":")[0], values["node"])
        self.access.require(who, f"/storage/{values['storage']}", ["Datastore.Audit", "Datastore.AllocateSpace"], any_of=True)
        return volid, self.cluster.volume(volid)

    def info(self, who, values):
        volid, volume = self.volume(who, values)
        if volume is None:
            raise ApiError(500, f"volume_size_info on '{volid}' failed - no format")
        return {"path": "/var/lib/vz/" + volid.partition(":")[2].replace("vztmpl/", "template/cache/"), "size": volume.size,
                "used": volume.size, "format": volume.form}

    def delete(self, who, values):
        volid, volume = self.volume(who, values)
        self.access.require(who, f"/storage/{values['storage']}", ["Datastore.Allocate"])

        def work(task):
            if volume is None or self.cluster.volume(volid) is None:
                raise TaskError(f"volume '{volid}' does not exist")
            self.cluster.free(volid)
            task.say(f"Removed volume '{volid}'")
        about = f"{volume.owner}@{values['storage']}" if volume and volume.owner else values["storage"]
        return self.double.tasks.start("imgdel", about, who, values["node"], work)

    def allocate(self, values):
        storage = self.cluster.storage(values["storage"], values["node"])
        name, vmid = values["filename"], values["vmid"]
        if not re.fullmatch(rf"(vm|subvol)-{vmid}-[\w.+-]+", name):
            raise ApiError(500, f"illegal name '{name}' - should be 'vm-{vmid}-*'")
        size = int(re.sub(r"\D", "", values["size"])) * UNITS[re.sub(r"\d", "", values["size"])] * (
            1 if re.search("[MG]", values["size"]) else 1024)
        subvol = values.get("format") == "subvol" or name.startswith("subvol")
        if storage.directory():
            if not subvol and not name.endswith((".raw", ".qcow2", ".vmdk")):
                raise ApiError(500, f"unable to parse volume filename '{name}'")
            if subvol and size:
                raise ApiError(500, "subvol format is only supported for size 0")
            name = f"{vmid}/{name}"
        if name in storage.volumes:
            raise ApiError(500, f"disk image '/var/lib/vz/images/{name}' already exists")
        if storage.used() + size > storage.space:
            raise ApiError(500, "No space left on device")
        content = "rootdir" if subvol or "rootdir" in storage.content else "images"
        storage.volumes[name] = Volume(size, content, int(vmid), "subvol" if subvol else "raw", {})
        return f"{storage.name}:{name}"

    def upload(self, who, values, data):
        storage = self.cluster.storage(values["storage"], values["node"])
        name, content = values["filename"], values["content"]
        endings = r"\.tar(\.(gz|xz|zst))?" if content == "vztmpl" and self.cluster.at_least("9.1") else ENDINGS[content]
        if not re.search(endings + "$", name):
            raise ApiError(400, "Parameter verification failed.", {"filename": "wrong file extension"})
        if content not in storage.content:
            raise ApiError(500, f"storage '{storage.name}' is not configured for content type '{content}'")
        if not storage.directory():
            raise ApiError(500, f"can't upload to storage type '{storage.kind}'")

        def work(task):
            task.say(f"target node: {values['node']}")
            task.say(f"file size is: {len(data)}")
            if "checksum" in values:
                task.say("calculating checksum...")
                found = hashlib.new(values["checksum-algorithm"], data).hexdigest()
                if found != values["checksum"]:
                    raise TaskError(f"checksum mismatch: got '{found}' != expect '{values['checksum']}'")
            if storage.used() + len(data) > storage.space:
                raise TaskError("import failed: command 'cp' failed: No space left on device")
            volname = f"{content}/{name}"
            storage.volumes[volname] = Volume(len(data), content, data=data)
            self.double.uploads.append(f"{storage.name}:{volname}")
            task.say("finished file import successfully")
            return lambda: storage.volumes.pop(volname, None)
        return self.double.tasks.start("imgcopy", "", who, values["node"], work)
