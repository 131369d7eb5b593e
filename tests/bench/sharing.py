"""What a file costs in the page cache when the containers of one image read it: with shared mounts once, with copies each time."""
import subprocess

import figures
import support
import targets

MIB = 1 << 20
SIZE = 64 * MIB
CONTAINERS = 3


def cached():
    """Bytes of the machine's page cache, without memory that has no file on a disk."""
    with open("/proc/meminfo", encoding="ascii") as file:
        found = {name: int(value.split()[0]) << 10 for name, value in (line.split(":") for line in file)}
    return found["Cached"] + found["Buffers"] - found["Shmem"]


def drop():
    subprocess.run(["sync"], check=True)
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")


def growths(world, image, driver):
    """By how many bytes the cache grows while each of some containers reads the file."""
    names, grown = [world.new_id() for _ in range(CONTAINERS)], []
    try:
        for name in names:
            answer = world.run("run", "-d", "--layerfs", driver, "--name", name, image, "sleep", "1000")
            if answer.code:
                raise RuntimeError(str(answer))
        drop()
        for name in names:
            before = cached()
            answer = world.run("exec", name, "sh", "-c", "cat /big > /dev/null")
            if answer.code:
                raise RuntimeError(str(answer))
            grown.append(cached() - before)
    finally:
        for name in names:
            world.run("delete", "--force", name)
    return grown


def measure(bench, world, rounds=3):
    with open("/dev/urandom", "rb") as file:
        layer = support.Tar().add("big", data=file.read(SIZE)).finish()
    image = world.import_image([layer], name="shared")
    rows = {}
    for driver in ("erofs", "overlay", "copy"):
        taken = [growths(world, image, driver) for _ in range(rounds)]
        for number in range(CONTAINERS):
            rows[f"nexcage, {driver}, container {number + 1}"] = figures.row([grown[number] / MIB for grown in taken])
    bench.add(f"page cache taken while containers of one image read a file of {SIZE // MIB} MiB, one after the other",
              [targets.Target("the second container takes <= 0.1x of the file", 0.1,
                              lambda found: found["nexcage, erofs, container 2"]["median"] * MIB / SIZE)], rows, {}, unit="MiB")
