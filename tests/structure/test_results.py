"""The results of Python tests can be read, whatever a test has printed."""
import os
import tempfile
import unittest
import xml.etree.ElementTree as ET

import unittests


class Results(unittest.TestCase):
    def test_hold_any_text(self):
        text = "a \x1b[0m <\"&'> \x00\ud800 line\nline \u00e9 \U0001f600"
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "suite.xml")
            unittests.write_results(path, "suite", {"m.Class.test_\x07": ["failed", text, 0.5], "m.Class.fine": ["passed", "", 0]})
            cases = list(ET.parse(path).getroot().iter("testcase"))
        self.assertEqual([case.get("name") for case in cases], ["Class.test_\\x07", "Class.fine"])
        self.assertEqual(cases[0].find("failure").get("message"),
                         "a \\x1b[0m <\"&'> \\x00\\xd800 line\nline \u00e9 \U0001f600")
        self.assertIsNone(cases[1].find("failure"))


if __name__ == "__main__":
    unittest.main()
