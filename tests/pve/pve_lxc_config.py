"""Configurations of containers: who may change what, when a change takes effect, what becomes of replaced volumes."""
import re

from pve_access import ApiError
from pve_cluster import CAN_CLONE, CAN_SNAPSHOT, NEW_DISK, UNITS, size_of, size_text
from pve_tasks import TaskError

VOLUME_KEY = re.compile(r"rootfs|mp\d+")
# Applied while the container runs; everything else waits for the next start.
LIVE = re.compile(r"description|onboot|startup|protection|hostname|hookscript|cores|tags|lock|cpulimit|cpuunits|memory|swap|net\d+|unused\d+")
PRIVILEGE = [(r"rootfs|mp\d+|unused\d+", "VM.Config.Disk"), (r"memory|swap", "VM.Config.Memory"),
             (r"cores|cpulimit|cpuunits", "VM.Config.CPU"),
             (r"net\d+|hostname|nameserver|searchdomain", "VM.Config.Network"), (r".*", "VM.Config.Options")]
NOT_CONFIG = {"vmid", "node", "ostemplate", "storage", "pool", "start", "force", "restore", "unique", "password", "digest",
              "ssh-public-keys", "bwlimit", "delete", "revert", "ignore-unpack-errors", "ha-managed"}
NUMBERS = {"memory", "swap", "cores", "cpuunits", "tty"}
BOOLEANS = {"unprivileged", "onboot", "protection", "console", "debug", "template"}


def stored(key, value):
    if key in NUMBERS:
        return int(value)
    if key in BOOLEANS:
        return 1 if value in ("1", 1, True) else 0
    return value + "\n" if key == "description" and value and not value.endswith("\n") else value


def parse(text):
    first, *rest = text.split(",")
    values = dict(part.split("=", 1) for part in rest)
    if "=" in first and not first.startswith("/"):
        key, _, value = first.partition("=")
        return {key: value, **values}
    return {"volume": first, **values}


def printed_net(cluster, text):
    values = parse(text)
    values.pop("volume", None)
    values.setdefault("hwaddr", cluster.new_mac())
    values["type"] = "veth"
    order = ["name", "bridge", "firewall", "gw", "gw6", "host-managed", "hwaddr", "ip", "ip6"]
    return ",".join(f"{key}={values[key]}" for key in [*order, *sorted(set(values) - set(order))] if key in values)


class LxcConfig:
    def __init__(self, double):
        self.double, self.cluster, self.access = double, double.cluster, double.access

    # --- what the schema cannot say -------------------------------------------------------------------

    def check_changes(self, who, vmid, values, pool=None, unprivileged=True):
        for key, value in values.items():
            privilege = next(name for pattern, name in PRIVILEGE if re.fullmatch(pattern, key))
            if not (pool and self.access.may(who, f"/pool/{pool}", [privilege])):
                self.access.require(who, f"/vms/{vmid}", [privilege])
            if who != "root@pam":
                self.root_only(key, value, unprivileged)
            if key.startswith("net"):
                bridge = parse(value).get("bridge")
                if bridge:
                    self.access.require(who, f"/sdn/zones/localnetwork/{bridge}", ["SDN.Use"])
            if VOLUME_KEY.fullmatch(key):
                self.check_volume(who, vmid, value)

    @staticmethod
    def root_only(key, value, unprivileged):
        if VOLUME_KEY.fullmatch(key) and parse(value)["volume"].startswith("/"):
            kind = "device" if value.startswith("/dev/") else "bind"
            raise ApiError(403, f"Permission check failed (mount point type {kind} is only allowed for root@pam)")
        if key == "hookscript":
            raise ApiError(403, "Permission check failed (changing the hookscript is only allowed for root@pam)")
        if key == "features" and (set(re.findall(r"(\w+)=", value)) - {"nesting"} or not unprivileged):
            raise ApiError(403, "Permission check failed (changing feature flags (except nesting) is only allowed for root@pam)")
        if re.fullmatch(r"dev\d+", key):
            raise ApiError(403, "Permission check failed (configuring device passthrough is only allowed for root@pam)")

    def check_volume(self, who, vmid, value):
        volid = parse(value)["volume"]
        if volid.startswith("/"):
            return
        name, _, rest = volid.partition(":")
        storage = self.cluster.storage(name)
        if NEW_DISK.fullmatch(volid):
            self.access.require(who, f"/storage/{name}", ["Datastore.AllocateSpace"])
        elif "vztmpl" not in rest and (volume := self.cluster.volume(volid)) and volume.owner != int(vmid):
            self.access.require(who, f"/storage/{name}", ["Datastore.Allocate"])
        if "rootdir" not in storage.content:
            raise ApiError(500, f"storage '{name}' does not allow content type 'rootdir' (Container)")

    # --- changes --------------------------------------------------------------------------------------

    @staticmethod
    def config_lock(guest):
        """One task at a time changes a guest; one that waits for its end holds the lock meanwhile."""
        if guest.busy and not guest.busy.done.is_set():
            raise ApiError(500, f"can't lock file '/run/lock/lxc/pve-config-{guest.vmid}.lock' - got timeout")

    def config(self, values):
        """As it will be with the next start, unless `current` is asked for."""
        guest = self.cluster.guest(values["vmid"], "lxc", values["node"])
        pending = {} if values.get("current") == "1" else {key: stored(key, value) for key, value in guest.pending.items()}
        return {**guest.config, **pending, "digest": guest.digest(), **({"lock": "create"} if guest.locked else {})}

    def update(self, who, values):
        guest = self.cluster.guest(values["vmid"], "lxc", values["node"])
        changes = {key: value for key, value in values.items() if key not in NOT_CONFIG}
        doomed = [key for key in re.split(r"[,;\s]+", values.get("delete", "")) if key]
        reverted = [key for key in re.split(r"[,;\s]+", values.get("revert", "")) if key]
        if not changes and not doomed and not reverted:
            raise ApiError(500, "no options specified")
        self.check_changes(who, guest.vmid, changes, getattr(guest, "pool", None), bool(guest.config.get("unprivileged", 1)))
        for key in doomed:
            privilege = next(name for pattern, name in PRIVILEGE if re.fullmatch(pattern, key))
            self.access.require(who, f"/vms/{guest.vmid}", [privilege])
            if key in ("memory", "rootfs", "ostype"):
                raise ApiError(500, f"unable to delete required option '{key}'")
        if "unprivileged" in changes:
            raise ApiError(500, "unable to modify read-only option: 'unprivileged'")
        if values.get("digest") and values["digest"] != guest.digest():
            raise ApiError(500, "detected modified configuration - file changed by other user? Try again.")
        if guest.locked:
            raise ApiError(500, "CT is locked (create)")
        self.config_lock(guest)
        if guest.config.get("protection") and any(VOLUME_KEY.fullmatch(key) for key in [*changes, *doomed]):
            raise ApiError(500, f"can't update CT {guest.vmid} drive '{next(iter(changes), doomed)}' - protection mode enabled")
        for key in reverted:
            guest.pending.pop(key, None)
        for key in doomed:
            self.remove_key(guest, key, changes)
        guest.pending.update(changes)
        self.apply_pending(guest, live=guest.running)

    def remove_key(self, guest, key, changes):
        value = str(guest.config.get(key, "")).split(",")[0]
        if key.startswith("unused") and value:
            # A volume that something else of the configuration still names stays.
            others = [str(text).split(",")[0] for name, text in [*guest.config.items(), *changes.items()]
                      if VOLUME_KEY.fullmatch(name)]
            volume = self.cluster.volume(value)
            if volume and value not in others and volume.owner == guest.vmid:
                self.cluster.free(value)
        elif re.fullmatch(r"mp\d+", key) and value and not value.startswith("/"):
            self.add_unused(guest, value)
        guest.config.pop(key, None)
        guest.pending.pop(key, None)

    @staticmethod
    def add_unused(guest, volid):
        if volid not in [value for key, value in guest.config.items() if key.startswith("unused")]:
            guest.config[next(f"unused{n}" for n in range(256) if f"unused{n}" not in guest.config)] = volid

    def apply_pending(self, guest, live=False):
        for key in sorted(guest.pending):
            value = guest.pending[key]
            is_new_mount = re.fullmatch(r"mp\d+", key) and key not in guest.config
            if live and not LIVE.fullmatch(key) and not is_new_mount:
                continue
            del guest.pending[key]
            if re.fullmatch(r"mp\d+", key):
                value = self.apply_mount(guest, key, value)
            elif re.fullmatch(r"net\d+", key):
                value = printed_net(self.cluster, value)
            # The root volume is not treated as mount points are: the old one is not kept as unused, a new one not made.
            guest.config[key] = stored(key, value)

    def apply_mount(self, guest, key, value):
        old = str(guest.config.get(key, "")).split(",")[0]
        found = NEW_DISK.fullmatch(parse(value)["volume"])
        if found:
            size = int(float(found[2]) * UNITS["G"])
            volid = self.cluster.allocate(found[1], guest.vmid, "lxc", size, {})
            value = ",".join([volid, *value.split(",")[1:], f"size={size_text(size)}"])
        if old and old != value.split(",")[0] and not old.startswith("/"):
            self.add_unused(guest, old)
        return value

    def pending(self, values):
        guest = self.cluster.guest(values["vmid"], "lxc", values["node"])
        answer = []
        for key in sorted({*guest.config, *guest.pending}):
            entry = {"key": key}
            if key in guest.config:
                entry["value"] = guest.config[key]
            if key in guest.pending:
                entry["pending"] = guest.pending[key]
            answer.append(entry)
        return answer

    def move_volume(self, who, values):
        source = self.cluster.guest(values["vmid"], "lxc", values["node"])
        key, target_key = values["volume"], values.get("target-volume", values["volume"])
        if "target-vmid" not in values:
            raise ApiError(500, "double: moving to another storage is not modelled")
        vmid = int(values["target-vmid"])
        self.access.require(who, f"/vms/{vmid}", ["VM.Config.Disk"])
        if "rootfs" in (key, target_key):
            raise ApiError(500, "Cannot move to/from 'rootfs'")
        if key.startswith("unused") and not target_key.startswith("unused"):
            raise ApiError(500, "Moving an unused volume to a used one is not possible")
        target = self.cluster.guests.get(vmid)
        if target is None:
            raise ApiError(500, f"could not find CT {vmid}")
        if source.node != target.node:
            raise ApiError(500, f"Both containers need to be on the same node ({source.node} != {target.node})")
        if source.config.get("template") or target.config.get("template"):
            raise ApiError(500, "Can't move volumes from or to template CT")
        if key not in source.config:
            raise ApiError(500, f"volume '{key}' for container '{source.vmid}' does not exist")
        if target_key in target.config:
            raise ApiError(500, f"Target volume key '{target_key}' is already in use for container '{vmid}'")
        volid = source.config[key].split(",")[0]
        self.access.require(who, f"/storage/{volid.partition(':')[0]}", ["Datastore.AllocateSpace"])
        if self.cluster.storage(volid.partition(":")[0]).directory() and ".subvol" in volid:
            raise ApiError(500, "Storage does not support moving of this disk to another container")
        if source.running and not key.startswith("unused"):
            raise ApiError(500, "Cannot move in-use volume while the source CT is running - detach or shutdown first")

        def work(task):
            rest = source.config.pop(key).split(",")[1:]
            fresh = self.cluster.rename(volid, vmid)
            target.config[target_key] = fresh if target_key.startswith("unused") else ",".join([fresh, *rest])
            task.say(f"target container '{vmid}' updated with '{target_key}'")
        return self.double.tasks.start("move_volume", f"{source.vmid}-{key}>{vmid}-{target_key}", who, source.node, work)

    def resize(self, who, values):
        guest = self.cluster.guest(values["vmid"], "lxc", values["node"])
        disk, text = values["disk"], values["size"]
        parts = guest.config[disk].split(",")
        volume = self.cluster.volume(parts[0])
        size = volume.size + size_of(text[1:]) if text.startswith("+") else size_of(text)
        if size < volume.size:
            raise ApiError(500, "unable to shrink disk size")

        def work(task):
            volume.size = size
            guest.config[disk] = ",".join([*(part for part in parts if not part.startswith("size=")), f"size={size_text(size)}"])
        return self.double.tasks.start("resize", guest.vmid, who, guest.node, work)

    def snapshot(self, who, values):
        guest = self.cluster.guest(values["vmid"], "lxc", values["node"])

        def work(task):
            if any(self.cluster.storages[volid.partition(":")[0]].kind not in CAN_SNAPSHOT for _, volid in guest.volumes()):
                raise TaskError("snapshot feature is not available")
            guest.snapshots[values["snapname"]] = dict(guest.config)
        return self.double.tasks.start("vzsnapshot", guest.vmid, who, guest.node, work)

    def feature(self, values):
        guest = self.cluster.guest(values["vmid"], "lxc", values["node"])
        kinds = {self.cluster.storages[volid.partition(":")[0]].kind for _, volid in guest.volumes()}
        able = {"snapshot": CAN_SNAPSHOT, "clone": CAN_CLONE, "copy": kinds}[values["feature"]]
        return {"hasFeature": 1 if kinds <= able else 0}
