"""docs/runtime-spec-lxc.md says what the code does: its table is the one of fields.cc."""
import os
import re
import unittest

SOURCE = os.environ["NX_SOURCE"]
NAMES = {"not_applicable": "not applicable"}


def rows_of_code():
    with open(os.path.join(SOURCE, "src/backends/lxc/fields.cc"), encoding="utf-8") as file:
        text = file.read()
    table = text[text.index("kFields[] = {"):text.index("\n};", text.index("kFields[]"))]
    found = re.findall(r'\{"([^"]+)",\s*(\w+),\s*((?:"[^"]*"\s*)+)', table)
    return [(pointer, NAMES.get(applied, applied), "".join(re.findall(r'"([^"]*)"', note)))
            for pointer, applied, note in found]


def rows_of_page():
    rows = []
    with open(os.path.join(SOURCE, "docs/runtime-spec-lxc.md"), encoding="utf-8") as file:
        for line in file:
            match = re.fullmatch(r"\| `([^`]+)` \| ([^|]+?) \| ?([^|]*?) ?\|\n", line)
            if match:
                rows.append(match.groups())
    return rows


class RuntimeSpecTable(unittest.TestCase):
    def test_page_and_code_agree(self):
        self.assertEqual(rows_of_page(), rows_of_code())

    def test_the_table_was_found(self):
        self.assertGreater(len(rows_of_code()), 80)


if __name__ == "__main__":
    unittest.main()
