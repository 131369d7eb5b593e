"""The kernel that containers in virtual machines boot in tests: made by `nexcage vm setup` out of the package that the
other virtual machines of the tests have, once for each state of what makes it, and kept."""
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import unittest

import support

CACHE = os.environ.get("NX_CACHE") or os.path.join(support.SOURCE, "build/cache")
SKIPPED = 77  # exit status of a program that says why it cannot be


def _makers():
    """What the result depends on, in short."""
    digest = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(support.SOURCE, "src/vm/boot/*"))):
        if not path.endswith("_test.cc") and "boot_disk" not in path:
            with open(path, "rb") as file:
                digest.update(file.read())
    return digest.hexdigest()[:12]


def prepared_directory():
    """What `vm setup` was given as its directory; raises SkipTest with the reason."""
    for tool in ("qemu-system-x86_64", "apt-get", "dpkg-deb", "depmod", "lz4"):
        if not shutil.which(tool):
            raise unittest.SkipTest(f"no kernel for machines: {tool} is not installed")
    kernels = os.path.join(CACHE, "vm-kernels-" + _makers())
    os.makedirs(CACHE, exist_ok=True)
    # Who comes second finds what the first has made, and replaces nothing that somebody boots.
    with open(os.path.join(CACHE, "vm-kernels.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(os.path.exists(os.path.join(kernels, "default", name)) for name in ("vmlinux", "vmlinuz")):
            _prepare(kernels)
    return kernels


def _prepare(kernels):
    package = subprocess.run([os.path.join(support.SOURCE, "tests/vm/kernel.sh"), CACHE, "package"],
                             capture_output=True, text=True, check=False)
    # Without a package there is nothing to prepare; with one, preparing is what is tested.
    if package.returncode != 0:
        raise unittest.SkipTest("no kernel for machines: " + package.stderr.strip())
    made = subprocess.run([support.NEXCAGE, "vm", "setup", "--directory", kernels, "--package", package.stdout.strip()],
                          capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise RuntimeError("vm setup has failed: " + made.stderr.strip())


def prepared_kernel():
    """The directory of the kernel itself; raises SkipTest with the reason."""
    return os.path.realpath(os.path.join(prepared_directory(), "default"))


def settings():
    """The table [vm] of a configuration for it: emulated, because a test machine's KVM may not run it."""
    kernel = prepared_kernel()
    return f"""
[vm]
kernel = "{kernel}/vmlinux"
initrd = "{kernel}/initrd"
accelerator = "tcg"
memory = "256m"
boot_timeout = 280
"""


def main():
    """For tests in C++: prints the directory, or why there is none."""
    try:
        print(prepared_directory())
    except unittest.SkipTest as reason:
        print(reason)
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
