"""Containers: what the handlers of /nodes/{node}/lxc check and do beyond the schema."""
import re
import shlex

from pve_access import ApiError
from pve_cluster import CAN_CLONE, NEW_DISK, OS_TYPES, UNITS, read_archive, size_text
from pve_lxc_config import NOT_CONFIG, VOLUME_KEY, LxcConfig, parse, printed_net, stored
from pve_oci import unpack
from pve_tasks import TaskError


class Lxc(LxcConfig):
    # --- creation -------------------------------------------------------------------------------------

    def create(self, who, values):
        vmid, node = int(values["vmid"]), values["node"]
        pool = values.get("pool")
        if pool and self.access.may(who, f"/pool/{pool}", ["VM.Allocate"]):
            pass
        elif not self.access.may(who, f"/vms/{vmid}", ["VM.Allocate"]):
            raise ApiError(403, "Permission check failed")
        if pool and pool not in self.cluster.pools:
            raise ApiError(500, f"pool '{pool}' does not exist")
        unprivileged = str(values.get("unprivileged", "1")) not in ("0", "False")
        if not unprivileged:
            self.access.require(who, "/", ["Sys.Modify"])
        config = {key: value for key, value in values.items() if key not in NOT_CONFIG}
        if "rootfs" not in values and any(re.fullmatch(r"mp\d+", key) for key in values):
            raise ApiError(500, "mount points configured, but 'rootfs' not set - aborting")
        config.setdefault("rootfs", f"{values.get('storage', 'local')}:4")
        self.check_changes(who, vmid, config, pool, unprivileged)
        template = values["ostemplate"]
        self.check_template(who, template)
        config["unprivileged"] = "1" if unprivileged else "0"
        guest = self.cluster.reserve(vmid, "lxc", node, {})
        guest.locked = True
        guest.pool = pool
        return self.double.tasks.start("vzcreate", vmid, who, node,
                                       lambda task: self.make(task, guest, config, template, values.get("start") == "1"),
                                       lambda: self.cluster.guests.pop(vmid))

    def check_template(self, who, template):
        found = re.fullmatch(r"([^:]+):vztmpl/(.+)", template)
        storage = self.cluster.storage(template.partition(":")[0])
        endings = r"\.tar(\.(gz|xz|zst))?" if self.cluster.at_least("9.1") else r"\.tar\.(gz|xz|zst)"
        if not found or not re.search(endings + "$", template):
            raise ApiError(500, f"unable to parse directory volume name '{template.partition(':')[2]}'")
        self.access.require(who, f"/storage/{storage.name}", ["Datastore.Audit", "Datastore.AllocateSpace"], any_of=True)

    def make(self, task, guest, config, template, start):
        made = []
        try:
            volume = self.cluster.volume(template)
            if volume is None:
                task.say(f"volume '{template}' does not exist")
                raise TaskError(f"volume '{template}' does not exist")
            files = read_archive(volume.data, template)
            image = {}
            if "/oci-layout" in files and "/index.json" in files:
                files, image = unpack(files, volume.data, self.cluster)
                task.say("Detected OCI archive")
            for key in sorted(key for key in config if VOLUME_KEY.fullmatch(key)):
                config[key] = self.make_volume(task, guest, key, config[key], files, made)
            guest.config = self.final(task, config, files, image)
            if start:
                self.begin(task, guest)
        except (TaskError, ApiError) as error:
            for volid in made:
                self.cluster.free(volid)
            self.cluster.guests.pop(guest.vmid, None)
            raise TaskError(f"unable to create CT {guest.vmid} - {error}") from error
        guest.locked = False
        return lambda: self.cluster.destroy(guest)

    def make_volume(self, task, guest, key, text, files, made):
        found = NEW_DISK.fullmatch(parse(text)["volume"])
        if not found:
            return text
        size = int(float(found[2]) * UNITS["G"])
        volid = self.cluster.allocate(found[1], guest.vmid, "lxc", size, files if key == "rootfs" else {})
        made.append(volid)
        task.say(f"Formatting '{volid}', fmt=raw size={size}")
        needed = sum(member.size for member, _ in files.values()) if key == "rootfs" else 0
        if size and needed > size:
            raise TaskError("command 'tar xpf -' failed: exit code 2: No space left on device")
        rest = text.split(",")[1:]
        return ",".join([volid, *(part for part in rest if not part.startswith("size=")), f"size={size_text(size)}"])

    def final(self, task, config, files, image):
        """The configuration as it is written: defaults, MAC addresses, what an OCI archive overwrites."""
        config = {key: stored(key, value) for key, value in config.items()}
        for key in [key for key in config if re.fullmatch(r"net\d+", key)]:
            config[key] = printed_net(self.cluster, config[key])
        config.setdefault("memory", 512)
        config.setdefault("swap", 512)
        config.setdefault("arch", "amd64")
        config.setdefault("hostname", "localhost")
        if "entrypoint" in image:
            for key in [key for key in config if re.fullmatch(r"net\d+", key) and "host-managed" not in config[key]]:
                task.say(f"Auto-Enabling host-managed network for network device {key}.")
                config[key] = printed_net(self.cluster, f"{config[key]},host-managed=1")
        config.update(image)  # whatever the caller asked for
        if "ostype" not in config:
            config["ostype"] = self.os_type(files)
        task.say("Detected container architecture: amd64")
        return config

    @staticmethod
    def os_type(files):
        text = files.get("/etc/os-release", (None, b""))[1].decode(errors="replace")
        found = re.search(r"^ID=\"?([\w.-]+)", text, re.MULTILINE)
        if not found:
            return "alpine" if "/etc/alpine-release" in files else "unmanaged"
        if found[1] not in OS_TYPES:
            raise TaskError(f"unsupported distribution '{found[1]}'")
        return found[1]

    def clone(self, who, values):
        guest = self.cluster.guest(values["vmid"], "lxc", values["node"])
        if guest.locked:
            raise ApiError(500, "CT is locked (disk)")
        self.config_lock(guest)
        newid = int(values["newid"])
        full = values.get("full") in ("1", True)
        linked = bool(guest.config.get("template")) and not full
        target = values.get("storage") if full else None
        for key, volid in guest.volumes():
            name = volid.partition(":")[0]
            self.access.require(who, f"/storage/{target or name}", ["Datastore.AllocateSpace"])
            if linked and self.cluster.storage(name).kind not in CAN_CLONE:
                raise ApiError(500, f"Linked clone feature for '{volid}' is not available")
            if not linked and not guest.config.get("template") and guest.running:
                raise ApiError(500, f"Full clone of a running container is only possible from a snapshot ({key})")
        config = {key: value for key, value in guest.config.items() if key not in ("template", "digest", "parent", "snaptime")}
        for key in ("hostname", "description"):
            if key in values:
                config[key] = stored(key, values[key])
        copy = self.cluster.reserve(newid, "lxc", guest.node, {})
        copy.locked = True
        return self.double.tasks.start("vzclone", guest.vmid, who, guest.node,
                                       lambda task: self.copy(task, guest, copy, config, linked, target),
                                       lambda: self.cluster.guests.pop(newid))

    def copy(self, task, guest, copy, config, linked, target):
        made = []
        try:
            for key, volid in list(guest.volumes()):
                source = self.cluster.volume(volid)
                if source is None:
                    raise TaskError(f"volume '{volid}' does not exist")
                name = volid.partition(":")[0]
                fresh = self.cluster.allocate(target or name, copy.vmid, "lxc", 0 if linked else source.size, source.files)
                self.cluster.volume(fresh).size = 0 if linked else source.size
                if linked:
                    source.clones += 1
                    plain = fresh.partition(":")[2]
                    volumes = self.cluster.storages[name].volumes
                    joined = f"{volid.partition(':')[2]}/{plain}"
                    volumes[joined] = volumes.pop(plain)
                    fresh = f"{name}:{joined}"
                made.append(fresh)
                config[key] = ",".join([fresh, *str(config[key]).split(",")[1:]])
                task.say(f"create {'linked' if linked else 'full'} clone of mountpoint {key} ({volid})")
            for key in [key for key in config if re.fullmatch(r"net\d+", key)]:
                config[key] = printed_net(self.cluster, re.sub(r",?hwaddr=[^,]+", "", config[key]))
        except (TaskError, ApiError) as error:
            for volid in made:
                self.cluster.free(volid)
            self.cluster.guests.pop(copy.vmid, None)
            raise TaskError(f"clone failed: {error}") from error
        copy.config, copy.locked = config, False
        return lambda: self.cluster.destroy(copy)

    def template(self, who, values):
        guest = self.cluster.guest(values["vmid"], "lxc", values["node"])
        if guest.config.get("template"):
            raise ApiError(500, "you can't convert a template to a template")
        if guest.running:
            raise ApiError(500, "you can't convert a CT to template if the CT is running")
        self.double.tasks.start("vztemplate", guest.vmid, who, guest.node, lambda task: self.to_base(guest))

    def to_base(self, guest):
        for key, volid in list(guest.volumes()):
            name, _, volname = volid.partition(":")
            volumes = self.cluster.storages[name].volumes
            base = re.sub(r"(^|/)(subvol|vm)-", lambda found: found[1] + ("basevol-" if found[2] == "subvol" else "base-"), volname)
            volumes[base] = volumes.pop(volname)
            volumes[base].base = True
            guest.config[key] = ",".join([f"{name}:{base}", *guest.config[key].split(",")[1:]])
        guest.config["template"] = 1

    # --- what runs ------------------------------------------------------------------------------------

    def start(self, who, values):
        guest = self.cluster.guests.get(int(values["vmid"]))
        if guest:
            self.config_lock(guest)
        if guest and guest.running:
            raise ApiError(500, f"CT {values['vmid']} already running")
        return self.double.tasks.start("vzstart", values["vmid"], who, values["node"],
                                       lambda task: self.begin(task, self.found(values)))

    def found(self, values):
        try:
            return self.cluster.guest(values["vmid"], "lxc", values["node"])
        except ApiError as error:
            raise TaskError(str(error)) from error

    def begin(self, task, guest):
        self.apply_pending(guest)
        if guest.config.get("template"):
            raise TaskError("you can't start a CT if it's a template")
        root = self.cluster.volume(guest.config["rootfs"].split(",")[0])
        if root is None:
            raise TaskError(f"volume '{guest.config['rootfs'].split(',')[0]}' does not exist")
        for _, volid in guest.volumes():
            if not volid.startswith("/") and self.cluster.volume(volid) is None:
                raise TaskError(f"volume '{volid}' does not exist")
        words = shlex.split(guest.config.get("entrypoint", "/sbin/init"))
        if not resolves(root.files or {}, words[0]):
            task.say(f"lxc-start {guest.vmid}: start.c: exec: No such file or directory - \"{words[0]}\"")
            raise TaskError(f"startup for container '{guest.vmid}' failed")
        guest.running, guest.pid, guest.starts = True, 4000 + guest.vmid, guest.starts + 1

    def stop(self, who, values, kind="vzstop"):
        guest = self.cluster.guest(values["vmid"], "lxc", values["node"])
        if not guest.running:
            raise ApiError(500, f"{'VM' if kind == 'vzreboot' else 'CT'} {guest.vmid} not running")
        if values.get("overrule-shutdown") == "1" and guest.busy:
            guest.busy.stopping.set()
            guest.busy = None
        waits = kind == "vzshutdown" and guest.ignores_term

        def work(task):
            guest.busy = None
            if waits and values.get("forceStop") != "1":
                raise TaskError(f"command 'lxc-stop -n {guest.vmid} --nokill' failed: exit code 1")
            guest.running = False
            self.apply_pending(guest)
            if kind == "vzreboot":
                self.begin(task, guest)
        self.config_lock(guest)
        upid = self.double.tasks.start(kind, guest.vmid, who, guest.node, work, seconds=float(values.get("timeout", 60)) if waits else 0)
        if waits:
            guest.busy = self.double.tasks.all[upid]
        return upid

    def status(self, values):
        guest = self.cluster.guest(values["vmid"], "lxc", values["node"])
        answer = {"type": "lxc", "vmid": guest.vmid, "name": guest.config.get("hostname", f"CT{guest.vmid}"), "ha": {"managed": 0},
                  "status": "running" if guest.running else "stopped", "cpus": guest.config.get("cores", 2), "uptime": 0,
                  "cpu": 0, "mem": 0, "maxmem": guest.config.get("memory", 512) << 20, "swap": 0, "maxswap": 0, "disk": 0,
                  "maxdisk": 0, "netin": 0, "netout": 0, "diskread": 0, "diskwrite": 0}
        if guest.running:
            answer["pid"] = guest.pid
        for key in ("tags", "lock", "template"):
            if key in guest.config:
                answer[key] = guest.config[key]
        return answer

    def delete(self, who, values):
        guest = self.cluster.guest(values["vmid"], "lxc", values["node"])
        if guest.config.get("protection"):
            raise ApiError(500, f"can't remove CT {guest.vmid} - protection mode enabled")
        if guest.running and values.get("force") != "1":
            raise ApiError(500, f"unable to destroy CT {guest.vmid} - container is running")
        self.config_lock(guest)

        def work(task):
            guest.running = False
            self.cluster.destroy(guest)
            if values.get("destroy-unreferenced-disks") == "1":
                for storage in self.cluster.storages.values():
                    for name in [name for name, volume in storage.volumes.items() if volume.owner == guest.vmid]:
                        self.cluster.free(f"{storage.name}:{name}")
            task.say(f"purging CT {guest.vmid} from related configurations..")
        return self.double.tasks.start("vzdestroy", guest.vmid, who, guest.node, work)


def resolves(files, path, hops=0):
    """The path names a file of the root file system, links followed inside it."""
    if hops > 20:
        return False
    at = ""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    for index, part in enumerate(parts):
        at = at.rsplit("/", 1)[0] if part == ".." else f"{at}/{part}"
        member = files.get(at, (None, b""))[0]
        if member is not None and member.issym():
            target = member.linkname if member.linkname.startswith("/") else f"{at.rsplit('/', 1)[0]}/{member.linkname}"
            return resolves(files, "/".join([target, *parts[index + 1:]]), hops + 1)
    member = files.get(at, (None, b""))[0]
    return member is not None and (member.isreg() or member.islnk())
