"""A real distribution: Debian's minimal root file system in three layers made by umoci, imported and run.
The tree seen inside must be what `umoci unpack` makes of the same image."""
import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
import time
import unittest

import support

CACHE = os.environ.get("NX_CACHE") or os.path.join(support.SOURCE, "build/cache")
# What Debian keeps its package sources in; the machine's own are used, no mirror is named here.
APT_SOURCES = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"]


def tool(*argv, timeout=600, **kwargs):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def root_archive():
    """Debian's minbase variant as a tar, made once a week."""
    week = time.strftime("%G-%V")
    path = os.path.join(CACHE, f"debian-{week}.tar")
    if os.path.exists(path):
        return path
    os.makedirs(CACHE, exist_ok=True)
    sources = [s for s in APT_SOURCES if os.path.exists(s)][:1]
    tool("mmdebstrap", "--quiet", "--variant=minbase", "bookworm", path + ".part.tar", *sources)
    for old in os.listdir(CACHE):
        if old.startswith("debian-") and not old.endswith(".part.tar"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(CACHE, old))
    os.rename(path + ".part.tar", path)
    return path


def build_layout(directory, archive):
    """Three layers: the system without /usr/share, /usr/share, and changes of every kind to both."""
    layout, bundle = f"{directory}/oci", f"{directory}/bundle"
    image = f"{layout}:debian"
    tool("umoci", "init", "--layout", layout)
    tool("umoci", "new", "--image", image)
    tool("umoci", "unpack", "--image", image, bundle)
    root = os.path.join(bundle, "rootfs")
    repack = lambda: tool("umoci", "repack", "--refresh-bundle", "--image", image, bundle)
    tool("tar", "-C", root, "--numeric-owner", "--xattrs", "--exclude=./usr/share/*", "--exclude=./dev/*", "-xpf", archive)
    repack()
    tool("tar", "-C", root, "--numeric-owner", "--xattrs", "--exclude=./dev/*", "-xpf", archive, "./usr/share")
    repack()
    change(root)
    repack()
    tool("umoci", "config", "--image", image, "--config.cmd", "bash", "--config.env",
         "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    shutil.rmtree(bundle)
    return layout, image


def change(root):
    """Everything that a layer can do to the layers below it."""
    at = lambda *p: os.path.join(root, *p)
    shutil.rmtree(at("usr/share/doc"))                      # whiteout of a directory
    os.unlink(at("etc/issue"))                              # whiteout of a file
    os.unlink(at("etc/debian_version"))                     # file becomes a directory
    os.mkdir(at("etc/debian_version"))
    with open(at("etc/debian_version/inner"), "w", encoding="utf-8") as file:
        file.write("x")
    shutil.rmtree(at("usr/share/locale"))                   # directory becomes a file
    with open(at("usr/share/locale"), "w", encoding="utf-8") as file:
        file.write("y")
    os.link(at("usr/bin/env"), at("usr/bin/env-linked"))    # hard link to a lower layer's file
    os.chmod(at("usr/bin/id"), 0o4711)
    os.chown(at("etc/motd") if os.path.exists(at("etc/motd")) else at("etc/fstab"), 12345, 4000000000)
    os.makedirs(at("opt/new/deep"))
    with open(at("opt/new/deep/sparse"), "wb") as file:
        file.truncate(1 << 20)
        file.seek(300000)
        file.write(b"island")
    with open(at("opt/new/attributes"), "w", encoding="utf-8") as file:
        file.write("z")
    os.setxattr(at("opt/new/attributes"), "user.colour", b"blue\x00green")
    os.symlink("../../..//etc/./passwd", at("opt/new/odd-link"))
    os.mkfifo(at("opt/new/fifo"))
    os.mknod(at("opt/new/null"), stat.S_IFCHR | 0o644, os.makedev(1, 3))
    name = "ä" * 60 + "/" + "n" * 200
    os.makedirs(at("opt", os.path.dirname(name)))
    with open(at("opt", name), "w", encoding="utf-8") as file:
        file.write("long")
    os.utime(at("opt/new/deep/sparse"), ns=(10**18 + 1, 10**18 + 123456789))
    os.utime(at("opt/new"), ns=(10**18, 10**18 + 7))


def describe(root, hidden=()):
    """path -> everything that two equal trees agree in. `hidden`: what mounts cover."""
    found, links = {}, {}

    def add(path, relative):
        info = os.lstat(path)
        entry = {"mode": oct(info.st_mode), "owner": (info.st_uid, info.st_gid), "mtime": info.st_mtime_ns}
        if stat.S_ISREG(info.st_mode):
            with open(path, "rb") as file:
                entry["content"] = (info.st_size, hashlib.blake2b(file.read()).hexdigest()[:16])
        elif stat.S_ISLNK(info.st_mode):
            entry["target"] = os.readlink(path)
        elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
            entry["device"] = info.st_rdev
        entry["xattrs"] = {n: os.getxattr(path, n, follow_symlinks=False)
                           for n in os.listxattr(path, follow_symlinks=False)
                           if not n.startswith(("trusted.overlay", "user.umoci", "security.selinux"))}
        if not stat.S_ISDIR(info.st_mode) and info.st_nlink > 1:
            links.setdefault((info.st_dev, info.st_ino), []).append(relative)
        found[relative] = entry

    for directory, dirs, files in os.walk(root):
        relative = os.path.relpath(directory, root)
        dirs[:] = [d for d in dirs if os.path.normpath(os.path.join("/", relative, d)) not in hidden]
        for name in [*dirs, *files]:
            inside = os.path.normpath(os.path.join("/", relative, name))
            if inside not in hidden:
                add(os.path.join(directory, name), inside)
    for group in links.values():
        for path in group:
            found[path]["linked with"] = sorted(group)
    return found


def mount_points(pid):
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
        return {line.split()[4] for line in file} - {"/"}


@support.needs_root
class Debian(support.Case):
    @classmethod
    def prepare(cls):
        for name in ("mmdebstrap", "umoci"):
            if shutil.which(name) is None:
                raise unittest.SkipTest(f"{name} is not installed")
        try:
            archive = root_archive()
        except AssertionError as error:
            raise unittest.SkipTest(f"no Debian packages to be had: {error}")
        cls.layout, cls.image = build_layout(cls.world.dir, archive)
        answer = cls.world.run("image", "import", f"oci:{cls.image}", "--name", "debian:test", timeout=300)
        if answer.code != 0:
            raise AssertionError(str(answer))

    def test_package_tools(self):
        out = self.run_ok("run", "--rm", "debian:test", "apt-get", "--version").out
        self.assertRegex(out, r"^apt \d")
        out = self.run_ok("run", "--rm", "debian:test", "dpkg", "-l").out
        self.assertRegex(out, r"(?m)^ii  bash ")

    def test_service(self):
        container = self.world.new_id()
        before = self.world.snapshot()
        self.run_ok("run", "-d", "--name", container, "debian:test", "sleep", "infinity")
        self.assertEqual(self.status(container), "running")
        self.assertIn("bookworm", self.run_ok("exec", container, "cat", "/etc/os-release").out)
        self.assertEqual(self.world.run("exec", "--user", "daemon", container, "bash", "-c", "exit $UID").code, 1)
        self.run_ok("kill", container, "KILL")
        self.assertEqual(self.run_ok("wait", container).out.strip(), "137")
        self.run_ok("delete", container)
        self.assert_same_host(before)

    @contextlib.contextmanager
    def host_of(self, backend):
        """Where the backend can run; what is put on the stack is undone at the end."""
        if backend != "lxc" and not shutil.which(backend):
            self.skipTest(f"needs the package {backend}")
        with contextlib.ExitStack() as stack:
            if backend == "crun":
                stack.enter_context(support.crun_can_run())
            yield stack

    def test_a_package_is_installed_on_every_backend(self):
        """From the EROFS image: dpkg writes its database and renames what lies in the layers."""
        tree = self.world.path("package")
        os.makedirs(tree + "/DEBIAN")
        os.makedirs(tree + "/usr/share/nexcage-test")
        with open(tree + "/DEBIAN/control", "w", encoding="utf-8") as file:
            file.write("Package: nexcage-test\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\n"
                       "Description: a package\n")
        with open(tree + "/DEBIAN/postinst", "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nset -e\n[ \"$1\" = configure ]\necho configured > /usr/share/nexcage-test/state\n")
        os.chmod(tree + "/DEBIAN/postinst", 0o755)
        tool("dpkg-deb", "--root-owner-group", "-b", tree, self.world.path("package.deb"))
        for backend in ("lxc", "crun", "runc"):
            with self.subTest(backend), self.host_of(backend) as stack:
                container = self.world.new_id()
                self.run_ok("run", "-d", "--runtime", backend, "--layerfs", "erofs", "--name", container,
                            "-v", self.world.path("package.deb") + ":/package.deb:ro", "debian:test", "sleep", "infinity")
                stack.callback(self.world.run, "delete", "--force", container)
                self.run_ok("exec", container, "dpkg", "-i", "/package.deb")
                self.assertEqual(self.run_ok("exec", container, "cat", "/usr/share/nexcage-test/state").out, "configured\n")
                self.assertIn("ii  nexcage-test", self.run_ok("exec", container, "dpkg", "-l", "nexcage-test").out)
                self.run_ok("exec", container, "dpkg", "-P", "nexcage-test")
                self.assertEqual(self.world.run("exec", container, "dpkg", "-l", "nexcage-test").code, 1)
        self.assertNotIn("nexcage-test", self.run_ok("run", "--rm", "debian:test", "dpkg", "-l").out)

    def test_thirty_thousand_files_on_every_backend(self):
        layers, number = [], 0
        for _ in range(8):
            tar = support.Tar()
            for _ in range(75):
                tar.dir(f"many/d{number // 50}")
                for _ in range(50):
                    tar.add(f"many/d{number // 50}/f{number}", data=b"%d" % number)
                    number += 1
            layers.append(tar.finish())
        image = self.world.import_image(layers, name="many")
        for backend in ("lxc", "crun", "runc"):
            with self.subTest(backend), self.host_of(backend):
                out = self.run_ok("run", "--rm", "--runtime", backend, "--layerfs", "erofs", image, "sh", "-c",
                                  "find /many -type f | wc -l; cat /many/d0/f0 /many/d599/f29999").out
                self.assertEqual(out, "30000\n029999")

    def test_tree_is_the_one_that_umoci_unpacks(self):
        with tempfile.TemporaryDirectory(dir=self.world.dir) as scratch:
            tool("umoci", "unpack", "--image", self.image, f"{scratch}/bundle")
            container = self.world.new_id()
            self.run_ok("create", "--name", container, "debian:test", "sleep", "infinity")
            self.addCleanup(self.world.run, "delete", "--force", container)
            self.run_ok("start", container)
            pid = self.run_ok("state", container).json()["pid"]
            hidden = mount_points(pid)
            ours = describe(f"/proc/{pid}/root", hidden)
            theirs = describe(f"{scratch}/bundle/rootfs", hidden)
        self.assertGreater(len(theirs), 2000)
        self.assertEqual(sorted(set(theirs) - set(ours)), [], "missing")
        self.assertEqual(sorted(set(ours) - set(theirs)), [], "too much")
        different = {}
        for path, entry in theirs.items():
            if ours[path] != entry:
                different[path] = {k: (ours[path].get(k), entry.get(k)) for k in entry | ours[path]
                                   if ours[path].get(k) != entry.get(k)}
        self.assertEqual(different, {}, "ours, umoci's")


if __name__ == "__main__":
    unittest.main()
