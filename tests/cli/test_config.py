"""Configuration and help: where values come from, what is refused, what is explained."""
import os
import unittest

import support


class Configuration(support.Case):
    def show(self, *options, env=None, **kwargs):
        answer = self.world.raw([self.world.binary, *options, "config", "show", "--origin"], env=env, **kwargs)
        self.assertEqual(answer.code, 0, str(answer))
        return answer.out

    def test_flag_before_environment_before_file_before_default(self):
        line = lambda text: [l for l in text.splitlines() if "root" in l][0]
        file = self.world.config
        self.assertIn("/run/nexcage", line(self.show(env={"NEXCAGE_CONFIG": ""})))
        self.assertIn(self.world.path("run"), line(self.show("--config", file)))
        self.assertIn(file, line(self.show("--config", file)))
        self.assertIn("/from/env", line(self.show("--config", file, env={"NEXCAGE_ROOT": "/from/env"})))
        self.assertIn("NEXCAGE_ROOT", line(self.show("--config", file, env={"NEXCAGE_ROOT": "/from/env"})))
        self.assertIn("/from/flag", line(self.show("--config", file, "--root", "/from/flag", env={"NEXCAGE_ROOT": "/from/env"})))

    def refused(self, text, *words):
        path = self.world.path("bad.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        answer = self.world.raw([self.world.binary, "--config", path, "list"])
        self.assertNotEqual(answer.code, 0, str(answer))
        for word in words:
            self.assertIn(word, answer.err, str(answer))

    def test_unknown_keys_are_errors_with_a_suggestion(self):
        self.refused('[runtime]\nrooot = "/x"\n', "runtime.rooot", "runtime.root", "bad.toml:2")

    def test_wrong_types_and_syntax(self):
        self.refused("[runtime]\nroot = 7\n", "runtime.root", "bad.toml:2")
        self.refused('[runtime]\nroot = "relative"\n', "absolute")
        self.refused("[runtime\n", "bad.toml:1")
        self.refused("[hooks]\ntimeout = -1\n", "hooks.timeout")

    def test_missing_file_is_an_error(self):
        answer, records = self.world.raw([self.world.binary, "--config", "/no/such.toml", "list"]), None
        self.assertNotEqual(answer.code, 0, records)
        self.assertIn("/no/such.toml", answer.err)

    def test_the_current_directory_is_never_read(self):
        directory = self.world.path("cwd")
        os.makedirs(os.path.join(directory, "nexcage"))
        for name in ("config.toml", "nexcage.toml", ".nexcage.toml", "nexcage/config.toml"):
            with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                file.write('[runtime]\nroot = "/from/cwd"\n')
        self.assertNotIn("/from/cwd", self.show(cwd=directory))


class Help(support.Case):
    VERBS = ["create", "run", "start", "state", "kill", "delete", "exec", "list", "pause", "resume", "spec", "features",
             "logs", "stop", "wait", "ps", "image import", "image list", "image inspect", "image remove", "image tag",
             "image verify", "config show", "layer list", "layer tree", "layer stats", "layer verify", "layer merge", "layer gc"]

    def test_every_verb_has_examples(self):
        for verb in self.VERBS:
            with self.subTest(verb=verb):
                out = self.run_ok(*verb.split(), "--help").out
                self.assertIn("Usage: nexcage " + verb, out)
                self.assertRegex(out, r"(?s)Examples?:\n.*nexcage " + verb.split()[0])

    def test_overview_names_every_verb(self):
        out = self.run_ok("--help").out + self.run_ok("image", "--help").out
        for verb in self.VERBS[:-13]:
            self.assertRegex(out, rf"(?m)^  {verb} ")

    def test_unknown_verb_gets_a_suggestion(self):
        answer = self.world.run("crate")
        self.assertNotEqual(answer.code, 0)
        self.assertIn("create", answer.err)

    def test_unknown_option_gets_a_suggestion(self):
        answer = self.world.run("run", "--hostnam", "x", "image")
        self.assertEqual(answer.code, 125)
        self.assertIn("--hostname", answer.err)

    def test_links_fix_the_backend(self):
        directory = os.path.dirname(self.world.binary)
        for name in ("nexcage-lxc", "nexcage-crun", "nexcage-runc", "nexcage-vm"):
            path = os.path.join(directory, name)
            with self.subTest(name=name):
                self.assertEqual(os.path.realpath(path), os.path.realpath(self.world.binary))
                self.assertEqual(self.world.raw([path, "--version"]).code, 0)


if __name__ == "__main__":
    unittest.main()
