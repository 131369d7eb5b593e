"""docs/runtime-spec-{lxc,vm}.md say what the code does: their tables are those of fields.cc."""
import os
import re
import unittest

SOURCE = os.environ["NX_SOURCE"]
BACKENDS = ("lxc", "vm")
NAMES = {"not_applicable": "not applicable"}


def rows_of_code(backend):
    with open(os.path.join(SOURCE, f"src/backends/{backend}/fields.cc"), encoding="utf-8") as file:
        text = file.read()
    table = text[text.index("kFields[] = {"):text.index("\n};", text.index("kFields[]"))]
    found = re.findall(r'\{"([^"]+)",\s*(\w+),\s*((?:"[^"]*"\s*)+)', table)
    return [(pointer, NAMES.get(applied, applied), "".join(re.findall(r'"([^"]*)"', note)))
            for pointer, applied, note in found]


def rows_of_page(backend):
    rows = []
    with open(os.path.join(SOURCE, f"docs/runtime-spec-{backend}.md"), encoding="utf-8") as file:
        for line in file:
            match = re.fullmatch(r"\| `([^`]+)` \| ([^|]+?) \| ?([^|]*?) ?\|\n", line)
            if match:
                rows.append(match.groups())
    return rows


class RuntimeSpecTable(unittest.TestCase):
    def test_page_and_code_agree(self):
        for backend in BACKENDS:
            with self.subTest(backend):
                self.assertEqual(rows_of_page(backend), rows_of_code(backend))

    def test_the_table_was_found(self):
        for backend in BACKENDS:
            with self.subTest(backend):
                self.assertGreater(len(rows_of_code(backend)), 80)


if __name__ == "__main__":
    unittest.main()
