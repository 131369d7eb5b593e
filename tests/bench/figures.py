"""Rounds in turn, medians and spread, and the table of it."""
import os
import statistics
import sys
import time


def timed(*argv, env=None, check=True):
    """Wall time of one command in milliseconds, without the cost of reading its output."""
    began = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, env or os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
    _, status = os.waitpid(pid, 0)
    spent = (time.perf_counter() - began) * 1000
    if check and status != 0:
        raise RuntimeError(f"{' '.join(argv)}: status {os.waitstatus_to_exitcode(status)}")
    return spent


def row(values):
    tenths = statistics.quantiles(values, n=10) if len(values) > 1 else values * 9
    return {"median": statistics.median(values), "p10": tenths[0], "p90": tenths[-1], "rounds": len(values)}


def cost_row(costs):
    """Of (wall ms, processor ms, peak bytes) each."""
    wall, cpu, memory = zip(*costs)
    return {**row(list(wall)), "cpu": statistics.median(cpu), "memory": max(memory)}


class Bench:
    def __init__(self, rounds):
        self.rounds = rounds
        self.groups = []

    def group(self, title, targets=(), rounds=None, **candidates):
        """Runs every candidate (name -> function returning milliseconds) in turn, so many times, and shows them."""
        samples, absent = {n: [] for n in candidates}, {}
        for number in range((rounds or self.rounds) + 1):
            for name, work in candidates.items():
                if name in absent:
                    continue
                try:
                    spent = work()
                except Exception as error:  # a peer that does not run here is no failure of ours
                    if name.startswith("nexcage"):
                        raise
                    absent[name] = str(error)
                    continue
                if number:  # the first round warms caches
                    samples[name].append(spent)
        self.add(title, targets, {n: row(s) for n, s in samples.items() if s}, absent)

    def add(self, title, targets, rows, absent, unit="ms"):
        """Shows what was measured, and keeps it."""
        self.groups.append({"title": title, "targets": [t.judge(rows) for t in targets], "rows": rows, "absent": absent,
                            "unit": unit})
        print(f"\n{title}")
        ours = next((n for n in rows if n.startswith("nexcage")), None)
        for name, found in rows.items():
            print(f"  {name:38} {found['median']:9.2f} {unit}   {found['p10']:.2f} .. {found['p90']:.2f}"
                  f"{more_text(found)}{compared(rows, ours, name)}")
        for name, reason in absent.items():
            print(f"  {name:38} not measured: {reason[:200]}")
        for target in targets:
            print(target.line(rows))
        sys.stdout.flush()


def more_text(found):
    text = ""
    if "cpu" in found:
        text += f"   processor {found['cpu']:6.0f} ms   peak {found['memory'] / (1 << 20):4.0f} MiB"
    if found.get("syncs") is not None:
        text += f"   syncs {found['syncs']}"
    if found.get("removals") is not None:
        text += f"   names removed {found['removals']}"
    return text


def compared(rows, ours, name):
    if not ours or name.startswith("nexcage"):
        return ""
    mine, theirs = rows[ours], rows[name]
    text = f"   nexcage is {mine['median'] / theirs['median']:.2f}x of it"
    return text + (f", {mine['cpu'] / theirs['cpu']:.2f}x in processor" if theirs.get("cpu") and "cpu" in mine else "")
