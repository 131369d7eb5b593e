"""Root file systems of containers in virtual machines: images of all shapes, disk images, and the other board."""
import io
import json
import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
import unittest

import machine_kernel
import support

BOOT = 300  # of an emulated machine on a busy host
LONG = unittest.skipUnless(os.environ.get("NX_LONG"), "boots a machine for what others show already: NX_LONG=1 runs it")


def qcow2(content):
    """A disk image of version 3 with every cluster of the content where it comes (QEMU: docs/interop/qcow2.txt)."""
    bits = 16
    cluster = 1 << bits
    count = -(-len(content) // cluster)
    tables = -(-count // (cluster // 8))
    # header, refcount table, refcount block, L1, L2 tables, data
    first = 4 + tables
    used = first + count
    assert used <= cluster // 2, "more than one refcount block would be needed"
    header = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, bits, len(content), 0, tables, 3 * cluster,
                         cluster, 1, 0, 0, 0, 0, 0, 4, 104)
    copied = 1 << 63
    parts = [header, struct.pack(">Q", 2 * cluster), struct.pack(">H", 1) * used,
             b"".join(struct.pack(">Q", copied | (4 + n) * cluster) for n in range(tables)),
             b"".join(struct.pack(">Q", copied | (first + n) * cluster) for n in range(count)).ljust(tables * cluster, b"\0"),
             content]
    return b"".join(part.ljust(-(-len(part) // cluster) * cluster, b"\0") for part in parts)


@support.needs_root
class Disks(support.Case):
    @classmethod
    def prepare(cls):
        cls.world.write_config(extra=machine_kernel.settings())

    def run_vm(self, *args, **kwargs):
        return self.world.run("run", "--rm", "--runtime", "vm", *args, timeout=BOOT, **kwargs)

    def import_layers(self, name, layers, config=None):
        _, transport = self.world.layout().add("x", layers, config)
        answer = self.world.run("image", "import", transport, "--name", name, timeout=300)
        self.assertEqual(answer.code, 0, str(answer))
        return name

    def test_an_image_without_layers_has_no_program(self):
        answer = self.run_vm(self.import_layers("empty", []), "sh")
        self.assertEqual(answer.code, 127, str(answer))
        self.assertIn("executable file not found", answer.err)

    def test_an_image_of_127_layers(self):
        layers = [support.busybox_layer()]
        for number in range(126):
            layers.append(support.Tar().add(f"f{number}", data=b"x").add("last", data=b"%d" % number).finish())
        answer = self.run_vm(self.import_layers("deep", layers), "sh", "-c", "cat /last; ls / | grep -c ^f[0-9]")
        self.assertEqual((answer.code, answer.out), (0, "125126\n"), str(answer))

    def test_a_sparse_file_of_5_gib(self):
        directory = self.world.path("sparse")
        os.mkdir(directory)
        with open(os.path.join(directory, "big"), "wb") as file:
            file.write(b"begin")
            file.seek(5 * (1 << 30) - 3)
            file.write(b"end")
        layer = subprocess.run(["tar", "-C", directory, "--sparse", "-cf", "-", "big"], check=True,
                               stdout=subprocess.PIPE).stdout
        self.assertLess(len(layer), 1 << 20)
        image = self.import_layers("sparse", [support.busybox_layer(), layer])
        answer = self.run_vm(image, "sh", "-c", "stat -c %s /big; head -c 5 /big; tail -c 3 /big")
        self.assertEqual((answer.code, answer.out), (0, f"{5 << 30}\nbeginend"), str(answer))

    def disk(self):
        """A tree of busybox as an ext4 file system."""
        tree, disk = self.world.path("tree"), self.world.path("disk")
        if not os.path.exists(disk):
            with tarfile.open(fileobj=io.BytesIO(support.busybox_layer())) as tar:
                tar.extractall(tree)
            for name in ("proc", "sys", "dev"):
                os.mkdir(os.path.join(tree, name))
            subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, disk, "32M"], check=True, capture_output=True)
        return disk

    def run_image(self, path, image_format, command, readonly=False, block_io=None):
        bundle = self.world.bundle(["sh", "-c", command])
        config = os.path.join(bundle, "config.json")
        with open(config, encoding="utf-8") as file:
            spec = json.load(file)
        kernel = machine_kernel.prepared_kernel()
        spec["root"]["readonly"] = readonly
        spec["vm"] = {"kernel": {"path": f"{kernel}/vmlinux", "initrd": f"{kernel}/initrd"},
                      "image": {"path": path, "format": image_format}}
        if block_io:
            spec["linux"].setdefault("resources", {})["blockIO"] = block_io
        with open(config, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        return self.world.run("run", "--runtime", "vm", "--bundle", bundle, self.world.new_id(), timeout=BOOT)

    def test_a_raw_disk_image_is_the_root(self):
        answer = self.run_image(self.disk(), "raw", "cat /kept 2>/dev/null || echo first | tee /kept")
        self.assertEqual((answer.code, answer.out), (0, "first\n"), str(answer))
        kept = subprocess.run(["debugfs", "-R", "cat /kept", self.disk()], capture_output=True, text=True, check=True)
        self.assertEqual(kept.stdout, "first\n")

    def test_a_disk_is_read_no_faster_than_the_spec_says(self):
        """What the host has in its page cache, and the guest has not: only QEMU can hold that up."""
        size, rate = 6 << 20, 1 << 20
        place, volume, big = (self.world.path(name) for name in ("slow", "slow.ext4", "big"))
        subprocess.run(["mke2fs", "-q", "-t", "ext4", volume, "48M"], check=True, capture_output=True)
        os.mkdir(place)
        subprocess.run(["mount", "-o", "loop", volume, place], check=True)
        self.addCleanup(subprocess.run, ["umount", place], check=True)
        disk = shutil.copy(self.disk(), place)
        with open(big, "wb") as file:
            file.write(os.urandom(size))
        subprocess.run(["debugfs", "-w", "-R", f"write {big} big", disk], check=True, capture_output=True)
        number = os.stat(disk).st_dev
        limit = {"throttleReadBpsDevice": [{"major": os.major(number), "minor": os.minor(number), "rate": rate}]}

        def seconds(block_io):
            with open(disk, "rb") as file:
                file.read()
            answer = self.run_image(disk, "raw", "read a b </proc/uptime; wc -c </big; read c d </proc/uptime; echo $a $c",
                                    readonly=True, block_io=block_io)
            self.assertEqual(answer.code, 0, str(answer))
            read, before, after = answer.out.split()
            self.assertEqual(int(read), size)
            return float(after) - float(before)

        self.assertGreater(seconds(limit), 0.85 * size / rate)
        self.assertLess(seconds(None), 0.5 * size / rate)

    def test_a_qcow2_image_is_the_root(self):
        path = self.world.path("disk.qcow2")
        with open(self.disk(), "rb") as plain, open(path, "wb") as made:
            made.write(qcow2(plain.read()))
        answer = self.run_image(path, "qcow2", "echo here; touch /no", readonly=True)
        self.assertEqual(answer.out, "here\n", str(answer))
        self.assertIn("Read-only file system", answer.err)

    def test_disk_images_that_are_none_are_refused(self):
        text = self.world.path("text")
        with open(text, "w", encoding="utf-8") as file:
            file.write("no disk\n" * 1000)
        for image_format, words in (("raw", "holds no ext4"), ("qcow2", "no qcow2 image"), ("vmdk", "vm.image.format")):
            answer = self.run_image(text, image_format, "true")
            self.assertNotEqual(answer.code, 0)
            self.assertIn(words, answer.err)

    @LONG
    def test_a_volume_of_xfs(self):
        if not shutil.which("mkfs.xfs"):
            self.skipTest("mkfs.xfs is not installed")
        answer = self.run_vm("--raw", "xfs", "--storage-size", "400m", self.world.import_image(), "sh", "-c",
                             "echo x > /file; cat /file; grep -cw xfs /proc/filesystems")
        self.assertEqual((answer.code, answer.out), (0, "x\n1\n"), str(answer))

    def test_a_qemu_without_a_microvm_gets_the_board_with_pci(self):
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        os.chmod(directory, 0o755)  # QEMU is run by another user
        qemu = os.path.join(directory, "qemu")
        with open(qemu, "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\n[ "$*" = "-machine help" ] || exec qemu-system-x86_64 "$@"\n'
                       "qemu-system-x86_64 -machine help | grep -v ^microvm\n")
        os.chmod(qemu, 0o755)
        name = self.world.new_id()
        self.addCleanup(self.world.run, "delete", "--force", name)
        answer = self.world.run("run", "-d", "--runtime", "vm", "--name", name, self.world.import_image(), "sleep", "1000",
                                timeout=BOOT, env={"NEXCAGE_QEMU": qemu})
        self.assertEqual(answer.code, 0, str(answer))
        self.assertEqual(self.world.run("state", name).json()["annotations"]["org.nexcage.vm.board"], "q35")
        self.assertNotEqual(self.world.run("exec", name, "ls", "/sys/bus/pci/devices", timeout=60).out, "")
        with open(self.world.path("run", "@vm", "board.json"), encoding="utf-8") as file:
            answers = json.load(file)["answers"]
        self.assertEqual([answer for key, answer in answers.items() if key.startswith(qemu)], ["q35"])

    @LONG
    def test_on_the_board_with_pci(self):
        answer = self.run_vm(self.world.import_image(), "sh", "-c", "ls /sys/bus/pci/devices | wc -l; echo up",
                             env={"NEXCAGE_VM_BOARD": "q35"})
        self.assertEqual(answer.code, 0, str(answer))
        count, word = answer.out.split()
        self.assertGreater(int(count), 2)
        self.assertEqual(word, "up")


if __name__ == "__main__":
    unittest.main()
