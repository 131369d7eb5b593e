"""A virtual machine whose / is the host's own, read-only under a tmpfs, with a stock Debian kernel: pure cgroup v2
with every controller, every capability, AppArmor, CRIU, and ZFS for who asks. Emulated (TCG), because a test machine's
KVM may not run it.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
SYSTEMD = "/lib/systemd/systemd"
TOOLS = ("qemu-system-x86_64", "depmod", "cpio", "apt-get", "dpkg", VIRTIOFSD)
ZFS_TOOLS = ("make", "gcc-12", "strip")
# Below these the machine has its own, so a directory of ours there must be shown to it.
HIDDEN = ("/tmp/", "/run/", "/proc/", "/sys/", "/dev/")


def missing(zfs=False):
    """Programs that are needed and not installed."""
    return [tool for tool in TOOLS + (ZFS_TOOLS if zfs else ()) if not shutil.which(tool)]


def _made(what, *arguments):
    """Directory that what.sh has made, now or at an earlier call; raises RuntimeError with the reason."""
    done = subprocess.run([os.path.join(HERE, what + ".sh"), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"no {what}: " + (done.stderr.strip() or what + ".sh").splitlines()[-1])
    return done.stdout.strip()


class Machine:
    """One run: boots, runs a shell script, powers off. The script's /share is `share` here.

    With `zfs` its modules are loaded and its programs are there; the first time this builds them for some minutes.
    """

    def __init__(self, cache, memory=2048, processors=2, zfs=False):
        self.kernel = _made("kernel", cache)
        self.zfs = _made("zfs", cache, self.kernel) if zfs else None
        self.memory, self.processors = memory, processors
        self.dir = tempfile.mkdtemp(prefix="nexcage-vm.")
        self.share = os.path.join(self.dir, "share")
        os.mkdir(self.share)
        self.console = os.path.join(self.dir, "console")

    def _daemon(self, name, source, *options):
        """virtiofsd ends by itself when the machine has gone."""
        path = os.path.join(self.dir, name + ".sock")
        log = open(os.path.join(self.dir, name + ".log"), "wb")
        daemon = subprocess.Popen([VIRTIOFSD, f"--socket-path={path}", "-o", f"source={source}", *options],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + 10
        while not os.path.exists(path):
            if daemon.poll() is not None or time.monotonic() > deadline:
                daemon.kill()
                with open(log.name, encoding="utf-8", errors="replace") as file:
                    raise RuntimeError(f"virtiofsd for {source}: {file.read().strip()}")
            time.sleep(0.02)
        return daemon, ["-chardev", f"socket,id={name},path={path}",
                        "-device", f"vhost-user-fs-pci,chardev={name},tag={name}"]

    def run(self, script, visible=(), seconds=300, systemd=False):
        """Exit status and output of the script; with `systemd`, that is the first process and the script a service."""
        with open(os.path.join(self.share, "run"), "w", encoding="utf-8") as file:
            file.write(script)
        see = [os.path.realpath(path) for path in visible]
        see = [path for path in see if path.startswith(HIDDEN)]
        # Emulated, the string instructions that a real processor is quick at are the slowest way to copy.
        words = ["console=ttyS0", "quiet", "panic=-1", "mitigations=off", "no_timer_check",
                 "cryptomgr.notests", "clearcpuid=erms,fsrm,rep_good",
                 "security=apparmor", f"nx.modules={self.zfs or self.kernel}/lib/modules"]
        if self.zfs:
            words.append(f"nx.zfs={self.zfs}/root")
        if systemd:
            words.append(f"nx.systemd={SYSTEMD}")
        if see:
            words.append("nx.see=" + ",".join(see))
        daemons = []
        try:
            # cache=always: nobody changes what the machine reads. sandbox=chroot: / cannot be pivoted into.
            host, host_arguments = self._daemon("host", "/", "-o", "sandbox=chroot", "-o", "cache=always", "-o", "xattr")
            daemons.append(host)
            share, share_arguments = self._daemon("share", self.share, "-o", "cache=auto")
            daemons.append(share)
            argv = ["qemu-system-x86_64", "-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "max,-erms,-fsrm", "-smp", str(self.processors),
                    "-m", str(self.memory), "-object", f"memory-backend-memfd,id=memory,size={self.memory}M,share=on",
                    "-numa", "node,memdev=memory", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
                    "-monitor", "none", "-serial", f"file:{self.console}", "-kernel", f"{self.kernel}/vmlinuz",
                    "-initrd", f"{self.kernel}/initrd", "-append", " ".join(words), *host_arguments, *share_arguments]
            with open(os.path.join(self.dir, "qemu.log"), "wb") as log:
                try:
                    subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=seconds, check=False)
                except subprocess.TimeoutExpired:
                    pass
        finally:
            for daemon in daemons:
                daemon.kill()
                daemon.wait()
        output = self._read("share/output")
        status = self._read("share/status").strip()
        if not status:
            raise RuntimeError(f"the machine told no status\n{self._read('qemu.log')}{self._read('console')}{output}")
        return int(status), output

    def _read(self, name):
        try:
            with open(os.path.join(self.dir, name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def destroy(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def main():
    """For people. machine.py CACHE SCRIPT [systemd] [zfs]: SCRIPT is shell text; the current directory is visible."""
    machine = Machine(sys.argv[1], zfs="zfs" in sys.argv[3:])
    try:
        status, output = machine.run(sys.argv[2], visible=[os.getcwd()], systemd="systemd" in sys.argv[3:])
        print(output, end="")
        return status
    finally:
        machine.destroy()


if __name__ == "__main__":
    sys.exit(main())
