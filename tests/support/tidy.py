"""clang-tidy over the files of a compile_commands.json, remembering what was clean.

usage: tidy.py BUILD_DIR [FILE...]

A file is checked again only when its preprocessed text, the checks (.clang-tidy) or the flags have changed
since it was last found clean; BUILD_DIR/clean holds one empty file for each. Exit status 1 if any file is
not clean.
"""
import concurrent.futures
import hashlib
import json
import os
import shlex
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def preprocessed(entry):
    argv = entry.get("arguments") or shlex.split(entry["command"])
    argv = [word for number, word in enumerate(argv) if word not in ("-c", "-o") and argv[number - 1] != "-o"]
    return subprocess.run([*argv, "-E", "-P", "-C"], cwd=entry["directory"], stdout=subprocess.PIPE, check=True).stdout


def key(entry, checks):
    name = os.path.relpath(entry["file"], TOP).encode()
    return hashlib.sha256(b"\0".join([checks, name, preprocessed(entry)])).hexdigest()


def check(build, entry, checks):
    """What clang-tidy says of one file; empty when it is clean."""
    mark = os.path.join(build, "clean", key(entry, checks))
    if os.path.exists(mark):
        return ""
    done = subprocess.run(["clang-tidy-19", "--quiet", "-p", build, "--warnings-as-errors=*", entry["file"]],
                          cwd=TOP, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        with open(mark, "w", encoding="utf-8"):
            return ""
    return done.stdout or done.stderr


def main(build, *files):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = {entry["file"]: entry for entry in json.load(file)}
    if files:
        wanted = {os.path.abspath(name) for name in files}
        unknown = wanted - entries.keys()
        if unknown:
            sys.exit(f"not compiled, so not checked: {' '.join(sorted(unknown))}")
        entries = {name: entries[name] for name in wanted}
    with open(os.path.join(TOP, ".clang-tidy"), "rb") as file:
        checks = file.read()
    os.makedirs(os.path.join(build, "clean"), exist_ok=True)
    dirty = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for said in pool.map(lambda entry: check(build, entry, checks), entries.values()):
            if said:
                dirty += 1
                print(said, flush=True)
    print(f"{len(entries)} files, {dirty} not clean")
    return 1 if dirty else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
