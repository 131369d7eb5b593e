"""Runs a command and writes what it cost, because the kernel counts the memory of whoever starts a process (until it
has become another program) as that process's own peak: this program is small.

usage: measured.py RESULT COMMAND [ARG...]     RESULT: {"seconds","processor","memory"} in s, s, bytes
"""
import json
import os
import sys
import time


def prefix(result):
    """What to put before a command."""
    return [sys.executable, "-S", "-E", os.path.abspath(__file__), result]


def main():
    began = time.monotonic()
    pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
    _, status, usage = os.wait4(pid, 0)
    with open(sys.argv[1], "w", encoding="ascii") as file:
        json.dump({"seconds": time.monotonic() - began, "processor": usage.ru_utime + usage.ru_stime,
                   "memory": usage.ru_maxrss << 10}, file)
    return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    sys.exit(main())
