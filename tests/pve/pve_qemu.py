"""Virtual machines: creation from an imported disk, life cycle, guest agent."""
import re

from pve_access import ApiError
from pve_cluster import NEW_DISK, UNITS, size_of, size_text
from pve_tasks import Task, TaskError

DISK = re.compile(r"(scsi|virtio|sata|ide)\d+")
NOT_CONFIG = {"vmid", "node", "storage", "pool", "start", "force", "unique", "archive", "digest", "delete", "revert", "bwlimit",
              "background_delay", "skiplock", "live-restore", "import-working-storage", "ha-managed"}
PRIVILEGE = [(r"(scsi|virtio|sata|ide|efidisk|unused)\d+|boot|scsihw", "VM.Config.Disk"), (r"memory|balloon|shares", "VM.Config.Memory"),
             (r"cores|sockets|vcpus|cpu|cpulimit|cpuunits|numa\d*", "VM.Config.CPU"), (r"net\d+", "VM.Config.Network"),
             (r"serial\d+|vga|machine|bios|rng0|audio0|tablet", "VM.Config.HWType"),
             (r"ci\w+|ipconfig\d+|nameserver|searchdomain|sshkeys", "VM.Config.Cloudinit"), (r".*", "VM.Config.Options")]


class Qemu:
    def __init__(self, double):
        self.double, self.cluster, self.access = double, double.cluster, double.access

    def check_changes(self, who, vmid, values, pool=None):
        for key, value in values.items():
            if key in ("args", "hookscript") and who != "root@pam":
                raise ApiError(500, f"only root can set '{key}' config")
            if re.fullmatch(r"serial\d+|parallel\d+", key) and value != "socket" and who != "root@pam":
                raise ApiError(500, f"only root can set '{key}' config for real devices")
            privilege = next(name for pattern, name in PRIVILEGE if re.fullmatch(pattern, key))
            if not (pool and self.access.may(who, f"/pool/{pool}", [privilege])):
                self.access.require(who, f"/vms/{vmid}", [privilege])
            bridge = re.search(r"bridge=([^,]+)", value) if key.startswith("net") else None
            if bridge:
                self.access.require(who, f"/sdn/zones/localnetwork/{bridge[1]}", ["SDN.Use"])
            if DISK.fullmatch(key):
                self.check_disk(who, value)

    def check_disk(self, who, value):
        volid = value.split(",")[0].removeprefix("file=")
        source = re.search(r"import-from=([^,]+)", value)
        if (volid.startswith("/") or (source and source[1].startswith("/"))) and who != "root@pam":
            raise ApiError(500, "Only root can pass arbitrary filesystem paths.")
        name = volid.partition(":")[0]
        self.cluster.storage(name)
        self.access.require(who, f"/storage/{name}", ["Datastore.AllocateSpace"])
        if source:
            self.access.require(who, f"/storage/{source[1].partition(':')[0]}", ["Datastore.Audit", "Datastore.AllocateSpace"], any_of=True)

    def create(self, who, values):
        vmid, pool = int(values["vmid"]), values.get("pool")
        if not (self.access.may(who, f"/vms/{vmid}", ["VM.Allocate"])
                or (pool and self.access.may(who, f"/pool/{pool}", ["VM.Allocate"]))):
            raise ApiError(403, f"Permission check failed (/vms/{vmid}, VM.Allocate)")
        config = {key: value for key, value in values.items() if key not in NOT_CONFIG}
        self.check_changes(who, vmid, config, pool)
        guest = self.cluster.reserve(vmid, "qemu", values["node"], {})
        guest.locked = True
        return self.double.tasks.start("qmcreate", vmid, who, values["node"], lambda task: self.make(task, guest, config))

    def make(self, task, guest, config):
        made = []
        try:
            for key in [key for key in config if DISK.fullmatch(key)]:
                config[key] = self.make_disk(task, guest, config[key], made)
        except (TaskError, ApiError) as error:
            for volid in made:
                self.cluster.free(volid)
            self.cluster.guests.pop(guest.vmid, None)
            raise TaskError(f"unable to create VM {guest.vmid} - {error}") from error
        for key in [key for key in config if re.fullmatch(r"net\d+", key)]:
            model, _, rest = config[key].partition(",")
            config[key] = (model if "=" in model else f"{model}={self.cluster.new_mac()}") + ("," + rest if rest else "")
        config.setdefault("smbios1", "uuid=caf8e526-1083-438e-bccf-496030d42e19")
        guest.config, guest.locked = config, False
        return lambda: self.cluster.destroy(guest)

    def make_disk(self, task, guest, text, made):
        first, *rest = text.split(",")
        found = NEW_DISK.fullmatch(first.removeprefix("file="))
        if not found:
            return text
        source = next((part.partition("=")[2] for part in rest if part.startswith("import-from=")), None)
        size, data = int(float(found[2]) * UNITS["G"]), b""
        if source:
            volume = self.cluster.volume(source)
            if volume is None:
                raise TaskError(f"volume '{source}' does not exist")
            size, data = volume.size, volume.data
            task.say(f"create full clone of drive ({source})")
        volid = self.cluster.allocate(found[1], guest.vmid, "qemu", size, data=data)
        made.append(volid)
        return ",".join([volid, *(part for part in rest if not part.startswith(("import-from=", "size="))), f"size={size_text(size)}"])

    def start(self, who, values):
        guest = self.cluster.guests.get(int(values["vmid"]))
        if guest and guest.running:
            raise ApiError(500, f"VM {guest.vmid} already running")

        def work(task):
            try:
                found = self.cluster.guest(values["vmid"], "qemu", values["node"])
            except ApiError as error:
                raise TaskError(str(error)) from error
            for _, volid in found.volumes():
                if ":" in volid and self.cluster.volume(volid) is None:
                    raise TaskError(f"volume '{volid}' does not exist")
            found.config.update(found.pending)
            found.pending, found.running, found.pid = {}, True, 5000 + found.vmid
        return self.double.tasks.start("qmstart", values["vmid"], who, values["node"], work)

    def stop(self, who, values, kind="qmstop"):
        guest = self.cluster.guest(values["vmid"], "qemu", values["node"])
        if not guest.running and kind != "qmstop":
            raise ApiError(500, f"VM {guest.vmid} not running")

        def work(task):
            guest.running, guest.paused = kind == "qmreboot", False
        return self.double.tasks.start(kind, guest.vmid, who, guest.node, work)

    def pause(self, who, values, kind):
        guest = self.cluster.guest(values["vmid"], "qemu", values["node"])
        if not guest.running:
            raise ApiError(500, f"VM {guest.vmid} not running")

        def work(task):
            guest.paused = kind == "qmpause"
        return self.double.tasks.start(kind, guest.vmid, who, guest.node, work)

    def resize(self, who, values):
        """A task that only makes larger; the guest sees it at once."""
        guest = self.cluster.guest(values["vmid"], "qemu", values["node"])
        if values["disk"] not in guest.config:
            raise ApiError(500, f"disk '{values['disk']}' does not exist")
        volid = guest.config[values["disk"]].split(",")[0]
        volume = self.cluster.volume(volid)
        wanted = size_of(values["size"].removeprefix("+")) + (volume.size if values["size"].startswith("+") else 0)
        if wanted < volume.size:
            raise ApiError(500, "shrinking disks is not supported")

        def work(task):
            storage = self.cluster.storages[volid.partition(":")[0]]
            if storage.used() + wanted - volume.size > storage.space:
                raise TaskError("write error: No space left on device")
            volume.size = wanted
            parts = [part for part in guest.config[values["disk"]].split(",") if not part.startswith("size=")]
            guest.config[values["disk"]] = ",".join([*parts, f"size={size_text(wanted)}"])
        return self.double.tasks.start("resize", guest.vmid, who, guest.node, work)

    def status(self, values):
        guest = self.cluster.guest(values["vmid"], "qemu", values["node"])
        answer = {"vmid": guest.vmid, "name": guest.config.get("name", f"VM {guest.vmid}"), "ha": {"managed": 0}, "uptime": 0,
                  "status": "running" if guest.running else "stopped", "qmpstatus": ("paused" if guest.paused else "running") if guest.running else "stopped",
                  "cpus": 1, "cpu": 0, "mem": 0, "maxmem": int(guest.config.get("memory", 512)) << 20, "disk": 0, "maxdisk": 0,
                  "netin": 0, "netout": 0}
        if guest.running:
            answer["pid"] = guest.pid
        if str(guest.config.get("agent", "0"))[0] == "1":
            answer["agent"] = 1
        return answer

    def delete(self, who, values):
        guest = self.cluster.guest(values["vmid"], "qemu", values["node"])
        if guest.running:
            raise ApiError(500, f"VM {guest.vmid} is running - destroy failed")

        def work(task):
            self.cluster.destroy(guest)
            task.say(f"purging VM {guest.vmid} from related configurations..")
        return self.double.tasks.start("qmdestroy", guest.vmid, who, guest.node, work)

    def config(self, values):
        guest = self.cluster.guest(values["vmid"], "qemu", values["node"])
        return {**guest.config, "digest": guest.digest()}

    def change(self, who, values):
        """The same as a task; what the settings themselves forbid is told at once."""
        guest = self.cluster.guest(values["vmid"], "qemu", values["node"])
        self.check_changes(who, guest.vmid, {key: value for key, value in values.items() if key not in NOT_CONFIG})

        def work(task):
            try:
                self.update(who, values)
            except ApiError as error:
                raise TaskError(str(error)) from error
        return self.double.tasks.start("qmconfig", guest.vmid, who, guest.node, work)

    def update(self, who, values):
        guest = self.cluster.guest(values["vmid"], "qemu", values["node"])
        changes = {key: value for key, value in values.items() if key not in NOT_CONFIG}
        doomed = [key for key in re.split(r"[,;\s]+", values.get("delete", "")) if key]
        if not changes and not doomed:
            raise ApiError(500, "no options specified")
        self.check_changes(who, guest.vmid, changes)
        if values.get("digest") and values["digest"] != guest.digest():
            raise ApiError(500, "detected modified configuration - file changed by other user? Try again.")
        made = []
        for key, value in changes.items():
            try:
                value = self.make_disk(Task('', '', '', who, ''), guest, value, made) if DISK.fullmatch(key) else value
            except TaskError as error:
                raise ApiError(500, str(error)) from error
            old = str(guest.config.get(key, "")).split(",")[0]
            if DISK.fullmatch(key) and old and old != value.split(",")[0]:
                guest.config[next(f"unused{n}" for n in range(256) if f"unused{n}" not in guest.config)] = old
            guest.config[key] = value
            for unused in [name for name, text in guest.config.items() if name.startswith("unused") and text == value.split(",")[0]]:
                del guest.config[unused]
        for key in doomed:
            value = str(guest.config.pop(key, "")).split(",")[0]
            if key.startswith("unused") and self.cluster.volume(value):
                self.cluster.free(value)
            elif DISK.fullmatch(key) and value:
                guest.config[next(f"unused{n}" for n in range(256) if f"unused{n}" not in guest.config)] = value

    # --- the agent ------------------------------------------------------------------------------------

    def reachable(self, values):
        guest = self.cluster.guest(values["vmid"], "qemu", values["node"])
        if not guest.running:
            raise ApiError(500, f"VM {guest.vmid} is not running")
        if self.double.agent is None or str(guest.config.get("agent", "0"))[0] != "1":
            raise ApiError(500, "QEMU guest agent is not running")
        return guest

    def agent_exec(self, values):
        guest = self.reachable(values)
        command = values["command"] if isinstance(values["command"], list) else [values["command"]]
        self.double.agent_runs.append(self.double.agent(guest.vmid, command, values.get("input-data", "").encode("latin-1")))
        return {"pid": 900 + len(self.double.agent_runs)}

    def agent_status(self, values):
        self.reachable(values)
        index = int(values["pid"]) - 901
        if not 0 <= index < len(self.double.agent_runs):
            raise ApiError(500, "Agent error: Invalid parameter 'pid'")
        status, out, err = self.double.agent_runs[index]
        # One character for each byte, whatever the bytes mean.
        return {"exited": 1, "exitcode": status, "out-data": out.decode("latin-1"), "err-data": err.decode("latin-1")}
