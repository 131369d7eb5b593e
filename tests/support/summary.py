"""Adds up the result files of one run: every skip with its reason, then one closing line.

usage: summary.py DIRECTORY     exit status 1 when a test failed or nothing was run
"""
import glob
import os
import sys
import xml.etree.ElementTree as ET


def cases(directory):
    """Yields (test, outcome, message) of every case in every file."""
    for file in sorted(glob.glob(os.path.join(directory, "*.xml"))):
        for case in ET.parse(file).getroot().iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            failure, skip = case.find("failure"), case.find("skipped")
            if failure is None:
                failure = case.find("error")
            if failure is not None:
                yield name, "failed", failure.get("message") or ""
            elif skip is not None or case.get("result") == "skipped":
                yield name, "skipped", (skip.get("message") if skip is not None else "") or ""
            else:
                yield name, "passed", ""


def main():
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, outcome, message in cases(sys.argv[1]):
        counts[outcome] += 1
        if outcome != "passed":
            # gtest puts "file:line" on a line of its own before the reason.
            lines = [l for l in message.strip().splitlines() if l.strip()]
            reason = lines[-1] if outcome == "skipped" and lines else " ".join(lines)[:300]
            print(f"{outcome}: {name}: {reason}")
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
