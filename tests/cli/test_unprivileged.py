"""What users without privileges meet: their own state directory, and a clear word where root is needed."""
import json
import os
import shutil
import unittest

import support

USER = 65534


@support.needs_root
class Unprivileged(support.Case):
    @classmethod
    def prepare(cls):
        # Where the build lies only its owner may be able to look.
        cls.binary = cls.world.path("bin/nexcage")
        os.mkdir(cls.world.path("bin"))
        shutil.copy(cls.world.binary, cls.binary)
        os.chmod(cls.world.config, 0o644)
        cls.home = cls.world.path("home")
        os.mkdir(cls.home, 0o700)
        os.chown(cls.home, USER, USER)

    def as_user(self, *args, **env):
        return self.world.raw([self.binary, *args], env={"XDG_RUNTIME_DIR": "", "HOME": self.home, **env}, user=USER, group=USER, extra_groups=[],
                              cwd="/")

    def refused(self, *args, **env):
        answer = self.as_user(*args, **env)
        self.assertEqual(answer.code, 125 if args[0] in ("image", "run") else 1, str(answer))
        self.assertIn("permission denied", answer.err.replace("as root only", "permission denied"))
        self.assertIn("root", answer.err.split("hint:")[-1], str(answer))

    def test_states_lie_below_the_users_own_directory(self):
        answer = self.as_user("list", "--format", "json", XDG_RUNTIME_DIR=self.home)
        self.assertEqual((answer.code, answer.out), (0, "[]\n"), str(answer))
        self.assertTrue(os.path.isdir(os.path.join(self.home, "nexcage")))
        shown = self.as_user("config", "show", "--format", "json", XDG_RUNTIME_DIR=self.home).json()["runtime.root"]
        self.assertEqual(shown["value"], os.path.join(self.home, "nexcage"))
        shown = self.as_user("config", "show", "--format", "json", XDG_RUNTIME_DIR=self.home, NEXCAGE_ROOT="/x").json()
        self.assertEqual(shown["runtime.root"]["value"], "/x")
        self.assertEqual(self.as_user("delete", "--force", "none", XDG_RUNTIME_DIR=self.home).code, 0)

    def test_where_root_is_needed_it_is_said(self):
        closed = self.world.path("closed")
        os.mkdir(closed, 0o700)
        self.refused("list", NEXCAGE_ROOT=os.path.join(closed, "run"))
        self.refused("image", "list", NEXCAGE_IMAGES=os.path.join(closed, "images"))
        self.refused("create", "--bundle", self.bundle(), "c1", XDG_RUNTIME_DIR=self.home)
        self.assertNotIn("c1", os.listdir(os.path.join(self.home, "nexcage")))

    def test_rootless_is_what_lxc_cannot_do(self):
        answer, records = self.world.logged("--rootless", "true", "create", "--bundle", self.bundle(), "c1")
        self.assert_error(answer, records, "Unsupported", 1, "--rootless", "lxc")

    @unittest.skipUnless(shutil.which("crun"), "needs the package crun")
    def test_a_bundle_of_spec_rootless_runs_on_crun(self):
        path = os.path.join(self.home, "rootless")
        shutil.copytree(self.world.bundle(["true"]), path, symlinks=True)
        for directory, names, files in os.walk(path):
            for name in [".", *names, *files]:
                os.lchown(os.path.join(directory, name), USER, USER)
        os.unlink(os.path.join(path, "config.json"))
        answer = self.as_user("spec", "--rootless", "--bundle", path)
        self.assertEqual(answer.code, 0, str(answer))
        with open(os.path.join(path, "config.json"), encoding="utf-8") as file:
            spec = json.load(file)
        spec["process"].update(terminal=False, args=["id", "-u"], env=["PATH=/bin"])
        with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as file:
            json.dump(spec, file)
        answer = self.as_user("--runtime", "crun", "run", "--bundle", path, "r1", XDG_RUNTIME_DIR=self.home)
        self.assertEqual((answer.code, answer.out), (0, "0\n"), str(answer))

    def bundle(self):
        path = os.path.join(self.home, "bundle")
        os.makedirs(os.path.join(path, "rootfs"), exist_ok=True)
        with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as file:
            json.dump(support.spec_of(["true"]), file)
        return path


if __name__ == "__main__":
    unittest.main()
