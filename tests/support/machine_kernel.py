"""The kernel that containers in virtual machines boot in tests: made once by `nexcage vm setup`, and kept."""
import os
import shutil
import subprocess
import unittest

import support

CACHE = os.environ.get("NX_CACHE", os.path.join(support.SOURCE, "build/cache"))


def prepared_kernel():
    """Its directory; raises SkipTest with the reason."""
    if not shutil.which("qemu-system-x86_64"):
        raise unittest.SkipTest("qemu-system-x86_64 is not installed")
    kernels = os.path.join(CACHE, "vm-kernels")
    default = os.path.join(kernels, "default")
    if not os.path.exists(os.path.join(default, "vmlinux")):
        os.makedirs(kernels, exist_ok=True)
        made = subprocess.run([support.NEXCAGE, "vm", "setup", "--directory", kernels],
                              capture_output=True, text=True, check=False)
        # Without a package there is nothing to prepare; with one, preparing is what is tested.
        if "apt-get" in made.stderr:
            raise unittest.SkipTest("no kernel for machines: " + made.stderr.strip())
        if made.returncode != 0:
            raise RuntimeError("vm setup has failed: " + made.stderr.strip())
    return os.path.realpath(default)


def settings():
    """The table [vm] of a configuration for it: emulated, because a test machine's KVM may not run it."""
    kernel = prepared_kernel()
    return f"""
[vm]
kernel = "{kernel}/vmlinux"
initrd = "{kernel}/initrd"
accelerator = "tcg"
memory = "256m"
"""
