"""The state of a cluster: nodes, storages with their volumes, guests with their configurations."""
import gzip
import hashlib
import io
import itertools
import lzma
import re
import tarfile
import threading
import uuid

from pve_access import ApiError
from pve_tasks import TaskError

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
NEW_DISK = re.compile(r"([a-z][a-z0-9._-]*[a-z0-9]):(\d+(?:\.\d+)?)", re.IGNORECASE)
# What the kinds of storages can do; `subvol`: containers get directories, not images.
CAN_CLONE = {"zfspool", "lvmthin", "rbd"}
CAN_SNAPSHOT = {"zfspool", "lvmthin", "rbd"}
OS_TYPES = ("debian", "devuan", "ubuntu", "centos", "fedora", "opensuse", "archlinux", "alpine", "gentoo", "nixos")


class Volume:
    """`files`: what a root file system holds, path -> tar member; `mark` stays the same as long as the data does."""

    def __init__(self, size, content, owner=None, form="raw", files=None, data=b""):
        self.size, self.content, self.owner, self.form = size, content, owner, form
        self.files, self.data, self.mark = files, data, uuid.uuid4().hex
        self.base, self.clones = False, 0


class Storage:
    def __init__(self, name, kind="dir", content=("rootdir", "images", "vztmpl", "import", "iso", "backup"), shared=False,
                 nodes=None, space=1 << 40):
        self.name, self.kind, self.content, self.shared, self.nodes = name, kind, set(content), shared, nodes
        self.space, self.volumes = space, {}

    def used(self):
        return sum(volume.size for volume in self.volumes.values())

    def directory(self):
        return self.kind in ("dir", "nfs", "btrfs")


class Guest:
    def __init__(self, vmid, kind, node, config):
        self.vmid, self.kind, self.node, self.config = vmid, kind, node, config
        self.pending, self.running, self.pid, self.snapshots, self.locked = {}, False, 0, {}, False
        self.starts, self.paused = 0, False
        # Its first process does nothing on a request to end; the task that waits for the end.
        self.ignores_term, self.busy = False, None

    def digest(self):
        return hashlib.sha1(repr(sorted((key, str(value)) for key, value in self.config.items())).encode()).hexdigest()

    def volumes(self):
        """Keys and volume ids of everything that the configuration names."""
        for key, value in self.config.items():
            if re.fullmatch(r"rootfs|(mp|unused|scsi|virtio|sata|ide|efidisk)\d+", key):
                yield key, str(value).split(",")[0]


def size_text(size):
    for unit in ("T", "G", "M", "K"):
        if size and size % UNITS[unit] == 0:
            return f"{size // UNITS[unit]}{unit}"
    return "0T" if size == 0 else str(size)


def size_of(text):
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:iB)?", text)
    return int(float(found[1]) * UNITS[found[2]])


def read_archive(data, name):
    """The members of a template: path -> (tar member, content of small files)."""
    try:
        if name.endswith(".gz"):
            data = gzip.decompress(data)
        elif name.endswith(".xz"):
            data = lzma.decompress(data)
        members = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                path = "/" + member.name.removeprefix("./").strip("/")
                small = member.isreg() and member.size < 1 << 16
                members[path] = (member, tar.extractfile(member).read() if small else b"")
        return members
    except (tarfile.TarError, OSError, EOFError, lzma.LZMAError) as error:
        raise TaskError(f"command 'tar xpf - --totals' failed: {error}") from error


class Cluster:
    def __init__(self, version, nodes=("pve1",)):
        self.version, self.nodes = version, {name: "online" for name in nodes}
        self.storages, self.guests, self.lock = {}, {}, threading.RLock()
        self.bridges, self.pools = {"vmbr0"}, set()
        self.first, self.last = 100, 999999
        self.mac = itertools.count(0x0A7C0D)

    def at_least(self, version):
        return tuple(map(int, self.version.split("."))) >= tuple(map(int, version.split(".")))

    # --- names ----------------------------------------------------------------------------------------

    def storage(self, name, node=None):
        found = self.storages.get(name)
        if found is None:
            raise ApiError(500, f"storage '{name}' does not exist")
        if node and found.nodes and node not in found.nodes:
            raise ApiError(500, f"storage '{name}' is not available on node '{node}'")
        return found

    def volume(self, volid):
        name, _, rest = volid.partition(":")
        found = self.storages[name].volumes.get(rest) if name in self.storages else None
        return found

    def guest(self, vmid, kind, node):
        found = self.guests.get(int(vmid))
        if found is None or found.kind != kind or found.node != node:
            folder = "lxc" if kind == "lxc" else "qemu-server"
            raise ApiError(500, f"Configuration file 'nodes/{node}/{folder}/{vmid}.conf' does not exist")
        return found

    def free_vmid(self):
        return next(vmid for vmid in range(self.first, self.last + 1) if vmid not in self.guests)

    def reserve(self, vmid, kind, node, config):
        """The configuration file of a new guest; 500 when there is one."""
        other = self.guests.get(vmid)
        if other:
            raise ApiError(500, f"{'CT' if other.kind == 'lxc' else 'VM'} {vmid} already exists on node '{other.node}'")
        self.guests[vmid] = Guest(vmid, kind, node, config)
        return self.guests[vmid]

    def new_mac(self):
        number = next(self.mac)
        return f"BC:24:11:{number >> 16 & 255:02X}:{number >> 8 & 255:02X}:{number & 255:02X}"

    # --- volumes --------------------------------------------------------------------------------------

    def volume_name(self, storage, vmid, kind, size, base=False):
        subvol = kind == "lxc" and (storage.kind == "zfspool" or (storage.directory() and size == 0))
        prefix = ("basevol" if base else "subvol") if subvol else ("base" if base else "vm")
        taken = {int(found[1]) for name in storage.volumes
                 for found in [re.search(rf"(?:vm|base|subvol|basevol)-{vmid}-disk-(\d+)", name.rsplit("/", 1)[-1])] if found}
        number = next(n for n in itertools.count() if n not in taken)
        name = f"{prefix}-{vmid}-disk-{number}"
        if storage.directory():
            return f"{vmid}/{name}.{'subvol' if subvol else 'raw'}"
        return name

    def allocate(self, name, vmid, kind, size, files=None, data=b""):
        """A new volume; TaskError when the storage is full."""
        storage = self.storage(name)
        if (("rootdir" if kind == "lxc" else "images") not in storage.content):
            raise TaskError(f"storage '{name}' does not support content-type '{'rootdir' if kind == 'lxc' else 'images'}'")
        if storage.used() + size > storage.space:
            raise TaskError("write error: No space left on device")
        volname = self.volume_name(storage, vmid, kind, size)
        form = "subvol" if "subvol" in volname else "raw"
        storage.volumes[volname] = Volume(size, "rootdir" if kind == "lxc" else "images", vmid, form, files, data)
        return f"{name}:{volname}"

    def free(self, volid):
        name, _, volname = volid.partition(":")
        volume = self.volume(volid)
        if volume is None:
            raise TaskError(f"volume '{volid}' does not exist")
        if volume.base and volume.clones:
            raise TaskError(f"base volume '{volname}' is still in use by linked clones")
        if "/" in volname and volname.split("/")[0] in self.storages[name].volumes:
            self.storages[name].volumes[volname.split("/")[0]].clones -= 1
        del self.storages[name].volumes[volname]

    def rename(self, volid, vmid):
        """The volume gets another owner."""
        name, _, volname = volid.partition(":")
        storage = self.storages[name]
        volume = storage.volumes[volname]
        if storage.directory() and volume.form == "subvol":
            raise ApiError(500, "Storage does not support moving of this disk to another container")
        kind = "lxc" if volume.content == "rootdir" else "qemu"
        fresh = self.volume_name(storage, vmid, kind, volume.size)
        if not storage.directory() and "/" in volname:
            fresh = volname.split("/")[0] + "/" + fresh
        storage.volumes[fresh] = storage.volumes.pop(volname)
        volume.owner = vmid
        return f"{name}:{fresh}"

    def destroy(self, guest):
        """The guest and every volume of its own that it names."""
        for _, volid in list(guest.volumes()):
            volume = self.volume(volid)
            if volume and volume.owner == guest.vmid:
                self.free(volid)
        self.guests.pop(guest.vmid, None)
