"""Texts of the command line: help of every verb and errors of usage against golden files, and docs/cli.md
against what the binary says. NX_ACCEPT=1 writes the golden files again.
"""
import json
import os
import re
import subprocess
import unittest

import support

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
GROUPS = ("image", "config")


def nexcage(*args, name="nexcage", **kwargs):
    binary = os.path.join(os.path.dirname(support.NEXCAGE), name)
    # None of the caller's settings may show through.
    env = {k: v for k, v in os.environ.items() if not k.startswith("NEXCAGE_")}
    return subprocess.run([binary, *args], capture_output=True, text=True, timeout=60, env=env, check=False, **kwargs)


def verbs():
    """Names of all verbs, from --help."""
    text = nexcage("--help").stdout.split("Global options:")[0]
    return re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)?)  ", text)


def options(help_text):
    """Long names of the options that a help text shows."""
    section = re.search(r"(?ms)^(?:Global options|Options):\n(.*?)(?:\n\n|\Z)", help_text).group(1)
    return set(re.findall(r"(?m)^ .*?(--[a-z][a-z-]*)", section)) - {"--help"}


@unittest.skipUnless(os.access(support.NEXCAGE, os.X_OK), "nexcage is not built")
class Texts(unittest.TestCase):
    maxDiff = None

    def golden(self, name, text):
        path = os.path.join(GOLDEN, name)
        if os.environ.get("NX_ACCEPT"):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(text, file.read(), f"{name}; NX_ACCEPT=1 accepts the new text")

    def test_help_of_the_program_and_of_every_verb(self):
        self.assertGreater(len(verbs()), 20)
        for words in [[], *([g] for g in GROUPS), *(v.split() for v in verbs())]:
            with self.subTest(words=words):
                answer = nexcage(*words, "--help")
                self.assertEqual((answer.returncode, answer.stderr), (0, ""))
                self.golden("help" + "".join("-" + w for w in words) + ".txt", answer.stdout)
                self.assertLessEqual(max(map(len, answer.stdout.splitlines())), 120)
                if words:
                    self.assertEqual(nexcage(*words, "-h").stdout, answer.stdout)

    def test_errors_of_usage(self):
        cases = [
            ("nexcage", "crate", 125), ("nexcage", "image lst", 125), ("nexcage", "--rot x list", 125),
            ("nexcage", "--log-format xml list", 125), ("nexcage", "--rootless maybe list", 125),
            ("nexcage", "create", 125), ("nexcage", "create --bundle /b", 1), ("nexcage", "create --bundle /b a b", 1),
            ("nexcage", "create --bundle /b --name x c1", 1), ("nexcage", "run --hostnam x image", 125),
            ("nexcage", "run --memory lots image", 125), ("nexcage", "run -v name:/data image", 125),
            ("nexcage", "run --mount type=image,src=a,dst=/b image", 125), ("nexcage", "run --name", 125),
            ("nexcage", "run --rm --bundle /b c1", 1), ("nexcage", "run --keep image", 125),
            ("nexcage", "--systemd-cgroup create --bundle /b c1", 1), ("nexcage", "start", 1), ("nexcage", "start a b", 1),
            ("nexcage", "kill c1 NOSUCH", 1), ("nexcage", "exec c1", 125), ("nexcage", "exec -p f c1 ls", 125),
            ("nexcage", "list --format xml", 1), ("nexcage", "logs --tail x c1", 125), ("nexcage", "stop --time x c1", 125),
            ("nexcage", "image tag a", 125), ("nexcage", "image import --cmd sh oci:x", 125),
            ("nexcage", "config show --format xml", 125),
            ("nexcage-runc", "crate", 1), ("nexcage-runc", "exec c1", 255), ("nexcage-crun", "create --env A=1 c1", 1),
        ]
        text = ""
        for name, words, code in cases:
            with self.subTest(words=words):
                answer = nexcage(*words.split(), name=name)
                self.assertEqual((answer.returncode, answer.stdout), (code, ""), answer.stderr)
                self.assertTrue(answer.stderr.startswith("nexcage: error: "), answer.stderr)
                text += f"$ {name} {words}\n{answer.stderr}[{answer.returncode}]\n\n"
        self.golden("errors.txt", text)

    def test_version(self):
        for option in ("--version", "-v"):
            answer = nexcage(option)
            self.assertEqual(answer.returncode, 0)
            self.assertRegex(answer.stdout, r"\Anexcage version \d+\.\d+\.\d+\nspec: 1\.0\.2\n\Z")
            self.assertEqual(nexcage("--debug", option).stdout, answer.stdout)

    def test_without_a_command_the_help_is_shown(self):
        answer = nexcage()
        self.assertEqual(answer.returncode, 125)
        self.assertEqual(answer.stdout, nexcage("--help").stdout)
        self.assertEqual(nexcage("help").returncode, 0)


@unittest.skipUnless(os.access(support.NEXCAGE, os.X_OK), "nexcage is not built")
class Documentation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(support.SOURCE, "docs/cli.md"), encoding="utf-8") as file:
            cls.text = file.read()

    def section(self, title):
        """The text below a heading, up to the next one of its level or above."""
        match = re.search(rf"(?ms)^(#+) {re.escape(title)}$\n(.*?)(?=^#{{1,3}} |\Z)", self.text)
        self.assertIsNotNone(match, f"docs/cli.md has no heading {title}")
        return match.group(2)

    def test_every_verb_has_its_section_and_no_other(self):
        commands = re.search(r"(?ms)^## Commands\n(.*?)^## ", self.text).group(1)
        self.assertEqual(re.findall(r"(?m)^### (.*)$", commands), verbs())

    def test_every_option_is_named(self):
        self.assertEqual(set(re.findall(r"(--[a-z][a-z-]*)", self.section("Global options"))) - {"--help"},
                         options(nexcage("--help").stdout))
        created = options(nexcage("create", "--help").stdout)
        for verb in verbs():
            with self.subTest(verb=verb):
                wanted = options(nexcage(*verb.split(), "--help").stdout)
                if verb in ("run", "storage explain"):  # these take create's
                    wanted -= created
                self.assertEqual(wanted - set(re.findall(r"(--[a-z][a-z-]*)", self.section(verb))), set())

    def test_configuration_table(self):
        shown = json.loads(nexcage("--config", "/dev/null", "config", "show", "--format", "json").stdout)
        rows = [[cell.strip(" `") for cell in line.strip("|").split("|")]
                for line in self.section("Configuration").splitlines() if line.startswith("| `")]
        self.assertEqual([(key, default, variable) for key, _, default, variable, _ in rows],
                         [(key, entry["value"], entry["environment"]) for key, entry in shown.items() if key != "runtime.rule"])


@unittest.skipUnless(os.access(support.NEXCAGE, os.X_OK), "nexcage is not built")
class Configuration(unittest.TestCase):
    def test_shown_configuration_can_be_read_again(self):
        env = {**os.environ, "NEXCAGE_ROOT": "/run/other \"root\""}
        path = os.path.join(support.tempfile.mkdtemp(prefix="nexcage-usage."), "config.toml")
        try:
            shown = subprocess.run([support.NEXCAGE, "config", "show", "--origin"], capture_output=True, text=True, env=env,
                                   check=True, timeout=60).stdout
            with open(path, "w", encoding="utf-8") as file:
                file.write(shown)
            again = json.loads(nexcage("--config", path, "config", "show", "--format", "json").stdout)
            self.assertEqual(again["runtime.root"]["value"], '/run/other "root"')
            self.assertEqual(again["runtime.root"]["origin"], path + ":2")
        finally:
            support.shutil.rmtree(os.path.dirname(path))


if __name__ == "__main__":
    unittest.main()
