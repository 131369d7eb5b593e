"""`nexcage layer`: what is prepared of images, listed, drawn, summed up, verified, made and taken away."""
import os
import subprocess
import unittest

import support


def file_layer(name, size):
    return support.Tar().add(name, data=name.encode() * size).finish()


class Layers:
    """web:1 and web:2 share two layers, db:1 has one of them. One subclass for each driver."""

    driver = None

    @classmethod
    def prepare(cls):
        cls.base = support.busybox_layer()
        cls.world.write_config(extra=cls.settings())
        _, transport = cls.world.layout().add("x", [cls.base])
        cls.world.run("image", "import", transport, "--name", "probe")
        probe = cls.world.run("layer", "merge", "probe")
        if probe.code and f"LayerFS driver {cls.driver}" in probe.err:
            raise unittest.SkipTest(probe.err.strip())

    @classmethod
    def settings(cls):
        return f'[layerfs]\ndriver = "{cls.driver}"\n'

    def setUp(self):
        super().setUp()
        self.world = support.World()
        self.addCleanup(self.world.destroy)
        self.world.write_config(extra=self.settings())

    def ok(self, *args):
        answer = self.world.run(*args)
        self.assertEqual(answer.code, 0, str(answer))
        return answer

    def image(self, name, layers):
        _, transport = self.world.layout().add("x", [self.base, *layers])
        self.ok("image", "import", transport, "--name", name)
        return name

    def three(self):
        shared = file_layer("shared", 5000)
        self.image("web:1", [shared])
        self.image("web:2", [shared, file_layer("more", 10)])
        self.image("db:1", [file_layer("db", 20000)])
        self.ok("layer", "merge", "web:1", "web:2", "db:1")

    def listed(self):
        return self.ok("layer", "list", "--format", "json").json()

    def things(self, **wanted):
        return [thing for thing in self.listed() if all(thing.get(key) == value for key, value in wanted.items())]

    def path_of(self, thing):
        return self.world.path("layers", thing["driver"], thing["key"])

    def test_merge_makes_what_the_first_container_would(self):
        self.three()
        before = {thing["key"] for thing in self.listed()}
        self.ok("run", "--rm", "web:2", "cat", "/more")
        self.assertEqual({thing["key"] for thing in self.listed()}, before)
        rows = self.ok("layer", "merge", "-f", "json", "web:1", "db:1").json()
        self.assertEqual([(row["image"], row["made"], row["layers"]) for row in rows], [("web:1", False, 2), ("db:1", False, 2)])

    def test_list_says_what_is_there(self):
        self.three()
        things = self.listed()
        for thing in things:
            self.assertEqual(thing["driver"], self.driver)
            self.assertTrue(thing["needed"], thing)
            self.assertEqual(thing["mounts"], 0)
            self.assertTrue(os.path.isdir(self.path_of(thing)))
        table = self.ok("layer", "list").out.splitlines()
        self.assertEqual(len(table), len(things) + 1)
        self.assertEqual(self.ok("layer", "list", "-q").out.split(), [thing["key"] for thing in things])

    def test_mounts_are_counted(self):
        self.image("web:1", [])
        name = self.world.new_id()
        self.ok("create", "--name", name, "web:1", "sleep", "100")
        self.assertTrue(any(thing["mounts"] for thing in self.listed()))
        self.ok("delete", "--force", name)
        self.assertFalse(any(thing["mounts"] for thing in self.listed()))

    def test_tree_shows_what_lies_on_what(self):
        self.three()
        nodes = self.ok("layer", "tree", "--format", "json").json()
        self.assertEqual(len(nodes), 4)
        seen = set()
        for node in nodes:
            self.assertEqual(node["state"], "whole")
            self.assertTrue(node.get("parent") is None or node["parent"] in seen, "a parent comes first")
            seen.add(node["chain_id"])
        ends = {name: node for node in nodes for name in node["images"]}
        self.assertEqual(ends["docker.io/library/web:2"]["parent"], ends["docker.io/library/web:1"]["chain_id"])
        text = self.ok("layer", "tree").out
        self.assertRegex(text, r"(?m)^[├└]─ .*<- docker.io/library/web:1$")

    def test_stats_sum_up(self):
        self.three()
        stats = self.ok("layer", "stats", "--format", "json").json()
        things = self.listed()
        self.assertEqual(stats["all"]["count"], len(things))
        self.assertEqual(stats["all"]["bytes"], sum(thing["bytes"] for thing in things))
        self.assertEqual((stats["images"], stats["layers"], stats["shared_layers"], stats["highest_stack"]), (3, 4, 2, 3))
        self.assertEqual(stats["unused"]["count"], 0)
        self.assertIn("3 images, 4 layers, 2 of them in several images", self.ok("layer", "stats").out)

    def test_gc_takes_only_what_nobody_needs(self):
        self.three()
        kept = {thing["key"] for thing in self.listed()}
        self.image("old:1", [file_layer("old", 3000)])
        name = self.world.new_id()
        self.ok("create", "--name", name, "old:1", "sleep", "100")
        self.ok("image", "remove", "--force", "old:1")
        used = {thing["key"] for thing in self.listed()} - kept
        self.assertTrue(used)
        self.ok("delete", "--force", name)

        dry = self.ok("layer", "gc", "--dry-run", "-f", "json").json()
        self.assertEqual({key.split("/")[1] for key in dry["layers"]}, used)
        self.assertGreater(dry["freed"], 0)
        self.assertEqual({thing["key"] for thing in self.listed()}, kept | used, "a dry run changes nothing")
        self.assertFalse(any(thing["needed"] for thing in self.listed() if thing["key"] in used))
        done = self.ok("layer", "gc", "-f", "json").json()
        self.assertEqual((set(done["layers"]), done["freed"]), (set(dry["layers"]), dry["freed"]))
        self.assertEqual({thing["key"] for thing in self.listed()}, kept)
        for key in dry["layers"]:
            self.assertFalse(os.path.exists(self.world.path("layers", key)))
        self.assertIn("removed 0 prepared layers", self.ok("layer", "gc").out)

    def test_removing_an_image_takes_its_layers_along(self):
        self.three()
        self.ok("image", "remove", "web:1")
        self.ok("run", "--rm", "web:2", "cat", "/shared")
        before = self.listed()
        self.ok("image", "remove", "web:2")
        self.assertLess(len(self.listed()), len(before))
        self.ok("run", "--rm", "db:1", "true")
        self.assertFalse(any(not thing["needed"] for thing in self.listed()))

    def test_merge_is_all_or_nothing(self):
        self.image("good:1", [file_layer("good", 100)])
        self.image("bad:1", [file_layer("bad", 100)])
        layer = self.ok("image", "inspect", "bad:1").json()
        digest = self.find(layer, "layers")[-1]["digest"].split(":")[1]
        blob = self.world.path("images", "blobs", "sha256", digest)
        with open(blob, "r+b") as file:
            file.seek(-12, os.SEEK_END)
            byte = file.read(1)
            file.seek(-12, os.SEEK_END)
            file.write(bytes([byte[0] ^ 1]))
        answer = self.world.run("layer", "merge", "good:1", "bad:1")
        self.assertEqual(answer.code, 125, str(answer))
        self.assertIn("bad:1", answer.err)
        self.assertIn(digest[:12], answer.err)
        self.assertRegex(answer.out, r"(?m)^good:1 .*because bad:1 failed")
        self.assertEqual(self.things(kind="merged") + self.things(kind="tree"), [])
        self.ok("layer", "merge", "good:1")
        self.ok("run", "--rm", "good:1", "cat", "/good")

    @staticmethod
    def find(value, key):
        """The first member of this name, wherever it stands."""
        if isinstance(value, dict):
            if key in value and isinstance(value[key], list) and value[key] and isinstance(value[key][0], dict):
                return value[key]
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                if (found := Layers.find(item, key)) is not None:
                    return found
        return None

    def test_a_damaged_record_is_told_and_taken_away(self):
        self.three()
        victim = next(thing for thing in self.listed() if thing["kind"] in ("tree", "merged"))
        with open(os.path.join(self.path_of(victim), "done.json"), "w", encoding="utf-8") as file:
            file.write("{")
        self.assertEqual([thing["key"] for thing in self.things(kind="damaged")], [victim["key"]])
        answer = self.world.run("layer", "verify")
        self.assertEqual(answer.code, 125)
        self.assertIn(victim["key"], answer.err)
        self.assertIn("nexcage layer verify --repair", answer.err)
        self.assertRegex(self.ok("layer", "verify", "--repair").out, victim["key"][:14] + r".*removed")
        self.assertEqual(self.things(kind="damaged"), [])
        for image in ("web:1", "web:2", "db:1"):
            self.ok("run", "--rm", image, "true")

    def test_words_that_name_nothing(self):
        for verb in ("verify", "merge"):
            answer = self.world.run("layer", verb, "nothing-like-that")
            self.assertEqual(answer.code, 125)
            self.assertIn("nothing-like-that", answer.err)
        self.assertEqual(self.world.run("layer", "list", "--format", "yaml").code, 125)
        self.assertEqual(self.world.run("layer", "merge").code, 125)

    def test_verify_takes_keys_and_images(self):
        self.three()
        every = self.ok("layer", "verify", "-f", "json").json()
        self.assertEqual({check["key"] for check in every}, {thing["key"] for thing in self.listed()})
        one = self.listed()[0]
        for word in (one["key"], f"{self.driver}/{one['key']}", one["key"][:14]):
            checks = self.ok("layer", "verify", "-f", "json", word).json()
            self.assertEqual([check["key"] for check in checks], [one["key"]], word)
        of_image = self.ok("layer", "verify", "-f", "json", "db:1").json()
        self.assertLess(len(of_image), len(every))
        self.assertGreater(len(of_image), 0)

    def test_delete_of_several_containers(self):
        self.image("web:1", [])
        names = [self.world.new_id() for _ in range(6)]
        for name in names:
            self.ok("create", "--name", name, "web:1", "sleep", "100")
        before = self.world.run("delete", names[0], self.world.new_id(), names[1])
        self.assertEqual(before.code, 1)
        self.ok("delete", "--force", *names)
        self.assertEqual(self.ok("list", "--format", "json").json() or [], [])
        self.assertFalse(any(thing["mounts"] for thing in self.listed()))
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            self.assertNotIn(self.world.dir, "".join(line for line in file if "containers" in line))


@support.needs_root
class Overlay(Layers, support.Case):
    driver = "overlay"

    def test_unpacked_layers_have_no_digest(self):
        self.three()
        states = {check["state"] for check in self.ok("layer", "verify", "-f", "json").json()}
        self.assertEqual(states, {"unverifiable"})


@support.needs_root
class Erofs(Layers, support.Case):
    driver = "erofs"

    def test_a_changed_byte_is_found_and_repaired(self):
        self.three()
        for kind in ("tar", "merged"):
            with self.subTest(kind=kind):
                if not (things := self.things(kind=kind)):
                    self.skipTest(f"this kernel does not mount the form {kind}")
                victim = max(things, key=lambda thing: thing["bytes"])
                path = next(os.path.join(self.path_of(victim), name) for name in sorted(os.listdir(self.path_of(victim)))
                            if name not in ("done.json", "lock"))
                self.flip(path)
                checks = self.world.run("layer", "verify", "-f", "json")
                self.assertEqual(checks.code, 125, str(checks))
                self.assertEqual([check["key"] for check in checks.json() if check["state"] != "ok"], [victim["key"]])
                self.assertIn(victim["key"], checks.err)
                self.ok("layer", "verify", "--repair")
                self.assertEqual(self.things(key=victim["key"]), [])
                self.ok("layer", "verify")
                self.ok("layer", "merge", "web:1", "web:2", "db:1")
                self.assertEqual(len(self.things(key=victim["key"])), 1)
                self.ok("layer", "verify")

    def test_without_damage_all_is_well(self):
        self.three()
        self.assertEqual({check["state"] for check in self.ok("layer", "verify", "-f", "json").json()}, {"ok"})

    @staticmethod
    def flip(path):
        """Changes a byte of a file that is protected against that."""
        data = bytearray(open(path, "rb").read())
        data[len(data) // 2] ^= 1
        directory = os.path.dirname(path)
        subprocess.run(["chattr", "-i", path], check=False, capture_output=True)
        with open(path + ".new", "wb") as file:
            file.write(data)
        os.chmod(path + ".new", 0o400)
        os.rename(path + ".new", os.path.join(directory, os.path.basename(path)))


if __name__ == "__main__":
    unittest.main()
