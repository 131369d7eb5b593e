"""How long a container in a virtual machine takes to its first byte of output, beside a bare boot of the same kernel
under the same QEMU with an init that prints and powers off."""
import os
import re
import subprocess
import time
import unittest

import machine_kernel
import targets

INIT = r"""
#include <stdio.h>
#include <sys/reboot.h>
#include <unistd.h>
int main(void) {
  puts("printed");
  fflush(stdout);
  return reboot(RB_POWER_OFF);
}
"""


def newc(files):
    """An archive of the kind an initramfs is: {name: (mode, content, device)}."""
    out = bytearray()
    entries = [*files.items(), ("TRAILER!!!", (0, b"", (0, 0)))]
    for number, (name, (mode, content, device)) in enumerate(entries, 1):
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + content
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def bare_initramfs(directory):
    program = os.path.join(directory, "init")
    subprocess.run(["gcc", "-static", "-Os", "-s", "-x", "c", "-", "-o", program], input=INIT, text=True, check=True)
    with open(program, "rb") as file:
        content = file.read()
    path = os.path.join(directory, "bare.cpio")
    with open(path, "wb") as file:
        file.write(newc({"dev": (0o40755, b"", (0, 0)), "dev/console": (0o20600, b"", (5, 1)),
                         "init": (0o100755, content, (0, 0))}))
    return path


def bare_boot(argv):
    """Milliseconds from the start of QEMU to its end."""
    begin = time.monotonic()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    if b"printed" not in done.stdout:
        raise RuntimeError(done.stdout[-300:].decode(errors="replace"))
    return (time.monotonic() - begin) * 1000


def first_byte(world, image):
    """Milliseconds from the command to the first byte that the container writes."""
    begin = time.monotonic()
    process = subprocess.Popen(world.argv("run", "--rm", "--runtime", "vm", image, "echo", "x"),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=world.environment())
    if not process.stdout.read(1):
        raise RuntimeError("a container in a machine printed nothing")
    spent = (time.monotonic() - begin) * 1000
    process.stdout.close()
    process.wait()
    return spent


def boots(bench, world, image):
    try:
        kernel = machine_kernel.prepared_kernel()
    except unittest.SkipTest as reason:
        print(f"\nvirtual machines: not measured: {reason}")
        return
    world.write_config(extra=machine_kernel.settings())
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        khz = int(float(re.search(r"cpu MHz\s*: ([0-9.]+)", file.read()).group(1)) * 1000)
    initramfs = bare_initramfs(world.dir)

    def bare(processor, *parameters):
        words = ["console=ttyS0", "panic=-1", "quiet", *parameters, "no_timer_check", f"tsc_early_khz={khz}", f"lpj={khz * 2}"]
        argv = ["qemu-system-x86_64", "-machine", "microvm,pit=on,pic=on,rtc=on,isa-serial=on,accel=tcg", "-cpu", processor,
                "-m", "256", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial", "stdio", "-monitor",
                "none", "-kernel", f"{kernel}/vmlinux", "-initrd", initramfs, "-append", " ".join(words)]
        return lambda: bare_boot(argv)

    # The second is told what nexcage tells QEMU and the kernel: what is left is nexcage's own work.
    peers = {"bare QEMU boot": bare("max"), "bare QEMU boot, as nexcage's": bare("max,-erms,-fsrm", "cryptomgr.notests")}
    bench.group("virtual machine: create to first byte of output", [targets.ratio(1.15, peer) for peer in peers],
                **{"nexcage run --runtime vm": lambda: first_byte(world, image), **peers})
    world.write_config()
