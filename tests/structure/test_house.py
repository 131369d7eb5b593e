"""Rules about the tree itself: who may include whom, and what no file may contain."""
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

SOURCE = os.environ.get("NX_SOURCE") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("NX_BUILD", os.path.join(SOURCE, "build/dev"))

# The strata, lowest first: a folder may use only folders before it. Written down a second time on
# purpose: src/CMakeLists.txt is what the compiler obeys, this is what it must say.
ORDER = ["base", "sys", "json", "toml", "oci", "image", "registry", "storage", "layerfs", "network", "vm", "pve", "backends", "runtime", "cli",
         "init", "helpers"]
# Neighbours that never see each other; runtime joins them.
STRANGERS = [{"layerfs", "backends"}, {"storage", "backends"},
             {"network", "layerfs"}, {"network", "storage"}, {"network", "backends"}, {"network", "image"},
             {"vm", "image"}, {"vm", "registry"}, {"vm", "storage"}, {"vm", "layerfs"}, {"vm", "network"}]
# init is the program inside the container: static and small, so it takes only the lowest folders
# and the plan it shares with its backend.
NOT_FOR_INIT = {"json", "toml", "oci", "image", "registry", "storage", "layerfs", "network", "runtime", "cli"}
# Parts of a folder that are linked apart from it, into one helper only.
PARTS = {"image_content": "image/content", "layerfs_unpack": "layerfs/unpack", "layerfs_tree": "layerfs/tree",
         "layerfs_erofs": "layerfs/erofs", "layerfs_convert": "layerfs/convert", "registry_client": "registry/client", "pve_client": "pve/client"}
MAX_LINES = 500

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def tracked(*suffixes, below=""):
    """Files of the tree, known to git or about to be."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", SOURCE, "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = sorted(set(listed.stdout.split("\n")) - {""})
    else:  # an unpacked release has no .git
        names = [os.path.relpath(os.path.join(d, f), SOURCE) for d, _, fs in os.walk(SOURCE) for f in fs]
        names = [n for n in names if not n.startswith(("build/", ".git/"))]
    return [n for n in names
            if n.startswith(below) and (not suffixes or n.endswith(suffixes)) and os.path.isfile(os.path.join(SOURCE, n))]


def read(name):
    with open(os.path.join(SOURCE, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def may_use(user, used):
    if user == used or user == "helpers":
        return True
    if user == "init":
        return used not in NOT_FOR_INIT
    return ORDER.index(used) < ORDER.index(user) and {user, used} not in STRANGERS


def includes(name):
    return INCLUDE.findall(read(name))


class FolderRule(unittest.TestCase):
    def test_every_folder_is_known(self):
        folders = {name.split("/")[1] for name in tracked(".cc", ".h", below="src/")}
        self.assertLessEqual(folders, set(ORDER))

    def test_includes_go_one_way(self):
        wrong = []
        for name in tracked(".cc", ".h", below="src/"):
            user = name.split("/")[1]
            for quote, path in includes(name):
                if quote == '"' and not path.startswith("nexcage/"):
                    if not (name.endswith("_test.cc") and os.path.exists(os.path.join(SOURCE, "tests/support", path))):
                        wrong.append(f'{name}: "{path}" is not written as "nexcage/<folder>/<file>"')
                elif path.startswith("nexcage/"):
                    used = path.split("/")[1]
                    if used not in ORDER or not may_use(user, used):
                        wrong.append(f"{name}: {user} may not use {path}")
        self.assertEqual(wrong, [])

    def test_parts_with_foreign_libraries_stay_in_their_helper(self):
        wrong = []
        for name in tracked(".cc", ".h", below="src/"):
            if name.startswith(("src/helpers/",) + tuple(f"src/{part}/" for part in PARTS.values())):
                continue
            for _, path in includes(name):
                if path.startswith(tuple(f"nexcage/{part}/" for part in PARTS.values())):
                    wrong.append(f"{name}: {path}")
                if path.startswith(("openssl/", "isa-l", "zstd", "zlib", "archive", "curl/")):
                    wrong.append(f"{name}: <{path}> belongs into libexec/nexcage/image")
        self.assertEqual(wrong, [])

    def test_one_json_parser(self):
        wrong = [name for name in tracked(".cc", ".h", below="src/")
                 if any(path.startswith("nlohmann") for _, path in includes(name))
                 and not (name.startswith("src/json/") and name.endswith(".cc"))]
        self.assertEqual(wrong, [])

    def test_one_toml_parser(self):
        wrong = [name for name in tracked(".cc", ".h", below="src/")
                 if any(path.startswith("toml++") for _, path in includes(name)) and name != "src/toml/parse.cc"]
        self.assertEqual(wrong, [])

    def test_build_says_the_same(self):
        calls = re.findall(r"^nx_folder\(([^)]*)\)", read("src/CMakeLists.txt"), re.M)
        self.assertGreater(len(calls), 5)
        for call in calls:
            words = call.split()
            name, uses, into = words[0], [], None
            for word in words[1:]:
                if word.isupper():
                    into = uses if word == "USES" else []
                elif into is not None:
                    into.append(word)
            folder = PARTS.get(name, name).split("/")[0]
            for used in uses:
                with self.subTest(folder=name, uses=used):
                    self.assertTrue(may_use(folder, PARTS.get(used, used).split("/")[0]))


class ForbiddenInclude(unittest.TestCase):
    """The include path is what enforces the rule; this asks the compiler."""

    @classmethod
    def setUpClass(cls):
        path = os.path.join(BUILD, "compile_commands.json")
        if not os.path.exists(path):
            raise unittest.SkipTest("no compile_commands.json: not built with CMake in " + BUILD)
        with open(path, encoding="utf-8") as file:
            cls.commands = {}
            for entry in json.load(file):
                parts = os.path.relpath(entry["file"], SOURCE).split("/")
                is_plain = len(parts) == 3 and parts[0] == "src" and not parts[2].endswith("_test.cc")
                if is_plain:
                    cls.commands.setdefault(parts[1], entry)

    def preprocess(self, folder, header):
        """The folder's own compile command over one include; the compiler's answer."""
        entry = self.commands[folder]
        words = [w for w in shlex.split(entry["command"]) if os.path.basename(w) != "ccache"]
        keep = [words[0]] + [w for i, w in enumerate(words[1:], 1) if w.startswith(("-I", "-D", "-std"))
                             or w == "-isystem" or words[i - 1] == "-isystem"]
        with tempfile.TemporaryDirectory() as scratch:
            probe = os.path.join(scratch, "probe.cc")
            with open(probe, "w", encoding="utf-8") as file:
                file.write(f'#include "nexcage/{header}"\n')
            return subprocess.run(keep + ["-E", "-o", os.devnull, probe], cwd=entry["directory"],
                                  capture_output=True, text=True, check=False, timeout=60)

    def test_headers_of_higher_folders_are_not_found(self):
        one_header = {}
        for name in tracked(".h", below="src/"):
            parts = name.split("/")
            if len(parts) == 3:
                one_header.setdefault(parts[1], "/".join(parts[1:]))
        tried = 0
        for user in self.commands:
            if user in ("helpers", "cli", "init"):
                continue  # programs at the top; what they may include is checked in the text
            for used, header in one_header.items():
                answer = self.preprocess(user, header)
                with self.subTest(folder=user, includes=header):
                    tried += 1
                    if may_use(user, used):
                        continue
                    self.assertNotEqual(answer.returncode, 0, "the include path reaches a forbidden folder")
                    self.assertRegex(answer.stderr, "No such file|file not found")  # gcc, clang
        self.assertGreater(tried, 10)

    def test_headers_of_lower_folders_are_found(self):
        user = "runtime" if "runtime" in self.commands else sorted(self.commands)[-1]
        answer = self.preprocess(user, "base/error.h")
        self.assertEqual(answer.returncode, 0, answer.stderr)


class Files(unittest.TestCase):
    def test_no_file_grows_without_end(self):
        long = [f"{name}: {count} lines" for name in tracked(".cc", ".h", below="src/")
                if (count := read(name).count("\n")) > MAX_LINES]
        self.assertEqual(long, [])

    def test_headers_say_what_they_are_for(self):
        wrong = []
        for name in tracked(".h", below="src/"):
            text = read(name)
            if not text.startswith("//") or "#pragma once" not in text:
                wrong.append(name)
        self.assertEqual(wrong, [])

    def test_nothing_is_left_to_be_done(self):
        mark = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
        wrong = [f"{name}: {found.group()}" for name in tracked(".cc", ".h", ".py", ".cmake", ".txt", below="")
                 if (found := mark.search(read(name)))]
        self.assertEqual(wrong, [])

    def test_a_suppressed_warning_has_a_reason(self):
        # Form: "NO" "LINT(check): reason" or "NO" "LINTNEXTLINE(check): reason".
        mark = re.compile(r"NO" r"LINT(?:NEXTLINE|BEGIN)?(?P<rest>[^\n]*)")
        good = re.compile(r"\([a-z0-9.,*\s-]+\): \S")
        wrong = []
        for name in tracked(".cc", ".h"):
            for found in mark.finditer(read(name)):
                if not good.match(found.group("rest")):
                    wrong.append(f"{name}: {found.group()}")
        self.assertEqual(wrong, [])

    def test_no_path_of_a_developers_machine(self):
        wrong = []
        for name in tracked(".cc", ".h", ".py", ".md", ".cmake", ".txt", ".json", ".toml"):
            for line in read(name).splitlines():
                if SOURCE + "/" in line:
                    wrong.append(f"{name}: {line.strip()}")
        self.assertEqual(wrong, [])

    def test_decisions_are_numbered_once(self):
        numbers = {}
        for name in tracked(".md", below="docs/adr/"):
            if name.endswith("template.md"):
                continue
            number = os.path.basename(name)[:4]
            self.assertNotIn(number, numbers, name)
            numbers[number] = name
            self.assertTrue(read(name).startswith(f"# {number}: "), name)
        self.assertTrue(numbers)
        for name in tracked(".md", ".cc", ".h"):
            for number in re.findall(r"(?:docs/adr/|ADR |see )(\d{4})\b", read(name)):
                self.assertIn(number, numbers, name)

    def test_error_codes_are_documented(self):
        codes = re.search(r"enum class Errc[^{]*{([^}]*)}", read("src/base/error.h"))[1].replace(",", " ").split()
        table = read("docs/cli.md").split("| code | what failed |")[1].split("\n\n")[0]
        self.assertEqual(re.findall(r"^\| (\w+) \|", table, re.M), codes)

    def test_scripts_pass_shellcheck(self):
        if shutil.which("shellcheck") is None:
            self.skipTest("shellcheck is not installed")
        answer = subprocess.run(["shellcheck", "dev", ".ci/run"], cwd=SOURCE, capture_output=True, text=True, check=False)
        self.assertEqual(answer.returncode, 0, answer.stdout)

    def test_scripts_can_be_executed(self):
        for name in ("dev", ".ci/run"):
            self.assertTrue(os.access(os.path.join(SOURCE, name), os.X_OK), name)


if __name__ == "__main__":
    unittest.main()
