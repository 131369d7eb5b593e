"""Runs one unittest file, prints like unittest, and leaves a JUnit-like file in $NX_RESULTS, named $NX_SUITE.

usage: unittests.py FILE [TEST...]
"""
import importlib.util
import os
import re
import sys
import time
import unittest
from xml.sax.saxutils import quoteattr


class Recorder(unittest.TextTestResult):
    """Remembers the outcome and the time of each test."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.outcomes = {}
        self._began = {}

    def startTest(self, test):
        self._began[test.id()] = time.monotonic()
        self.outcomes[test.id()] = ["passed", "", 0.0]
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        self.outcomes[test.id()][2] = time.monotonic() - self._began[test.id()]

    def _set(self, test, outcome, text):
        self.outcomes.setdefault(test.id(), ["passed", "", 0.0])[:2] = [outcome, text]

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._set(test, "skipped", reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._set(test, "failed", str(err[1]))

    def addError(self, test, err):
        super().addError(test, err)
        self._set(test, "failed", str(err[1]))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._set(test, "failed", f"{subtest}: {err[1]}")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._set(test, "failed", "unexpected success")


# XML has no way to write these.
UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def attribute(text):
    """The text as the value of an attribute, quoted; what XML cannot hold is written as \\xNN."""
    return quoteattr(UNWRITABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text))


def write_results(path, name, outcomes):
    with open(path, "w", encoding="utf-8") as out:
        out.write(f"<testsuites><testsuite name={attribute(name)}>\n")
        for test, (outcome, text, seconds) in outcomes.items():
            short = ".".join(test.split(".")[-2:])
            out.write(f'<testcase classname={attribute(name)} name={attribute(short)} time="{seconds:.3f}">')
            if outcome != "passed":
                tag = "skipped" if outcome == "skipped" else "failure"
                out.write(f"<{tag} message={attribute(text)}/>")
            out.write("</testcase>\n")
        out.write("</testsuite></testsuites>\n")


def main():
    file = os.path.abspath(sys.argv[1])
    name = os.path.splitext(os.path.basename(file))[0]
    sys.path.insert(0, os.path.dirname(file))
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    loader = unittest.defaultTestLoader
    if len(sys.argv) > 2:
        suite = loader.loadTestsFromNames(sys.argv[2:], module)
    else:
        suite = loader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(verbosity=2, resultclass=Recorder).run(suite)
    if not result.outcomes and result.wasSuccessful():
        print("no test in", file, file=sys.stderr)
        return 1
    results = os.environ.get("NX_RESULTS")
    if results:
        suite = os.environ.get("NX_SUITE", name)
        write_results(os.path.join(results, suite + ".xml"), suite, result.outcomes)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
