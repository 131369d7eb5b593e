"""A caller as conmon and containerd's shim are: the subreaper that a container's init becomes a child of."""
import ctypes
import os
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36


def exit_status(world, binary, bundle, container):
    """Answer of a subreaper that creates and starts the container and prints its exit status."""
    return world.raw([sys.executable, __file__, binary, world.config, bundle, container])


def main(binary, config, bundle, container):
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")

    def call(*args):
        subprocess.run([binary, "--config", config, *args], check=True, stdin=subprocess.DEVNULL)

    pid_file = os.path.join(bundle, "pid")
    call("create", "--bundle", bundle, "--pid-file", pid_file, container)
    with open(pid_file, encoding="utf-8") as file:
        pid = int(file.read())
    call("start", container)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(*sys.argv[1:])
